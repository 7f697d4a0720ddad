"""What is removed and what stays, on the real folders of a night and copies of them under other dates."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from mlflow import MlflowClient

from include.learn.learn import earlier_predictions
from include.learn.tune import latest_night
from include.night import Night, parse_as_of
from include.report.figures import NightFigures
from include.retention import prune

pytestmark = pytest.mark.slow

Shop = Callable[..., Night]


@pytest.fixture
def shop(published_night: Night, tmp_path: Path) -> Shop:
    """The published night's home with more nights in it: shop(["2026-02-01", ...], keep_nights=2) gives its last night."""

    def shop(nights: list[str], **settings: Any) -> Night:
        home = tmp_path / "home"
        shutil.copytree(published_night.home, home, ignore=shutil.ignore_patterns("models", "docs"))
        opened = [
            Night(settings=published_night.settings.model_copy(update={"home": home} | settings), as_of=parse_as_of(as_of))
            for as_of in nights
        ]
        for night in opened:
            for kind in ("features", "predictions", "nights"):
                shutil.copytree(published_night.shop_home / kind / published_night.key, night.shop_home / kind / night.key)
        return Night.open(opened[-1].settings, opened[-1].as_of)

    return shop


def keys(night: Night, kind: str) -> list[str]:
    return sorted(path.name[4:8] for path in (night.shop_home / kind).glob("*"))


def notes(night: Night) -> dict[str, Any]:
    return next(step["notes"] for step in night.steps() if step["step"] == "prune")


def test_working_files_of_the_latest_nights_stay(shop: Shop) -> None:
    night = shop([f"2026-03-{day:02d}" for day in range(2, 8)], keep_nights=2)
    tables = read(night, "FROM serving.recommendations ORDER BY ALL")
    prune(night)
    assert keys(night, "features") == keys(night, "predictions") == ["0306", "0307"]
    assert len(keys(night, "nights")) == 7 and not (night.shop_home / "nights" / "20260303T000000" / "dbt").exists()
    assert notes(night)["freed_mb"] > 10 and notes(night)["held_mb"]["shops/demo/warehouse.duckdb"] > 1
    assert latest_night(night.settings).key == night.key and read(night, "FROM serving.recommendations ORDER BY ALL") == tables
    figures = NightFigures(night)
    try:
        assert len({row["model"] for row in figures.metrics_over_nights()}) > 1, "the report knows the figures of pruned nights"
    finally:
        figures.close()
    assert len(list((night.shop_home / "nights").glob("*/metrics_*.parquet"))) == 5 * len(list(night.predictions.glob("metrics_*")))


def test_what_a_later_night_reads_stays_whatever_its_age(shop: Shop) -> None:
    """Nights that failed leave no predictions and no alerts: the last good one must outlive them."""
    night = shop([f"2026-03-{day:02d}" for day in range(2, 8)], keep_nights=1)
    for day in range(3, 8):
        shutil.rmtree(night.shop_home / "predictions" / f"202603{day:02d}T000000")
        (night.shop_home / "features" / f"202603{day:02d}T000000" / "sentiment_alerts.parquet").unlink(missing_ok=True)
    prune(night)
    earlier = earlier_predictions(night, "recommender")
    assert earlier and earlier.name == "20260302T000000" and (earlier / "recommendations.parquet").exists()
    assert keys(night, "features") == ["0302", "0306", "0307"], "the last good one, the one before this night, and this night"
    assert latest_night(night.settings).key == "20260302T000000"


def test_a_past_night_takes_nothing_from_later_ones(shop: Shop) -> None:
    night = shop(["2026-03-05", "2026-03-06", "2026-02-27", "2026-02-28"], keep_nights=1)
    prune(night)
    assert keys(night, "predictions") == ["0227", "0228", "0301", "0305", "0306"]


def test_a_home_above_its_size_gives_up_older_nights(shop: Shop) -> None:
    night = shop([f"2026-03-{day:02d}" for day in range(2, 8)], max_disk_gb=0.0001)
    prune(night)
    assert keys(night, "features") == ["0306", "0307"]
    assert notes(night)["over_limit_mb"] > 0, "what must stay is more than the limit, and that is said"


def test_refused_rows_runs_logs_and_reports_go_with_their_age(shop: Shop, tmp_path: Path) -> None:
    night = shop(["2026-03-02", "2026-06-01"], keep_days=60, trailing_nights=1)
    with duckdb.connect(str(night.warehouse)) as warehouse:
        warehouse.execute(
            "INSERT INTO collect.quarantine SELECT 1, 'events', 'a.csv', i, 'price', 'x', 'not a number', as_of"
            " FROM range(1000) t(i), (VALUES (TIMESTAMP '2026-03-02'), (TIMESTAMP '2026-05-30')) u(as_of)"
        )
        ledger = warehouse.execute("SELECT sum(rows_read), sum(rows_quarantined) FROM collect.files").fetchall()
        before = warehouse.execute("SELECT count(*) FROM collect.quarantine").fetchall()[0][0]
    client = MlflowClient(f"sqlite:///{night.home / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(night.shop)
    assert experiment is not None
    for key in ("20260302T000000", night.key):
        client.create_run(experiment.experiment_id, run_name=key, tags={"night": key})
    registered = {version.run_id for version in client.search_model_versions()}
    logs = tmp_path / "logs"
    for name, days in (("old", 61), ("young", 59)):
        (logs / name).mkdir(parents=True)
        (logs / name / "a.log").write_text("")
        os.utime(logs / name / "a.log", (time.time() - 86_400 * days,) * 2)
    (night.reports / f"{night.shop}-20260302T000000.html").write_text("")

    prune(night, logs)
    assert read(night, "SELECT DISTINCT as_of::DATE::VARCHAR FROM collect.quarantine") == [("2026-05-30",)]
    assert notes(night)["quarantined_rows"] == before - 1000
    assert read(night, "SELECT sum(rows_read), sum(rows_quarantined) FROM collect.files") == ledger, "every row stays accounted for"
    runs = client.search_runs([experiment.experiment_id])
    assert night.key in {run.info.run_name for run in runs} and "20260302T000000" not in {run.info.run_name for run in runs}
    assert registered <= {run.info.run_id for run in runs}, "a registered model's run stays"
    assert not list(client.search_runs([experiment.experiment_id], run_view_type=2)), "and the others are gone for good"
    assert [path.name for path in logs.rglob("*.log")] == ["a.log"] and (logs / "young" / "a.log").exists()
    assert [path.name for path in night.reports.glob("demo-*")] == []
    assert keys(night, "nights") == ["0302", "0601"], "the night before and this one"


def read(night: Night, query: str) -> list[tuple]:
    with duckdb.connect(str(night.warehouse), read_only=True) as warehouse:
        return warehouse.execute(query).fetchall()
