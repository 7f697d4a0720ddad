"""What share of the best possible accuracy the lists of a demo night reach.

    python -m tests.benchmarks.bench_truth [--customers 1500] [--days 90]

The demo shop knows who likes what. A night is run, the shop lives for seven more days, and the night's lists are judged on what
its customers then bought, beside the lists of a recommender that knew every taste.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from datetime import timedelta
from pathlib import Path

import duckdb

from include.night import Night, parse_as_of
from include.settings import load_settings
from include.sources import land
from include.sources.demo.truth import Truth
from tests.whole_night import run

DAYS = 7
NO_SENTIMENT = 10_000_000  # reviews wanted; the lists are what is judged here


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1500)
    parser.add_argument("--days", type=int, default=90)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nightshelf-") as folder:
        settings = load_settings(
            home=Path(folder), demo_customers=chosen.customers, demo_days=chosen.days, sentiment_min_reviews=NO_SENTIMENT
        )
        starts_at = parse_as_of("2026-03-01")
        night = Night.open(settings, starts_at)
        run(night)
        with duckdb.connect(str(night.serving), read_only=True) as release:
            lists = release.execute("SELECT customer_id, rank, product_id FROM recommendations ORDER BY ALL").to_arrow_table()
        ends_at = starts_at + timedelta(days=DAYS)
        land(Night.open(settings, ends_at))
        judged = Truth.load(night.shop_home).judge(lists, starts_at.replace(tzinfo=None), ends_at.replace(tzinfo=None))
    print(json.dumps({"benchmark": "truth", "days": DAYS} | {name: round(value, 4) for name, value in judged._asdict().items()}))


if __name__ == "__main__":
    main()
