"""What is masked in a shop's reviews, and how many of them are suspect.

    python -m tests.benchmarks.bench_reviews SHOP [SHOP ...]

A shop is one of bench_nights'; its snapshot is made first. Prints one JSON line a shop: reviews, those with a placeholder by kind, and
suspect ones by reason.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import duckdb

from tests.benchmarks.bench_recommend import snapshot

KINDS = ("email", "phone", "card", "iban", "id", "contact", "address")


def measure(features: Path) -> dict[str, object]:
    warehouse = features.parent.parent / "warehouse.duckdb"
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        reviews = f"read_parquet('{features / 'reviews.parquet'}')"
        (total,) = connection.execute(f"SELECT count(*) FROM {reviews}").fetchall()[0]
        masked = {
            kind: connection.execute(f"SELECT count(*) FROM {reviews} WHERE contains(text, '[{kind}]')").fetchall()[0][0] for kind in KINDS
        }
        reasons = connection.execute("SELECT reason, count(*) FROM behaviour.review_suspicions GROUP BY 1 ORDER BY 1").fetchall()
        (suspect,) = connection.execute("SELECT count(DISTINCT review_id) FROM behaviour.review_suspicions").fetchall()[0]
    return {"reviews": total, "masked": masked, "suspect": suspect, "suspect_by_reason": dict(reasons)}


def main(shops: list[str]) -> None:
    for shop in shops:
        with tempfile.TemporaryDirectory() as home:
            print(json.dumps({"benchmark": "reviews", "shop": shop} | measure(snapshot(shop, Path(home)))), flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
