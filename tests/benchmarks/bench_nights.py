"""Whole nights through the real DAG, each as `make nightly` runs it: seconds, memory, rows accounted for, accuracy.

    python -m tests.benchmarks.bench_nights [demo] [second_day] [second_demo_day] [musical_instruments] [olist] ...

second_day runs two nights of a made-up shop of 25,000 customers with a year and ten million rows behind it, one day apart;
second_demo_day the same with the demo shop as it is. What they are about is all but learning, so learning is kept short there.
Memory is the sum over the night's process and all its children, looked at five times a second. Real shops' data are read from the
folder NIGHTSHELF_TEST_DATA names.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import psutil

from tests.conftest import CHECKOUT, SHOP_DATA

NIGHTS: dict[str, dict[str, str]] = {
    "demo": {"as_of": "2026-03-01T02:00:00"},
    "musical_instruments": {"source": "amazon_reviews", "data": "amazon_musical_instruments", "as_of": "2014-07-23"},
    "gift_cards": {"source": "amazon_reviews", "data": "amazon_gift_cards", "as_of": "2018-08-23"},
    "olist": {"source": "olist", "data": "olist", "as_of": "2018-10-20"},
    "online_retail": {"source": "online_retail", "data": "online_retail", "as_of": "2011-12-10"},
    "taobao": {"source": "taobao_events", "data": "taobao_events", "as_of": "2017-12-04"},
    "complete_journey": {"source": "complete_journey", "as_of": "2018-01-01"},
}
SECOND_DAY = {"as_of": "2026-03-02T02:00:00"}
# Whether a day's work costs a year's shows on a shop that has a year behind it.
SECOND_DAYS: dict[str, dict[str, str]] = {
    "second_day": {"NIGHTSHELF_DEMO_CUSTOMERS": "25000", "NIGHTSHELF_DEMO_DAYS": "365"},
    "second_demo_day": {},
}
# Learning is not counted there, so it is kept short: no sentiment, and popularity alone, as if a search had found nothing better.
WITHOUT_SENTIMENT = {"NIGHTSHELF_SENTIMENT_MIN_REVIEWS": "10000000"}
POPULARITY_ALONE = [{"night": "", "settings": {"min_validation_customers": 1_000_000}}]


def run_night(home: Path, night: dict[str, str], shop: Mapping[str, str] | None = None, checkout: Path = CHECKOUT) -> dict[str, Any]:
    """Run one night of a checkout in `home`, with the settings of `shop`.

    Returns its wall seconds, peak memory of the process tree in MB, its steps and the shop's folder.
    """
    arguments = ["--as-of", night["as_of"]]
    if "source" in night:
        arguments += ["--source", night["source"]]
    if "data" in night:
        arguments += ["--data", str(SHOP_DATA / night["data"])]
    with (home / "night.log").open("w") as log:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "include.airflow_local", "nightly", *arguments],
            cwd=checkout,
            env={**(shop or {}), **os.environ, "NIGHTSHELF_HOME": str(home)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        tree, peak = psutil.Process(process.pid), 0
        while process.poll() is None:
            peak = max(peak, _memory(tree))
            time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"The night failed; its log ends with:\n{(home / 'night.log').read_text()[-4000:]}")
    folder = max(home.glob("shops/*/nights/*"), key=lambda path: path.name)
    steps = [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]
    return {"seconds": time.perf_counter() - began, "peak_mb": peak / 2**20, "steps": steps, "shop": folder.parent.parent}


def _memory(tree: psutil.Process) -> int:
    total = 0
    for process in [tree, *tree.children(recursive=True)]:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def figures(home: Path, ran: dict[str, Any]) -> dict[str, Any]:
    """What a night came to: the row a reader of the README wants."""
    in_steps = sum(step["seconds"] for step in ran["steps"])
    learning = sum(step["seconds"] for step in ran["steps"] if step["step"].startswith("learn_"))
    row: dict[str, Any] = {
        "seconds": round(ran["seconds"]),
        "peak_mb": round(ran["peak_mb"]),
        "orchestration_share": round(1 - in_steps / ran["seconds"], 3),
        "seconds_outside_learning": round(ran["seconds"] - learning, 1),
    }
    with duckdb.connect(str(ran["shop"] / "warehouse.duckdb"), read_only=True) as warehouse:
        columns = ("rows_read", "rows_loaded", "rows_duplicate", "rows_quarantined")
        sums = warehouse.execute(f"SELECT {', '.join(f'sum({column})::BIGINT' for column in columns)} FROM collect.files").fetchone()
        row |= dict(zip(columns, sums or (), strict=True))
        row["rows_unaccounted"] = row["rows_read"] - row["rows_loaded"] - row["rows_duplicate"] - row["rows_quarantined"]
    with duckdb.connect(str(home / "serving" / "nightshelf.duckdb"), read_only=True) as release:
        row["customers"], row["customers_with_a_list"] = release.execute(
            "SELECT count(*), count(*) FILTER (customer_id IN (SELECT customer_id FROM recommendations)) FROM customer_profiles"
        ).fetchall()[0]
        row["shortest_list"] = release.execute(
            "SELECT min(places) FROM (SELECT count(*) AS places FROM recommendations GROUP BY customer_id)"
        ).fetchall()[0][0]
        metrics = release.execute(
            "SELECT metric, round(value, 4), round(baseline_value, 4) FROM model_metrics"
            " WHERE role = 'champion' AND (metric LIKE 'ndcg@10%' OR metric IN ('macro_f1', 'ece')) ORDER BY metric"
        ).fetchall()
        row |= {metric: value if baseline is None else f"{value} (baseline {baseline})" for metric, value, baseline in metrics}
    return row


def second_day(home: Path, shop: Mapping[str, str]) -> dict[str, Any]:
    """Two nights, one day apart: the row of the second, what share of the first it took outside learning, and the steps of both."""
    found = home / "shops" / "demo" / "tuned" / "recommender.json"
    found.parent.mkdir(parents=True)
    found.write_text(json.dumps(POPULARITY_ALONE))
    first, second = ((ran, figures(home, ran)) for ran in (run_night(home, night, shop) for night in (NIGHTS["demo"], SECOND_DAY)))
    before, row = first[1]["seconds_outside_learning"], second[1]
    return row | {
        "seconds_outside_learning_of_first": before,
        "share_of_first_outside_learning": round(row["seconds_outside_learning"] / before, 3),
        "steps_of_first": seconds_by_step(first[0]),
        "steps": seconds_by_step(second[0]),
    }


def seconds_by_step(ran: dict[str, Any]) -> dict[str, float]:
    return {step["step"]: round(step["seconds"], 1) for step in ran["steps"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nights", nargs="*", help=f"of {', '.join([*NIGHTS, *SECOND_DAYS])}; default: all")
    chosen = parser.parse_args().nights or [*NIGHTS, *SECOND_DAYS]
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix="nightshelf-") as folder:
            home = Path(folder)
            if name in SECOND_DAYS:
                row = second_day(home, WITHOUT_SENTIMENT | SECOND_DAYS[name])
            else:
                ran = run_night(home, NIGHTS[name])
                row = figures(home, ran) | {"steps": seconds_by_step(ran)}
            print(json.dumps({"night": name} | row), flush=True)


if __name__ == "__main__":
    main()
