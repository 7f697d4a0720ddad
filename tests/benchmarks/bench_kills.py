"""A night killed a hundred times and more, at random moments of every step, while readers poll what is served.

    python -m tests.benchmarks.bench_kills [--kills 105] [--seed 1]

A small demo shop has its first night; its home is copied. In the copy the second night runs undisturbed. In the home every step of the
second night is begun and killed with SIGKILL at a moment drawn from the time the step took undisturbed, so many times. After every few
kills it is run again to its end; else the next kill falls into the try after. A step is a process of its own, as under the scheduler.
Before it is pruned, some older nights are laid down for it to prune. All the while readers open the served release: all tables must be of
one release and hold as many rows as that release's own file. In the end both homes must hold the same tables, the same warehouse, the same
record of models and the same files. What differs is printed, and fails.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb

from include.night import Night, parse_as_of
from include.settings import load_settings
from tests.conftest import CHECKOUT
from tests.whole_night import STEPS, kill_midway, run, tables

# Every model learns something, and no step takes longer than a kill needs.
SMALL_SHOP: dict[str, Any] = {
    "demo_customers": 150,
    "demo_products": 40,
    "demo_days": 30,
    "list_length": 5,
    "similar_length": 3,
    "sentiment_min_reviews": 20,
    "sentiment_max_train_reviews": 60,
    "sentiment_regime": "head",
    "sentiment_epochs": 1,
    "sentiment_max_tokens": 16,
    "keep_nights": 2,
    "keep_days": 30,
    "trailing_nights": 1,
    "threads": 1,
}
FIRST, SECOND = "2026-03-01", "2026-03-02"
OLDER = ("20260101T000000", "20260102T000000", "20260103T000000")
READERS = 2

# Prints what it saw of each release, as JSON: release_id, the ids in its tables, rows by table, and how often.
READER = """
import collections, duckdb, json, pathlib, sys, time
serving, stop = map(pathlib.Path, sys.argv[1:3])
seen = collections.Counter()
while not stop.exists():
    with duckdb.connect(str(serving), read_only=True) as release:
        names = [name for (name,) in release.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()]
        rows, ids = {}, set()
        for name in names:
            found = release.execute(f'SELECT release_id, count(*) FROM "{name}" GROUP BY ALL').fetchall()
            rows[name] = sum(count for _, count in found)
            ids |= {id for id, _ in found}
    seen[json.dumps([sorted(ids), rows], sort_keys=True)] += 1
    time.sleep(0.3)
print(json.dumps(sorted(seen.items())))
"""


def lay_down_older_nights(night: Night) -> None:
    """Give the shop nights that are old enough to go: copies of the first one's folders."""
    for kind in ("features", "predictions", "nights"):
        first = next(path for path in sorted((night.shop_home / kind).glob("*")) if path.name.startswith("20260301"))
        for key in OLDER:
            shutil.copytree(first, night.shop_home / kind / key, dirs_exist_ok=True)


def spread(kills: int, usual: dict[str, float]) -> dict[str, int]:
    """So many kills over the steps, two at least for each: the quicker a step is, the more it gets."""
    weights = {step: 1 / math.sqrt(usual[step]) for step in STEPS}
    return {step: max(2, math.ceil(kills * weight / sum(weights.values()))) for step, weight in weights.items()}


def kill_in_every_step(night: Night, kills: dict[str, int], in_a_row: int, draw: random.Random, usual: dict[str, float]) -> Counter[str]:
    """Kill every step so many times, and run it to its end after so many in a row; returns the kills that landed."""
    landed: Counter[str] = Counter()
    for step in STEPS:
        began = time.perf_counter()
        for kill in range(1, kills[step] + 1):
            if step == "prune":
                lay_down_older_nights(night)
            share = draw.random()
            # a step that was over before the kill is killed earlier
            landed[step] += any(kill_midway(night, step, usual[step] * share / divisor) for divisor in (1, 2, 4, 16))
            if kill % in_a_row == 0 or kill == kills[step]:
                run(night, (step,))
        say(f"{step}: {landed[step]} kills, {time.perf_counter() - began:.0f} s")
    return landed


def whole_reads(home: Path, told: list[str]) -> tuple[int, list[str]]:
    """How often readers looked, and what they saw that is not one whole release."""
    reads, faults = 0, []
    for ids, rows, times in ((*json.loads(saw), times) for reader in told for saw, times in json.loads(reader)):
        reads += times
        if len(ids) != 1:
            faults.append(f"a reader saw tables of {len(ids)} releases at once: {ids}")
        elif rows != (whole := {name: len(content) for name, content in tables(home / "releases" / f"{ids[0]}.duckdb").items()}):
            faults.append(f"a reader saw other rows of {ids[0]} than it has: {rows}, not {whole}")
    return reads, faults


def differences(killed: Night, undisturbed: Night) -> list[str]:
    """What the two homes hold that is not the same."""
    found = []
    for what, mine, other in (
        ("release", tables(killed.serving), tables(undisturbed.serving)),
        ("warehouse", warehouse(killed), warehouse(undisturbed)),
        ("MLflow", tracked(killed), tracked(undisturbed)),
    ):
        found += [f"{what}: {name} differs" for name in sorted(mine.keys() | other.keys()) if mine.get(name) != other.get(name)]
    mine, other = files(killed.home), files(undisturbed.home)
    found += [f"left behind: {name} ({(mine - other)[name]})" for name in sorted(mine - other)]
    found += [f"missing: {name} ({(other - mine)[name]})" for name in sorted(other - mine)]
    return found


def warehouse(night: Night) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of what collecting wrote, but for when it did."""
    with duckdb.connect(str(night.warehouse), read_only=True) as connection:
        names = connection.execute(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE schema_name IN ('raw', 'collect') ORDER BY 1"
        ).fetchall()
        return {
            name: connection.execute(
                f"SELECT {'* EXCLUDE (collected_at)' if name == 'collect.files' else '*'} FROM {name} ORDER BY ALL"
            ).fetchall()
            for (name,) in names
        }


def tracked(night: Night) -> dict[str, int]:
    """Runs by name and registered versions by model and night."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{night.home / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(night.shop)
    assert experiment is not None
    runs = Counter(run.info.run_name for run in client.search_runs([experiment.experiment_id]))
    versions = Counter(f"version of {version.name} {version.tags['night']}" for version in client.search_model_versions())
    return dict(runs + versions)


def files(home: Path) -> Counter[str]:
    """Paths below a home, without what differs from run to run in their names."""
    drawn = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f-]{27}")
    return Counter(drawn.sub("*", str(path.relative_to(home))) for path in home.rglob("*"))


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=105, help="over all steps, at least")
    parser.add_argument("--in-a-row", type=int, default=4, help="before a step is run to its end")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nightshelf-kills-") as folder:
        home, copy = Path(folder) / "home", Path(folder) / "undisturbed"
        run(Night.open(load_settings(home=home, **SMALL_SHOP), parse_as_of(FIRST)))
        shutil.copytree(home, copy)
        undisturbed = Night.open(load_settings(home=copy, **SMALL_SHOP), parse_as_of(SECOND))
        run(undisturbed)
        usual = {step["step"]: step["seconds"] for step in undisturbed.steps()}
        say(f"An undisturbed night: {sum(usual.values()):.0f} s in its steps")

        stop = Path(folder) / "stop"
        command = [sys.executable, "-c", READER, str(home / "serving" / "nightshelf.duckdb"), str(stop)]
        readers = [subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) for _ in range(READERS)]
        killed = Night.open(load_settings(home=home, **SMALL_SHOP), parse_as_of(SECOND))
        try:
            landed = kill_in_every_step(killed, spread(asked.kills, usual), asked.in_a_row, random.Random(asked.seed), usual)
        finally:
            stop.touch()
        told = [reader.communicate()[0] for reader in readers]
        reads, faults = whole_reads(home, [saw for saw in told if saw])
        faults += [f"{sum(not saw for saw in told)} readers ended with an error"] if not all(told) else []
        faults += differences(killed, undisturbed)
    say(json.dumps({"kills": sum(landed.values()), "by_step": landed, "seed": asked.seed, "reads": reads, "faults": len(faults)}))
    for fault in faults:
        say(f"FAULT: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
