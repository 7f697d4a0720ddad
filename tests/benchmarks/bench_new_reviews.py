"""What a night's new reviews cost to score in a small and in a large shop.

    python -m tests.benchmarks.bench_new_reviews FILE --text summary,reviewText --label overall --time unixReviewTime [--shop 1000000]

A model is fitted to a file's reviews as a first night does it. A shop whose reviews are the file's, one after the other and over again,
has 1,000 that nobody scored yet; all others were scored the night before, by the same model or by an earlier one. A JSON line a shop:
seconds of scoring, the most of several runs, and the process's peak memory so far. What files and labels may look like says
review_files.py.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from include.settings import load_settings
from ml.text.sentiment import SentimentModel
from tests.benchmarks.review_files import UnreadableReviews, add_file_arguments, write_snapshot

NEW = 1_000
RUNS = 3


def shops(model: SentimentModel, snapshot: Path, scratch: Path, reviews: int) -> Iterator[dict[str, Any]]:
    for total, scored_by in ((NEW, None), (reviews, model.version), (reviews, "an earlier one")):
        features, before, out = (scratch / f"{total}-{scored_by}" / name for name in ("features", "before", "out"))
        write_shop(snapshot, features, total)
        if scored_by:
            write_earlier_scores(features, before, scored_by)
        seconds = []
        for _ in range(RUNS):
            began = time.perf_counter()
            written = model.predict(features, out, scratch, previous=before if scored_by else None)
            seconds.append(time.perf_counter() - began)
        yield {
            "reviews": total,
            "scored_before": total - NEW if scored_by else 0,
            "by": {None: "nobody", model.version: "the same model"}.get(scored_by, scored_by),
            "scored_now": written["scored"],
            "seconds": round(max(seconds), 1),
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }


def write_shop(snapshot: Path, features: Path, reviews: int) -> None:
    """A snapshot of `reviews` unrated reviews, a hundred of each product."""
    features.mkdir(parents=True)
    with duckdb.connect() as connection:
        connection.execute(
            """
            copy (
                with given as (select text, row_number() over (order by review_id) - 1 as place from read_parquet($snapshot)),
                numbered as (select range as number from range($reviews))
                select
                    format('{:010d}', number) as review_id, format('p{:06d}', number // 100) as product_id,
                    text || ' ' || number as text, md5(text || ' ' || number) as text_hash,
                    null::varchar as label, null::varchar as split, timestamp '2026-01-01' as reviewed_at
                from numbered join given on place = number % (select count(*) from given) order by review_id
            ) to $file (format parquet)""".replace("$file", f"'{features / 'reviews.parquet'}'"),
            {"snapshot": str(snapshot / "reviews.parquet"), "reviews": reviews},
        )


def write_earlier_scores(features: Path, before: Path, version: str) -> None:
    """Predictions of all of the shop's reviews but the last 1,000."""
    before.mkdir()
    with duckdb.connect() as connection:
        connection.execute(
            """
            copy (
                select review_id, product_id, 'positive' as sentiment, 0.75::double as score, 0.05::double as p_negative,
                    0.15::double as p_neutral, 0.8::double as p_positive, $version as model_version, text_hash, 0::integer as nights_since
                from read_parquet($features) order by review_id limit (select count(*) - $new from read_parquet($features))
            ) to $file (format parquet)""".replace("$file", f"'{before / 'review_sentiment.parquet'}'"),
            {"features": str(features / "reviews.parquet"), "version": version, "new": NEW},
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_file_arguments(parser)
    parser.add_argument("--shop", type=int, default=1_000_000, help="reviews of the large shop")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    with tempfile.TemporaryDirectory() as folder:
        snapshot, scratch = Path(folder, "snapshot"), Path(folder, "shops")
        snapshot.mkdir()
        try:
            write_snapshot(given.reviews, given.text, given.label, given.time, snapshot)
        except UnreadableReviews as error:
            sys.stderr.write(f"{error}\n")
            return 2
        model = SentimentModel(load_settings().of_model("sentiment"))
        model.fit(snapshot, snapshot)
        for line in shops(model, snapshot, scratch, given.shop):
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
