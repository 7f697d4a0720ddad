"""What a home holds night by night: a few real nights, then as many simulated ones, each pruned as a night is.

    python -m tests.benchmarks.bench_disk [--nights 2] [--simulated 60]

The real nights are of a small demo shop, every step of them, so that their megabytes are what a night of it leaves. A simulated night is
no night: it is a copy of the last real one's folders (features, predictions, its own notes with what dbt wrote, its report) under the next
date, with a thousand refused rows of its own in the warehouse, a file in the ledger and a run in MLflow for each model. Then the real
`prune` runs on it. Not simulated are what grows with the shop itself (landing files, raw tables), releases and kept models, which are
pruned where they are made, and Airflow's logs. Without `prune` every simulated night would add what it frees in the end.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
from mlflow import MlflowClient

from include.night import Night, parse_as_of
from include.retention import prune
from include.settings import load_settings
from ml.model_spec import known_models
from tests.benchmarks.bench_kills import SMALL_SHOP
from tests.whole_night import run

FIRST = parse_as_of("2026-03-01")
SETTINGS = SMALL_SHOP | {"keep_nights": 14, "keep_days": 30}
KINDS = ("features", "predictions", "nights")
SHOWN = 10  # nights between two lines
REFUSED = 1000  # rows a simulated night


def pruned(night: Night) -> dict[str, Any]:
    """What the night's `prune` noted: megabytes freed, and held by folder."""
    return dict(next(step["notes"] for step in night.steps() if step["step"] == "prune"))


def keep_template(night: Night, template: Path) -> None:
    """What a night left in folders of its own, put aside."""
    for kind in KINDS:
        shutil.copytree(night.shop_home / kind / night.key, template / kind)
    shutil.copyfile(night.reports / f"{night.shop}-{night.key}.html", template / "report.html")


def simulate(last: Night, template: Path) -> Night:
    """The night after `last`, made of copies of a real one."""
    night = Night(settings=last.settings, as_of=last.as_of + timedelta(days=1))
    for kind in KINDS:
        shutil.copytree(template / kind, night.shop_home / kind / night.key)
    shutil.copyfile(template / "report.html", night.reports / f"{night.shop}-{night.key}.html")
    with duckdb.connect(str(night.warehouse)) as warehouse:
        warehouse.execute(
            """INSERT INTO collect.files BY NAME SELECT * REPLACE (file_id + 1 AS file_id, $as_of::TIMESTAMP AS as_of)
            FROM collect.files ORDER BY file_id DESC LIMIT 1""",
            {"as_of": night.as_of_sql},
        )
        warehouse.execute(
            """INSERT INTO collect.quarantine SELECT (SELECT max(file_id) FROM collect.files), 'events', $night || '.csv', i, 'price',
            md5(i::VARCHAR || $night), 'not a number', $as_of::TIMESTAMP FROM range($rows) t(i)""",
            {"night": night.key, "as_of": night.as_of_sql, "rows": REFUSED},
        )
    client = MlflowClient(f"sqlite:///{night.home / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(night.shop)
    assert experiment is not None
    for model in known_models():
        made = client.create_run(experiment.experiment_id, run_name=f"{model} {night.key}", tags={"model": model, "night": night.key})
        for number in range(30):
            client.log_metric(made.info.run_id, f"figure {number}", number)
        client.set_terminated(made.info.run_id)
    return Night.open(night.settings, night.as_of)


def tell(night: Night, number: int, kind: str) -> None:
    notes = pruned(night)
    total = sum(notes["held_mb"].values())
    line = {"night": number, "kind": kind, "total_mb": round(total, 1), "freed_mb": notes["freed_mb"], "held_mb": notes["held_mb"]}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nights", type=int, default=2, help="real ones")
    parser.add_argument("--simulated", type=int, default=60)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nightshelf-disk-") as folder:
        settings = load_settings(home=Path(folder) / "home", **SETTINGS)
        for number in range(asked.nights):
            night = Night.open(settings, FIRST + timedelta(days=number))
            run(night)
            tell(night, number + 1, "real")
        keep_template(night, template := Path(folder) / "template")
        for number in range(asked.nights + 1, asked.nights + asked.simulated + 1):
            night = simulate(night, template)
            prune(night)
            if number % SHOWN == 0 or number == asked.nights + asked.simulated:
                tell(night, number, "simulated")
    return 0


if __name__ == "__main__":
    sys.exit(main())
