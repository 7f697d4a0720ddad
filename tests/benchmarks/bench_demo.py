"""Generating a demo shop of a million events and more: events a second, seconds and peak memory; then one more day of it.

python tests/benchmarks/bench_demo.py --customers 10000 --products 2000 --days 120
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pyarrow as pa
import pyarrow.parquet as pq

from include.night import Night
from include.settings import load_settings
from include.sources import land

AS_OF = datetime(2026, 3, 1, 2, tzinfo=UTC)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--customers", type=int, default=10_000)
    arguments.add_argument("--products", type=int, default=2_000)
    arguments.add_argument("--days", type=int, default=120)
    size = arguments.parse_args()
    pa.set_cpu_count(1)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core, whatever the libraries would like
    with tempfile.TemporaryDirectory() as home:
        settings = load_settings(home=Path(home), demo_customers=size.customers, demo_products=size.products, demo_days=size.days)
        written = 0
        for name, as_of in (("history", AS_OF), ("one more day", AS_OF + timedelta(days=1))):
            night = Night.open(settings, as_of)
            land(night)
            (step,) = night.steps()
            files = list(night.landing.glob("*/*.parquet"))
            events = sum(pq.read_metadata(path).num_rows for path in files if path.parent.name == "events") - written
            megabytes = sum(path.stat().st_size for path in files) / 1e6
            print(
                f"{name}: {events:,} events in {step['seconds']:.1f} s on one core ({events / step['seconds']:,.0f} events/s), "
                f"{step['notes']['rows_written']:,} rows in all, {megabytes:.0f} MB on disk, peak memory {step['peak_mb']:,} MB"
            )
            written += events


if __name__ == "__main__":
    main()
