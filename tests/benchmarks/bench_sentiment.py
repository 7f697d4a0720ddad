"""Sentiment on a file of reviews, through the nightly's own path: fit, judge, refit, score.

python tests/benchmarks/bench_sentiment.py --reviews Musical_Instruments_5.json.gz

The file is JSON lines as Amazon's reviews are (summary, reviewText, overall, unixReviewTime), or a snapshot's reviews.parquet.
The last fifth by time is the test, the tenth before it validation. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ml.nightly_model import BEFORE_TEST, EVERYTHING
from ml.text.sentiment import SentimentModel
from ml.text.sentiment_config import SentimentConfig

AMAZON = """
    with reviews as (
        select *, row_number() over (order by unixReviewTime, reviewerID, asin) as place, count(*) over () as reviews
        from read_json(?, format = 'newline_delimited')
    )
    select
        format('{:09d}', place) as review_id,
        asin as product_id,
        reviewerID as customer_id,
        coalesce(summary, '') || '. ' || coalesce(reviewText, '') as text,
        md5(coalesce(summary, '') || '. ' || coalesce(reviewText, '')) as text_hash,
        overall::integer as rating,
        case when overall <= 2 then 'negative' when overall < 4 then 'neutral' else 'positive' end as label,
        make_timestamp(unixReviewTime * 1000000) as reviewed_at,
        case when place > 0.8 * reviews then 'test' when place > 0.7 * reviews then 'validation' else 'train' end as split
    from reviews
    order by review_id
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--reviews", type=Path, required=True)
    arguments.add_argument("--epochs", type=int, default=SentimentConfig().epochs)
    arguments.add_argument("--threads", type=int, default=2)
    given = arguments.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    with tempfile.TemporaryDirectory() as scratch:
        result = bench(given.reviews, Path(scratch), SentimentConfig(epochs=given.epochs, threads=given.threads))
    sys.stdout.write(json.dumps(result) + "\n")


def bench(reviews: Path, scratch: Path, config: SentimentConfig) -> dict[str, object]:
    """Figures of one night's sentiment; `scratch` is an empty folder."""
    if reviews.suffix == ".parquet":
        (scratch / "reviews.parquet").symlink_to(reviews.resolve())
    else:
        duckdb.sql(AMAZON, params=[str(reviews)]).write_parquet(str(scratch / "reviews.parquet"))
    seconds: dict[str, float] = {}

    def timed(step: str, began: float) -> None:
        seconds[step] = round(time.perf_counter() - began, 1)

    began = time.perf_counter()
    challenger = SentimentModel(config)
    challenger.fit(scratch, BEFORE_TEST, scratch)
    timed("fit", began)
    began = time.perf_counter()
    evaluation = challenger.evaluate(scratch, "test", scratch)
    timed("evaluate", began)
    began = time.perf_counter()
    refitted = SentimentModel(config)
    refitted.fit(scratch, EVERYTHING, scratch, warm_start=challenger)
    timed("refit", began)
    began = time.perf_counter()
    scored = refitted.predict(scratch, scratch / "out", scratch)["scored"]
    timed("predict", began)
    first = evaluation.metrics[0]
    return {
        first.name: round(first.value, 4),
        "baseline": round(first.baseline_value or 0.0, 4),
        **{metric.name: round(metric.value, 4) for metric in evaluation.metrics[1:]},
        "chosen": type(challenger.classifier).__name__,
        "seconds": seconds,
        "total_seconds": round(sum(seconds.values()), 1),
        "reviews_per_second": round(scored / seconds["predict"], 1),
    }


if __name__ == "__main__":
    main()
