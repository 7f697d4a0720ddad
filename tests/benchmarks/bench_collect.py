"""Collecting made-up events: seconds, rows a second and peak memory, for each way they can arrive.

    python tests/benchmarks/bench_collect.py --events 10000000

A first Parquet file; the same events sent again in another order with every tenth corrected; and a tenth of them as CSV and JSON lines.
Each runs in a process of its own, so that each peak is its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import duckdb

from include.night import Night, parse_as_of
from include.settings import CHECKOUT, load_settings

EVENTS = """
    SELECT 'e' || lpad(i::VARCHAR, 10, '0') AS event_id,
        ['view', 'cart', 'wishlist', 'search', 'view'][1 + (hash(i) % 5)::INTEGER] AS event_type,
        TIMESTAMP '2025-01-01' + to_milliseconds(i * 3110) AS occurred_at, 'c' || hash(i, 1) % 100000 AS customer_id,
        's' || i // 7 AS session_id, 'p' || hash(i, 2) % 50000 AS product_id, hash(i, 3) % 20 + 1 AS position"""


def collect_once(home: Path, landing: Path) -> dict[str, float]:
    """Collect in a new process; the step's own seconds and peak."""
    code = "import sys; from include.collect import collect; from include.night import Night; collect(Night.load(sys.argv[1]))"
    night = Night.open(load_settings(home=home, source="files", data=landing), parse_as_of("2026-03-01"))
    subprocess.run([sys.executable, "-c", code, str(night.folder)], cwd=CHECKOUT, check=True)
    (step,) = night.steps()
    return {"seconds": step["seconds"], "peak_mb": step["peak_mb"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    events = parser.parse_args().events
    with tempfile.TemporaryDirectory() as folder:
        landing = Path(folder) / "landing"
        (landing / "events").mkdir(parents=True)
        (landing / "products.csv").write_text("product_id\np1\n")
        corrected = f"{EVENTS[: EVENTS.rindex('hash(i, 3)')]} CASE WHEN i % 10 = 0 THEN 99 ELSE hash(i, 3) % 20 + 1 END AS position"
        arrivals = {
            "first.parquet": (events, f"{EVENTS} FROM range({events}) t(i)", ""),
            "again.parquet": (events, f"{corrected} FROM range({events - 1}, -1, -1) t(i)", ""),
            "csv.csv": (events // 10, f"{EVENTS} FROM range({events}, {events + events // 10}) t(i)", "(HEADER)"),
            "json.jsonl": (events // 10, f"{EVENTS} FROM range({events * 2}, {events * 2 + events // 10}) t(i)", "(FORMAT json)"),
        }
        for name, (rows, select, options) in arrivals.items():
            duckdb.execute(f"COPY ({select}) TO '{landing / 'events' / name}' {options}")
            figures = collect_once(Path(folder) / "home", landing)
            line = {"benchmark": "collect", "arrival": name, "rows": rows, **figures, "rows_per_second": round(rows / figures["seconds"])}
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
