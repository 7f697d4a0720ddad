"""Point lookups of one customer's list in a release of a million customers, on an open read-only connection: milliseconds.

    python -m tests.benchmarks.bench_lookup --customers 1000000

The file is laid out as publishing lays a release out: sorted by customer and rank. Each lookup is of another customer, drawn by chance.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np

LIST_LENGTH, LOOKUPS, SEED = 20, 1_000, 20

PRODUCT = "'P' || lpad((hash(c, {seed}) % 50000)::VARCHAR, 6, '0')"
LISTS = f"""
    CREATE TABLE recommendations AS
    SELECT 'C' || lpad(c::VARCHAR, 9, '0') AS customer_id, r::INTEGER AS rank, {PRODUCT.format(seed="r")} AS product_id, 1.0 / r AS score,
        ['collaborative', 'content', 'popular'][1 + (hash(r, c) % 3)::INTEGER] AS strategy,
        'Because you bought product ' || hash(c, r, 1) % 50000 AS reason, {PRODUCT.format(seed="r, 1")} AS because_product_id,
        '20260301T020000-0123abcd' AS release_id
    FROM range($customers) AS customers(c), range(1, {LIST_LENGTH} + 1) AS places(r) ORDER BY customer_id, rank"""


def make_release(path: Path, customers: int) -> None:
    """A release that holds nothing but the lists."""
    with duckdb.connect(str(path), config={"memory_limit": "2GB", "threads": 2}) as connection:
        connection.execute("SET temp_directory = $folder", {"folder": str(path.parent / "tmp")})
        connection.execute(LISTS, {"customers": customers})


def lookup_seconds(path: Path, customers: int) -> np.ndarray:
    """(LOOKUPS,) seconds of each lookup, the first ones after opening left out."""
    seconds = []
    with duckdb.connect(str(path), read_only=True) as connection:
        for customer in np.random.default_rng(SEED).integers(0, customers, LOOKUPS + 10):
            began = time.perf_counter()
            rows = connection.execute(
                "SELECT rank, product_id, reason FROM recommendations WHERE customer_id = $customer ORDER BY rank",
                {"customer": f"C{customer:09}"},
            ).fetchall()
            seconds.append(time.perf_counter() - began)
            assert len(rows) == LIST_LENGTH
    return np.array(seconds[10:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=1_000_000)
    customers = parser.parse_args().customers
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "release.duckdb"
        make_release(path, customers)
        milliseconds = 1000 * lookup_seconds(path, customers)
        line = {
            "benchmark": "lookup",
            "rows": customers * LIST_LENGTH,
            "file_mb": round(path.stat().st_size / 1e6),
            "median_ms": round(float(np.median(milliseconds)), 2),
            "p99_ms": round(float(np.quantile(milliseconds, 0.99)), 2),
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
