"""The search for settings: the real DAG, killed and gone on with, and what later nights make of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pyarrow.parquet as pq
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from test_nightly import local_environment

from include.learn import learn
from include.learn.backtest import write_backtest
from include.learn.search import STUDY
from include.learn.tuned import found_before, keep_found, tuned_file, with_found
from include.night import Night, parse_as_of
from include.settings import CHECKOUT, load_settings
from ml.recommend.config import RecommenderConfig
from ml.recommend.spec import SPECS
from tests.conftest import QUICK_SENTIMENT, TINY_SHOP
from tests.processes import running, wait_until

pytestmark = pytest.mark.slow

TUNE = [sys.executable, "-m", "include.airflow_local", "tune"]


@pytest.fixture
def night(home: Path, published_night: Night) -> Night:
    """A night of one's own, as the published one left it."""
    shutil.copytree(published_night.home / "shops", home / "shops")
    return Night.open(load_settings(home=home, threads=1, **TINY_SHOP, **QUICK_SENTIMENT), published_night.as_of)


@pytest.mark.timeout(400)
def test_a_search_that_was_killed_goes_on(night: Night, tmp_path: Path) -> None:
    folder = night.shop_home / "tuning" / night.key
    environment = local_environment(night.home, tune_trials=4, tune_minutes=5, threads=1)
    log = tmp_path / "log"
    with running(TUNE, environment, log, CHECKOUT) as search:
        wait_until(lambda: (folder / "trial-1.parquet").exists(), 180, "the second trial ends", log, every=0.05)
        os.killpg(search.pid, signal.SIGKILL)
        search.wait()
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("trial-*.parquet")}
    done = subprocess.run(TUNE, env=environment, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]

    study = optuna.load_study(storage=JournalStorage(JournalFileBackend(str(folder / "journal.log"))), study_name=STUDY)
    ended = [trial for trial in study.trials if trial.state.name in ("COMPLETE", "PRUNED")]
    assert len(ended) == 4 and {trial.state.name for trial in study.trials} <= {"COMPLETE", "PRUNED", "FAIL"}
    assert {name: (folder / name).stat().st_mtime_ns for name in before} == before, "what had ended is not run again"
    config = RecommenderConfig()
    assert study.trials[0].params == {name: getattr(config, name) for name in SPECS[0].search}, "the settings in force come first"
    assert all(found.low <= trial.params[name] <= found.high for trial in ended for name, found in SPECS[0].search.items())
    assert not list(folder.glob(".backtest-*"))

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{night.home / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(night.shop)
    (run,) = client.search_runs([experiment.experiment_id], "tags.search LIKE '%better'")
    assert set(run.data.params) == set(SPECS[0].search)
    assert (run.data.tags["search"] == "better") == tuned_file(night, "recommender").exists()


def test_a_shop_without_a_night_is_told(home: Path) -> None:
    done = subprocess.run(TUNE, env=local_environment(home), cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Task search failed. Cause: Shop demo has no night to tune on Next: Run a night of this shop first." in done.stdout + done.stderr


def test_a_later_night_uses_what_was_found(night: Night) -> None:
    keep_found(night, "recommender", {"settings": {"fade": 0.65, "no_longer_there": 3.0}, "gain": 0.01})
    assert found_before(night, "recommender") == {}, "a night run again is the same"
    later = Night.open(night.settings, parse_as_of("2026-03-02"))
    shutil.copytree(night.features, later.features)
    learn(later, "recommender")
    kept = json.loads((later.models / "recommender" / later.key / "judged" / "config.json").read_text())
    assert kept["fade"] == 0.65
    assert next(step for step in later.steps() if step["step"] == "learn_recommender")["notes"]["tuned"]["fade"] == 0.65
    keep_found(later, "recommender", {"settings": {"fade": 0.9}})
    assert with_found(Night(settings=night.settings, as_of=parse_as_of("2026-03-03")), "recommender", RecommenderConfig()).fade == 0.9
    assert with_found(later, "recommender", RecommenderConfig()).fade == 0.65


def test_a_backtest_knows_nothing_of_the_test_days(night: Night, tmp_path: Path) -> None:
    write_backtest(night, tmp_path / "all", 1.0)
    write_backtest(night, tmp_path / "some", 0.5)

    def rows(folder: Path, name: str) -> list[dict]:
        return pq.read_table(folder / f"{name}.parquet").to_pylist()

    real = {row["split"]: row for row in rows(night.features, "splits")}
    splits = {row["split"]: row for row in rows(tmp_path / "all", "splits")}
    assert (splits["test"]["starts_at"], splits["test"]["ends_at"]) == (real["validation"]["starts_at"], real["test"]["starts_at"])
    assert splits["train"]["starts_at"] <= splits["validation"]["starts_at"] <= splits["test"]["starts_at"]
    interactions = rows(tmp_path / "all", "interactions")
    assert interactions and max(row["occurred_at"] for row in interactions) < real["test"]["starts_at"]
    for row in interactions:
        assert splits[row["split"]]["starts_at"] <= row["occurred_at"] < splits[row["split"]]["ends_at"]
    labels = {(row["customer_id"], row["product_id"]) for row in rows(tmp_path / "all", "labels") if row["split"] == "test"}
    assert labels == {(row["customer_id"], row["product_id"]) for row in rows(night.features, "labels") if row["split"] == "validation"}
    reviewed = [row["reviewed_at"] for row in rows(tmp_path / "all", "review_scores")]
    assert reviewed and max(reviewed) < real["test"]["starts_at"]
    some, every = ({row["customer_id"] for row in rows(tmp_path / part, "customers")} for part in ("some", "all"))
    assert some < every and {row["customer_id"] for row in rows(tmp_path / "some", "interactions")} <= some
