"""Transforming a made-up year of events: seconds and peak memory of a first night and of the next one.

    python tests/benchmarks/bench_transform.py --events 10000000

The rows are written straight into the warehouse's raw tables, as collecting leaves them: 100 thousand customers and
20 thousand products, visits of a few events each, one order in thirty events, one review in a hundred.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import duckdb

from include.collect.contract import load_contract
from include.collect.warehouse import connect, prepare
from include.night import Night
from include.settings import load_settings
from include.transform import Stage, build

CUSTOMERS, PRODUCTS, DAYS = 100_000, 20_000, 365
FIRST_DAY = datetime(2025, 3, 1, tzinfo=UTC)
STAGES: tuple[Stage, ...] = ("features", "sentiment", "serving")

# Five events in a row are one visit; products are drawn with a long tail.
VISIT = "hash(i // 5)"
MOMENT = f"$start::TIMESTAMP + to_seconds(({VISIT} % ($days * 86400 - 600) + (i % 5) * 100)::BIGINT)"
CUSTOMER = f"'c' || ({VISIT} % {CUSTOMERS})"
PRODUCT = f"'p' || floor({PRODUCTS} * power((hash(i) % 1000000) / 1e6, 3))::INTEGER"
ROWS = {
    "events": (1, f"""
        'e' || i AS event_id,
        ['view', 'view', 'view', 'cart', 'search', 'recommendation_click'][1 + (hash(i + 1) % 6)::INTEGER] AS event_type,
        {MOMENT} AS occurred_at, {CUSTOMER} AS customer_id, {PRODUCT} AS product_id, occurred_at AS _valid_from"""),
    "orders": (30, f"""
        'o' || i AS order_id, {CUSTOMER} AS customer_id, {MOMENT} AS ordered_at, 'delivered' AS status, ordered_at AS _valid_from"""),
    "order_items": (30, f"""
        'o' || i AS order_id, 1 AS line_number, {PRODUCT} AS product_id, 1 AS quantity, 9.99 AS unit_price,
        '1970-01-01'::TIMESTAMP AS _valid_from"""),
    "reviews": (100, f"""
        'r' || i AS review_id, {PRODUCT} AS product_id, {CUSTOMER} AS customer_id, 1 + (hash(i) % 5)::INTEGER AS rating,
        'It does what it says' AS text, {MOMENT} AS reviewed_at, reviewed_at AS _valid_from"""),
}  # fmt: skip


def fill(con: duckdb.DuckDBPyConnection, first: int, events: int, start: datetime, days: int, file_id: int) -> None:
    """Add rows numbered from `first`, spread over `days` from `start`."""
    for table, (one_in, columns) in ROWS.items():
        con.execute(
            f"INSERT INTO raw.{table} BY NAME SELECT {columns}, {file_id} AS _file_id, i AS _row "
            f"FROM range({first}, {first + events}) AS t(i) WHERE i % {one_in} = 0",
            {name: value for name, value in {"start": start.replace(tzinfo=None), "days": days}.items() if f"${name}" in columns},
        )
    con.execute("INSERT INTO collect.files BY NAME SELECT $id AS file_id, 'events' AS table_name, 'loaded' AS status", {"id": file_id})


def transform(home: Path, as_of: datetime, memory_gb: float, threads: int) -> None:
    """Run the three stages of one night and print what each took."""
    night = Night.open(load_settings(home=home, warehouse_memory_gb=memory_gb, threads=threads, shop="bench"), as_of)
    (night.folder / "collected.json").write_text(json.dumps({"inputs_digest": night.key}))
    for stage in STAGES:
        build(night, stage)
    steps = night.steps()
    for step in steps:
        print(f"  {step['step']:<20} {step['seconds']:7.1f} s  {step['peak_mb']:6} MB  {step['notes']}")
    print(f"  {'all':<20} {sum(step['seconds'] for step in steps):7.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--memory-gb", type=float, default=4.0)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        night = Night.open(load_settings(home=home, shop="bench"), FIRST_DAY)
        con = connect(night.warehouse, memory_gb=arguments.memory_gb, threads=2, temporary=night.shop_home / "tmp")
        prepare(con, load_contract())
        con.execute(
            f"INSERT INTO raw.products BY NAME SELECT 'p' || i AS product_id, 'Product ' || i AS title, 'Category ' || i % 50 AS category, "
            f"10.0 AS price, '1970-01-01'::TIMESTAMP AS _valid_from FROM range({PRODUCTS}) AS t(i)"
        )
        fill(con, 0, arguments.events, FIRST_DAY, DAYS, 1)
        con.close()
        print(f"{arguments.events:,} events, first night")
        transform(home, FIRST_DAY + timedelta(days=DAYS), arguments.memory_gb, arguments.threads)

        con = connect(night.warehouse, memory_gb=arguments.memory_gb, threads=2, temporary=night.shop_home / "tmp")
        fill(con, arguments.events, arguments.events // DAYS, FIRST_DAY + timedelta(days=DAYS), 1, 2)
        con.close()
        print("one more day, second night")
        transform(home, FIRST_DAY + timedelta(days=DAYS + 1), arguments.memory_gb, arguments.threads)


if __name__ == "__main__":
    main()
