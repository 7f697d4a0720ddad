"""The record in a real MLflow: what stands in it after nights that were run again, broke midway or were killed."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from include.learn.tracking import Record, RecordedSearch, record, record_search
from include.night import Night

pytestmark = pytest.mark.slow


@pytest.fixture
def tiny_night(open_night: Callable[..., Night], tmp_path: Path) -> Callable[..., Night]:
    return lambda as_of: open_night(as_of, source="files", shop="tiny", home=tmp_path / "it's 20%20 %s {0} é")


def client_of(night: Night) -> MlflowClient:
    return MlflowClient(f"sqlite:///{quote(str(night.home / 'mlflow' / 'mlflow.db'))}")


def runs_of(night: Night) -> list[Any]:
    client = client_of(night)
    return list(client.search_runs([client.get_experiment_by_name(night.shop).experiment_id]))


def keep(night: Night, role: str) -> None:
    folder = night.models / "sentiment" / night.key
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "meta.json").write_text(json.dumps({"role": role}))


def entry(value: float, is_champion: bool = True, **params: Any) -> Record:
    role = "champion" if is_champion else "challenger"
    return Record("sentiment", params, [{"role": role, "metric": "ndcg@10 of=new", "value": value}], is_champion)


def test_a_night_recorded_again_shows_what_it_came_to_last(tiny_night: Callable[..., Night]) -> None:
    first, night = tiny_night("2026-03-01"), tiny_night("2026-03-02")
    keep(first, "champion")
    record(first, entry(0.5))
    keep(night, "champion")
    record(night, entry(0.9, epochs=3, gone=1))
    keep(night, "challenger")
    many = {f"p{number}": number for number in range(250)}
    run_id = record(night, entry(0.2, is_champion=False, epochs=4, long="x" * 7000, **many))

    runs = {run.data.tags["night"]: run for run in runs_of(night)}
    assert len(runs_of(night)) == 2 and {run.info.status for run in runs.values()} == {"FINISHED"}
    assert runs[night.key].info.run_id == run_id and runs[night.key].data.metrics == {"challenger.ndcg_at_10 of new": 0.2}
    params = runs[night.key].data.params
    assert params["epochs"] == "4" and params["p249"] == "249" and "gone" not in params

    client = client_of(night)
    versions = {version.tags["night"]: version for version in client.search_model_versions("name = 'tiny.sentiment'")}
    assert len(client.search_model_versions("name = 'tiny.sentiment'")) == 2 and versions[night.key].run_id == run_id
    for role, where in (("champion", first), ("challenger", night)):
        assert client.get_model_version_by_alias("tiny.sentiment", role).tags["night"] == where.key
    record(first, entry(0.6))
    assert client.get_model_version_by_alias("tiny.sentiment", "champion").tags["night"] == first.key
    assert len(runs_of(night)) == 2 and len(client.search_model_versions("name = 'tiny.sentiment'")) == 2


def test_a_record_that_breaks_midway_is_failed_and_made_anew(tiny_night: Callable[..., Night], monkeypatch: pytest.MonkeyPatch) -> None:
    night, other = tiny_night("2026-03-02"), tiny_night("2026-03-01")
    keep(night, "champion")
    for step in ("log_batch", "create_model_version", "set_registered_model_alias"):
        with monkeypatch.context() as broken:
            broken.setattr(MlflowClient, step, _refuse)
            assert record(night, entry(0.9)) == "not recorded: MlflowException"
        assert {run.info.status for run in runs_of(night)} == {"FAILED"}
    # What a kill leaves: a run that nobody ends, of this night and of an earlier one.
    client = client_of(night)
    experiment = client.get_experiment_by_name("tiny").experiment_id
    for killed in (night, other):
        client.create_run(experiment, tags={"model": "sentiment", "night": killed.key, "shop": "tiny"})
    search = client.create_run(experiment, tags={"model": "sentiment", "night": night.key, "shop": "tiny", "search": "better"})
    record(night, entry(0.4))
    left = {run.info.run_id: run for run in runs_of(night)}
    assert left.pop(search.info.run_id).info.status == "RUNNING", "a search is another matter"
    assert {run.data.tags["night"]: run.info.status for run in left.values()} == {night.key: "FINISHED", other.key: "KILLED"}
    assert len(left) == 2 and len(client.search_model_versions("name = 'tiny.sentiment'")) == 1


def test_a_search_gone_on_with_is_one_run(tiny_night: Callable[..., Night]) -> None:
    night = tiny_night("2026-03-01")
    trials = [{"number": number, "state": "COMPLETE", "value": 0.1 * number, "settings": {"fade": 0.7}} for number in range(3)]
    record_search(night, RecordedSearch("recommender", {"fade": 0.9}, {"gain": 0.2}, True, trials[:2]))
    run_id = record_search(night, RecordedSearch("recommender", {"fade": 0.7}, {"gain": 0.1}, False, trials))
    (run,) = runs_of(night)
    assert run.info.run_id == run_id and run.data.params == {"fade": "0.7"} and run.data.tags["search"] == "not better"
    assert run.data.metrics == {"gain": 0.1, "trial.ndcg_at_10": 0.2}
    assert [kept.step for kept in client_of(night).get_metric_history(run_id, "trial.ndcg_at_10")] == [0, 1, 2]


def test_models_learned_side_by_side_are_both_recorded(tiny_night: Callable[..., Night]) -> None:
    """In a home where MLflow has no database yet."""
    night = tiny_night("2026-03-01")
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        entries = [
            Record(name, {}, [{"role": "champion", "metric": "f1", "value": 0.5}], is_champion=True) for name in ("aspects", "price")
        ]
        said = list(processes.map(record, [night, night], entries))
    assert {run.info.run_id for run in runs_of(night)} == set(said), said


def test_a_deleted_experiment_is_told_with_the_way_out(tiny_night: Callable[..., Night], caplog: pytest.LogCaptureFixture) -> None:
    night = tiny_night("2026-03-01")
    record(night, entry(0.5))
    client = client_of(night)
    experiment = client.get_experiment_by_name("tiny").experiment_id
    client.delete_experiment(experiment)
    told = record(night, entry(0.4))
    assert told.startswith("not recorded: The MLflow experiment 'tiny' is deleted and takes no runs.")
    command = f"mlflow experiments restore --experiment-id {experiment}"
    assert command in told and command in caplog.text
    client.restore_experiment(experiment)
    assert not record(night, entry(0.4)).startswith("not recorded")
    assert [run.data.metrics for run in runs_of(night)] == [{"champion.ndcg_at_10 of new": 0.4}]


def _refuse(*_: Any, **__: Any) -> None:
    raise MlflowException("the disk is full")
