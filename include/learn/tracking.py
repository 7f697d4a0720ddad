"""The record of all models in MLflow: one run a model and night, and a registered model with the aliases champion and challenger.

MLflow is the record people look at; the kept folders are the truth that nights go by. So when the tracking server cannot be reached,
that is said and the night goes on: publishing matters more than the record.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from include.learn.shelf import kept_versions
from include.night import Night

log = logging.getLogger(__name__)

# Nothing is sent to MLflow's makers; a dead server costs seconds, not minutes.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


@dataclass(frozen=True)
class Record:
    """What is recorded of one model's night.

    Attributes:
        name: the model's.
        params: its config.
        figures: rows of role, metric, value.
        is_champion: whether tonight's version became champion.
    """

    name: str
    params: dict[str, Any]
    figures: list[dict[str, Any]]
    is_champion: bool


@dataclass(frozen=True)
class RecordedSearch:
    """What is recorded of a search for settings.

    Attributes:
        name: the model's.
        settings: the best ones.
        figures: their gain and its bounds, where there is one.
        better: whether later nights use them.
        trials: each with number, state, value and settings.
    """

    name: str
    settings: Mapping[str, float]
    figures: Mapping[str, float]
    better: bool
    trials: Sequence[Mapping[str, Any]]


def record(night: Night, entry: Record) -> str:
    """Record one model's night; returns the MLflow run id, or why there is none."""
    try:
        return _record(night, entry)
    except Exception as error:
        log.warning("%s: not recorded in MLflow, the night goes on: %s: %s", entry.name, type(error).__name__, error)
        return f"not recorded: {type(error).__name__}"


def _record(night: Night, entry: Record) -> str:
    client = _client(night)
    run = client.create_run(
        _experiment(client, night),
        run_name=f"{entry.name} {night.key}",
        tags={"model": entry.name, "night": night.key, "shop": night.shop},
    )
    run_id = str(run.info.run_id)
    for param, setting in entry.params.items():
        client.log_param(run_id, param, setting)
    for row in entry.figures:
        metric = f"{row['role']}.{row['metric'].replace('@', '_at_').replace('=', ' ')}"  # MLflow takes neither
        client.log_metric(run_id, metric, row["value"], timestamp=int(night.as_of.timestamp() * 1000))
    _register(client, night, entry, run_id, str(run.info.artifact_uri))
    client.set_terminated(run_id)
    return run_id


def record_search(night: Night, search: RecordedSearch) -> str:
    """Record a search for settings: the best ones as parameters, their gain, and every trial's figure as a step; as `record`."""
    try:
        return _record_search(night, search)
    except Exception as error:
        log.warning("%s: search not recorded in MLflow: %s: %s", search.name, type(error).__name__, error)
        return f"not recorded: {type(error).__name__}"


def _record_search(night: Night, search: RecordedSearch) -> str:
    client = _client(night)
    run = client.create_run(
        _experiment(client, night),
        run_name=f"{search.name} settings {night.key}",
        tags={"model": search.name, "night": night.key, "shop": night.shop, "search": "better" if search.better else "not better"},
    )
    run_id, moment = str(run.info.run_id), int(night.as_of.timestamp() * 1000)
    for setting, value in search.settings.items():
        client.log_param(run_id, setting, value)
    for metric, value in search.figures.items():
        client.log_metric(run_id, metric, value, timestamp=moment)
    for trial in search.trials:
        if trial["value"] is not None:
            client.log_metric(run_id, "trial.ndcg_at_10", trial["value"], timestamp=moment, step=trial["number"])
    client.log_dict(run_id, {"trials": list(search.trials)}, "trials.json")
    client.set_terminated(run_id)
    return run_id


def _client(night: Night) -> Any:
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    for noisy in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    from mlflow import MlflowClient

    local = _local(night)
    local.mkdir(parents=True, exist_ok=True)
    return MlflowClient(night.settings.tracking_uri or f"sqlite:///{local / 'mlflow.db'}")


def _local(night: Night) -> Path:
    return night.home / "mlflow"


def _experiment(client: Any, night: Night) -> str:
    found = client.get_experiment_by_name(night.shop)
    if found:
        return str(found.experiment_id)
    artifacts = None if night.settings.tracking_uri else (_local(night) / "artifacts").as_uri()
    return str(client.create_experiment(night.shop, artifact_location=artifacts))


def _register(client: Any, night: Night, entry: Record, run_id: str, artifact_uri: str) -> None:
    """Register tonight's version, point the aliases, and drop versions whose folder is no longer kept.

    Locally a version's source is the kept folder itself, so weights are not stored twice; a server gets a copy.
    """
    kept = {version.folder.name: version for version in kept_versions(night, entry.name)}
    tonight = kept.get(night.key)
    if tonight is None:  # the champion was kept as it was: nothing new to register
        return
    registered = f"{night.shop}.{entry.name}"
    if not client.search_registered_models(f"name = '{registered}'"):
        client.create_registered_model(registered)
    if night.settings.tracking_uri:
        client.log_artifacts(run_id, str(tonight.folder), "model")
        source = f"{artifact_uri}/model"
    else:
        source = tonight.folder.as_uri()
    version = client.create_model_version(registered, source=source, run_id=run_id, tags={"night": night.key})
    role = "champion" if entry.is_champion else "challenger"
    if night.key == max(key for key, other in kept.items() if other.is_champion == entry.is_champion):  # not of a past night run again
        client.set_registered_model_alias(registered, role, version.version)
    for other in client.search_model_versions(f"name = '{registered}'"):
        path = urlparse(other.source)
        if path.scheme == "file" and not Path(unquote(path.path)).exists():
            client.delete_model_version(registered, other.version)
