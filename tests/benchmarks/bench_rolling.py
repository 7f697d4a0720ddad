"""Whether the lists beat popularity over several past nights of a shop, where the last test days alone hold too few customers to tell.

    python -m tests.benchmarks.bench_rolling SHOP [--nights 6]

A shop is one of bench_nights'. The first night is that benchmark's; each earlier one stands at the moment at which the test days of the one
after it begin, so that no two nights' test days overlap and no night knows of later rows. Each is fitted with the nightly's defaults and
judged on its own test days. A customer who can be judged on several nights counts once, with the mean: the interval is a paired
bootstrap over customers (rolling-origin evaluation: Tashman, Out-of-sample tests of forecasting accuracy, 2000).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from datetime import datetime
from pathlib import Path

import numpy as np

from include.learn.compare import paired_difference
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.holdouts import holdout_of
from ml.recommend.data.snapshot import Snapshot
from ml.recommend.recommender import Recommender
from tests.benchmarks.bench_nights import NIGHTS
from tests.benchmarks.bench_recommend import snapshot


def judge_night(shop: str, as_of: str, scratch: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, datetime]:
    """The customers judged on one night's test days, their NDCG by the model and by popularity, and the moment those days begin."""
    config = RecommenderConfig()
    features = snapshot(shop, scratch, as_of)
    model = Recommender(config)
    model.fit(features, scratch / "cache")
    evaluation = model.evaluate(features, "test", scratch / "cache")
    return (
        evaluation.unit_ids,
        evaluation.unit_scores,
        evaluation.baselines["popularity"],
        holdout_of(Snapshot(features, config), "test").starts_at,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shop", choices=sorted(NIGHTS))
    parser.add_argument("--nights", type=int, default=6)
    given = parser.parse_args()
    as_of, judged = NIGHTS[given.shop]["as_of"], []
    for _ in range(given.nights):
        with tempfile.TemporaryDirectory() as scratch:
            ids, model, popularity, begins = judge_night(given.shop, as_of, Path(scratch))
        print(f"as of {as_of}: {len(ids)} customers, NDCG@10 {model.mean():.4f}, popularity {popularity.mean():.4f}", flush=True)
        judged.append((ids, model, popularity))
        as_of = begins.isoformat()
    ids, model, popularity = (np.concatenate(column) for column in zip(*judged, strict=True))
    customers, of = np.unique(ids.astype(str), return_inverse=True)
    nights = np.bincount(of)
    means = [np.bincount(of, weights=scores) / nights for scores in (model, popularity)]
    difference = paired_difference(*means, RecommenderConfig().seed)
    figures = {
        "shop": given.shop,
        "nights": given.nights,
        "judged": len(ids),
        "customers": len(customers),
        "ndcg@10": round(float(means[0].mean()), 4),
        "popularity": round(float(means[1].mean()), 4),
        "difference": round(difference.value, 4),
        "low": round(difference.low, 4),
        "high": round(difference.high, 4),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
