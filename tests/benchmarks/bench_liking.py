"""What reviews change in the lists: how accurate they are, and how well liked what they show, with and without what reviews say.

    python -m tests.benchmarks.bench_liking SHOP [SHOP ...]

A shop is one of bench_nights'. A night stands at the moment at which the shop's last test days begin and knows nothing of what came after;
its lists are judged on what the customers then wanted. A line each, beside the first with its 95 % interval, a paired bootstrap over
customers:

    without reviews     the recommender is not told what reviews say
    with reviews        as a night does it: the choice by validation, the second stage's feature
    least_sentiment=x   products below that mean score are kept out too; x such that it is a twentieth, a tenth, a quarter of the products
                        with enough reviews to be judged
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from datetime import UTC
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from include.learn.compare import paired_difference
from include.night import Night, parse_as_of
from include.settings import Settings, load_settings
from ml.recommend.data.holdouts import holdout_of
from ml.recommend.data.snapshot import Snapshot
from ml.recommend.evaluation.evaluate import K
from ml.recommend.evaluation.metrics import ndcg
from ml.recommend.recommender import Recommender
from tests.benchmarks.bench_nights import NIGHTS
from tests.conftest import SHOP_DATA
from tests.whole_night import run

KEPT_OUT = (0.05, 0.1, 0.25)
SENTIMENT = ("review_scores.parquet", "sentiment_rules.parquet")


def lines(shop: str, scratch: Path) -> list[dict[str, Any]]:
    of = NIGHTS[shop]
    settings = load_settings(home=scratch, shop=shop, source=of.get("source"), data=SHOP_DATA / of["data"] if "data" in of else None)
    later = Night.open(settings, parse_as_of(of["as_of"]))
    run(later, ("land", "collect", "transform"))
    holdout = holdout_of(Snapshot(later.features, settings.of_model("recommender")), "test")
    night = Night.open(settings, holdout.starts_at.replace(tzinfo=UTC))
    run(night, ("land", "collect", "transform", "learn_sentiment", "after_sentiment"))
    wanted = Wanted(later.features / "labels.parquet", night.features)
    cache, blind = scratch / "cache", scratch / "blind"
    shutil.copytree(night.features, blind, copy_function=os.link, ignore=shutil.ignore_patterns(*SENTIMENT))
    config = settings.of_model("recommender")
    models = {"without reviews": Recommender(config), "with reviews": Recommender(config)}
    rows, first = [], None
    for (name, model), features in zip(models.items(), (blind, night.features), strict=True):
        model.fit(features, cache)
        scores, row = wanted.judge(model, features, cache)
        first = scores if first is None else first
        rows.append({"lists": name} | row | compared(scores, first, config.seed))
    for share in KEPT_OUT:
        least = wanted.least_sentiment(share, settings.least_sentiment_reviews)
        night = Night.open(with_least(settings, least), night.as_of)
        run(night, ("after_sentiment",))
        scores, row = wanted.judge(models["with reviews"], night.features, cache)
        rows.append({"lists": f"least_sentiment={least:.3f}"} | row | compared(scores, first, config.seed))
    return [{"shop": shop, "customers": len(wanted.customers)} | row for row in rows]


def with_least(settings: Settings, least: float) -> Settings:
    return settings.model_copy(update={"least_sentiment": least})


def compared(scores: np.ndarray, first: np.ndarray, seed: int) -> dict[str, float]:
    difference = paired_difference(scores, first, seed)
    return {"difference": round(difference.value, 4), "low": round(difference.low, 4), "high": round(difference.high, 4)}


class Wanted:
    """What customers wanted on the test days, of products that could have been shown, and what reviews said of products before."""

    def __init__(self, labels: Path, features: Path) -> None:
        self.opinions = features / "product_sentiment.parquet"
        self.database = duckdb.connect()
        self.database.execute(
            """
            create table wanted as
            select distinct customer_id, product_id from read_parquet($labels)
            where split = 'test' and product_id in (select product_id from read_parquet($products))
            and (customer_id, product_id) not in (select (customer_id, product_id) from read_parquet($owned))
            """,
            {"labels": str(labels), "products": str(features / "products.parquet"), "owned": str(features / "owned.parquet")},
        )
        self.database.execute("create table opinions as select product_id, mean_score, reviews from read_parquet(?)", [str(self.opinions)])
        counts = self.database.execute("select customer_id, count(*) as wanted from wanted group by all order by all").fetchnumpy()
        self.customers, self.counts = counts["customer_id"], counts["wanted"]

    def least_sentiment(self, share: float, reviews: int) -> float:
        """The mean score below which lies that share of the products with at least so many reviews."""
        query = "select quantile_cont(mean_score, ?) from opinions where reviews >= ?"
        (least,) = self.database.execute(query, [share, reviews]).fetchone() or (None,)
        if least is None:
            raise SystemExit(f"No product has {reviews} reviews.")
        return round(float(least), 3)

    def judge(self, model: Recommender, features: Path, cache: Path) -> tuple[np.ndarray, dict[str, float]]:
        """(n,) NDCG of the lists that a model writes of some features, and their figures."""
        with tempfile.TemporaryDirectory() as out:
            model.predict(features, Path(out), cache)
            self.database.execute(
                "create or replace table lists as select customer_id, rank, product_id from read_parquet(?) where rank <= ?",
                [f"{out}/recommendations.parquet", K],
            )
        found = self.database.execute("select customer_id, rank from lists join wanted using (customer_id, product_id)").fetchnumpy()
        hits = np.zeros((len(self.customers), K), dtype=bool)
        hits[np.searchsorted(self.customers, found["customer_id"]), found["rank"] - 1] = True
        query = """
            select avg(mean_score), avg((mean_score < (select quantile_cont(mean_score, 0.1) from opinions))::integer)
            from lists join opinions using (product_id)
        """
        mean, disliked = self.database.execute(query).fetchone() or (np.nan, np.nan)
        scores = ndcg(hits, self.counts)
        row = {f"ndcg@{K}": scores.mean(), "mean_sentiment": mean, "of_the_least_liked_tenth": disliked}
        return scores, {name: round(float(value), 4) for name, value in row.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shops", nargs="+", choices=sorted(NIGHTS), metavar="SHOP")
    for shop in parser.parse_args().shops:
        with tempfile.TemporaryDirectory(prefix="nightshelf-") as scratch:
            for row in lines(shop, Path(scratch)):
                sys.stdout.write(json.dumps(row) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
