"""How much better than popularity the recommender is, by time, on shops' feature snapshots.

    python -m tests.benchmarks.bench_recommend SHOP [SHOP ...]

A shop is one of bench_nights', whose snapshot is made first, or a snapshot folder. For each: fits on what lies before the test days
with the nightly's defaults, judges on the test days, and prints one line, then one JSON line a shop. The interval is a paired bootstrap
over customers (2,000 draws, 95 %).
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from include.night import Night, parse_as_of
from include.settings import load_settings
from ml.nightly_model import BEFORE_TEST, EVERYTHING
from ml.recommend.config import RecommenderConfig
from ml.recommend.recommender import Recommender
from tests.benchmarks.bench_nights import NIGHTS
from tests.conftest import SHOP_DATA
from tests.whole_night import run

DRAWS = 2000


def interval(differences: np.ndarray, seed: int) -> tuple[float, float]:
    """The 95 % interval of the mean of paired differences."""
    picks = np.random.default_rng(seed).integers(0, len(differences), (DRAWS, len(differences)))
    low, high = np.quantile(differences[picks].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def snapshot(shop: str, home: Path) -> Path:
    """The folder with a shop's features; of a night of bench_nights, they are made under `home`, in processes of their own."""
    if shop not in NIGHTS:
        return Path(shop)
    of = NIGHTS[shop]
    settings = load_settings(home=home, shop=shop, source=of.get("source"), data=SHOP_DATA / of["data"] if "data" in of else None)
    night = Night.open(settings, parse_as_of(of["as_of"]))
    run(night, ("land", "collect", "transform"))
    return night.features


def measure(shop: str, features: Path, cache: Path) -> dict[str, object]:
    config = RecommenderConfig()
    began = time.perf_counter()
    judged = Recommender(config)
    judged.fit(features, BEFORE_TEST, cache)
    fit_seconds = time.perf_counter() - began
    evaluation = judged.evaluate(features, "test", cache)
    figures = {metric.name: metric for metric in evaluation.metrics}
    low, high = interval(evaluation.unit_scores - evaluation.baselines["popularity"], config.seed)
    began = time.perf_counter()
    served = Recommender(config)
    served.fit(features, EVERYTHING, cache, warm_start=judged)
    refit_seconds = time.perf_counter() - began
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        rows = served.predict(features, Path(out), cache)
    return {
        "shop": shop,
        "customers": len(evaluation.unit_ids),
        "ndcg@10": figures["ndcg@10"].value,
        "popularity_ndcg@10": figures["ndcg@10"].baseline_value,
        "difference_low": low,
        "difference_high": high,
        "recall@10": figures["recall@10"].value,
        "coverage@10": figures["coverage@10"].value,
        "novelty@10": figures["novelty@10"].value,
        "weights": dict(judged.choice.weights),
        "half_life_days": judged.choice.half_life_days,
        "penalty": judged.choice.penalty,
        "fit_seconds": round(fit_seconds, 1),
        "refit_seconds": round(refit_seconds, 1),
        "predict_seconds": round(time.perf_counter() - began, 1),
        "recommendations": rows["recommendations"],
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main(shops: list[str]) -> None:
    results = []
    for shop in shops:
        with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as cache:
            results.append(measure(shop, snapshot(shop, Path(home)), Path(cache)))
            r = results[-1]
            print(
                f"{r['shop']:<20} NDCG@10 {r['ndcg@10']:.4f}  popularity {r['popularity_ndcg@10']:.4f}  "
                f"difference [{r['difference_low']:+.4f}, {r['difference_high']:+.4f}] over {r['customers']} customers  "
                f"fit {r['fit_seconds']} s  predict {r['predict_seconds']} s  {r['peak_mb']} MB  {r['weights']}",
                flush=True,
            )
    for result in results:
        print(json.dumps(result))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
