"""How much better than simple methods the recommender is, by time, on shops' feature snapshots.

    python -m tests.benchmarks.bench_recommend SHOP [SHOP ...]

A shop is one of bench_nights', whose snapshot is made first, or a snapshot folder. For each: fits on what lies before the test days
with the nightly's defaults, judges on the test days beside the baselines of baselines.py, and prints a few lines, at the end one JSON line
a shop. The gain is the relative difference to the best of the baselines, with its 95 % interval, a paired bootstrap over customers.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from include.learn.compare import relative_difference
from include.night import Night, parse_as_of
from include.settings import load_settings
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.snapshot import Snapshot
from ml.recommend.recommender import Recommender
from tests.benchmarks.baselines import baseline_scores
from tests.benchmarks.bench_nights import NIGHTS
from tests.conftest import SHOP_DATA
from tests.whole_night import run


def snapshot(shop: str, home: Path, as_of: str | None = None) -> Path:
    """The folder with a shop's features; of a night of bench_nights, they are made under `home`, in processes of their own, as of that
    benchmark's moment or another."""
    if shop not in NIGHTS:
        return Path(shop)
    of = NIGHTS[shop]
    settings = load_settings(home=home, shop=shop, source=of.get("source"), data=SHOP_DATA / of["data"] if "data" in of else None)
    night = Night.open(settings, parse_as_of(as_of or of["as_of"]))
    run(night, ("land", "collect", "transform"))
    return night.features


def measure(shop: str, features: Path, cache: Path) -> dict[str, Any]:
    config = RecommenderConfig()
    began = time.perf_counter()
    judged = Recommender(config)
    judged.fit(features, cache)
    fit_seconds = time.perf_counter() - began
    evaluation = judged.evaluate(features, "test", cache)
    figures = {metric.name: metric.value for metric in evaluation.metrics}
    began = time.perf_counter()
    served = Recommender(config)
    served.refit(features, cache, judged)
    refit_seconds = time.perf_counter() - began
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        rows = served.predict(features, Path(out), cache)
    predict_seconds, peak_mb = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ids, baselines = baseline_scores(Snapshot(features, config), "test", config)
    if list(ids) != list(evaluation.unit_ids):
        raise SystemExit("The baselines were judged on other customers than the model.")
    best = max(baselines, key=lambda name: float(np.mean(baselines[name])))
    gain = relative_difference(evaluation.unit_scores, baselines[best], config.seed)
    return {
        "shop": shop,
        "customers": len(ids),
        **{name: round(figures[name], 4) for name in ("ndcg@10", "recall@10", "coverage@10", "novelty@10")},
        "baselines_ndcg@10": {name: round(float(scores.mean()), 4) for name, scores in baselines.items()},
        "best_baseline": best,
        "gain": round(gain.value, 4),
        "gain_low": round(gain.low, 4),
        "gain_high": round(gain.high, 4),
        "choice": asdict(judged.choice),
        "fit_seconds": round(fit_seconds, 1),
        "refit_seconds": round(refit_seconds, 1),
        "predict_seconds": round(predict_seconds, 1),
        "recommendations": rows["recommendations"],
        "peak_mb": round(peak_mb),
    }


def main(shops: list[str]) -> None:
    results = []
    for shop in shops:
        with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as cache:
            result = measure(shop, snapshot(shop, Path(home)), Path(cache))
        results.append(result)
        sys.stdout.write(
            "{shop}: NDCG@10 {ndcg@10:.4f} over {customers} customers, {gain:+.1%} [{gain_low:+.1%}, {gain_high:+.1%}] to {best_baseline}; "
            "fit {fit_seconds} s, refit {refit_seconds} s, predict {predict_seconds} s, {peak_mb} MB\n".format(**result)
            + "".join(f"    {name:<20} {value:.4f}\n" for name, value in result["baselines_ndcg@10"].items())
            + f"    {result['choice']}\n"
        )
        sys.stdout.flush()
    for result in results:
        sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
