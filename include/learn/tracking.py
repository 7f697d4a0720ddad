"""The record of all models in MLflow: one run a model and night, and a registered model with the aliases champion and challenger.

A night that is recorded again gets a new run and a new version, and the earlier ones are deleted: a run's parameters cannot be changed, its
figures cannot be removed, and of two values of a figure MLflow shows the one of the later step, then of the later time, then the larger.

MLflow is the record people look at; the kept folders are the truth that nights go by. So when the record cannot be written,
that is said and the night goes on: publishing matters more than the record.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlparse

from include.errors import NightError
from include.learn.model_store import Kept, kept_versions
from include.night import Night

log = logging.getLogger(__name__)

PARAMS_A_BATCH, METRICS_A_BATCH = 100, 1000  # more MLflow does not take at once

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
    """Record one model's night instead of what earlier tries of it recorded; returns the MLflow run id, or why there is none."""
    try:
        with _one_at_a_time(night):
            return _record(night, entry)
    except Exception as error:
        return _not_recorded(entry.name, error)


def _record(night: Night, entry: Record) -> str:
    client = _client(night)
    with _run_instead(client, night, f"{entry.name} {night.key}", {"model": entry.name, "promoted": str(entry.is_champion)}) as run:
        run_id = str(run.info.run_id)
        figures = [(f"{row['role']}.{row['metric']}", row["value"], 0) for row in entry.figures]
        _log(client, night, run_id, entry.params, figures)
        _register(client, night, entry, run_id, str(run.info.artifact_uri))
    return run_id


def record_search(night: Night, search: RecordedSearch) -> str:
    """Record a search for settings: the best ones as parameters, their gain, and every trial's figure as a step; as `record`."""
    try:
        with _one_at_a_time(night):
            return _record_search(night, search)
    except Exception as error:
        return _not_recorded(f"{search.name} settings", error)


def _record_search(night: Night, search: RecordedSearch) -> str:
    client = _client(night)
    tags = {"model": search.name, "search": "better" if search.better else "not better"}
    with _run_instead(client, night, f"{search.name} settings {night.key}", tags) as run:
        run_id = str(run.info.run_id)
        figures = [(metric, value, 0) for metric, value in search.figures.items()]
        figures += [("trial.ndcg_at_10", trial["value"], trial["number"]) for trial in search.trials if trial["value"] is not None]
        _log(client, night, run_id, search.settings, figures)
        client.log_dict(run_id, {"trials": list(search.trials)}, "trials.json")
    return run_id


@contextmanager
def _one_at_a_time(night: Night) -> Iterator[None]:
    """Models are learned side by side; MLflow makes and migrates its local database at first use, which two must not do at once."""
    _local(night).mkdir(parents=True, exist_ok=True)
    with (_local(night) / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the system frees it when the process ends, however it ends
        yield


def _not_recorded(what: str, error: Exception) -> str:
    """Say that there is no record, and why: in the log, and in what is returned for the step's notes."""
    log.warning("%s: not recorded in MLflow, the night goes on: %s: %s", what, type(error).__name__, error)
    return f"not recorded: {f'{error.problem}. {error.next_step}' if isinstance(error, NightError) else type(error).__name__}"


@contextmanager
def _run_instead(client: Any, night: Night, name: str, tags: dict[str, str]) -> Iterator[Any]:
    """A new run; once the block has ended well, the earlier ones of its night, model and kind are deleted. FAILED where it breaks.

    What a kill left running of other nights, of the same model and kind, is ended: nobody writes to it any more.
    """
    experiment = _experiment(client, night)
    of_model = f"tags.model = '{tags['model']}' and tags.shop = '{night.shop}'"
    found = [
        run
        for which in (f"tags.night = '{night.key}'", "attributes.status = 'RUNNING'")
        for run in client.search_runs([experiment], f"{of_model} and {which}")
        if ("search" in run.data.tags) == ("search" in tags)
    ]
    for earlier in found:
        if earlier.info.status == "RUNNING":
            client.set_terminated(earlier.info.run_id, "KILLED")
    run = client.create_run(experiment, run_name=name, tags={"night": night.key, "shop": night.shop} | tags)
    try:
        yield run
        client.set_terminated(run.info.run_id)
    except BaseException:
        with suppress(Exception):  # what broke may be the server
            client.set_terminated(run.info.run_id, "FAILED")
        raise
    for run_id in {earlier.info.run_id for earlier in found if earlier.data.tags["night"] == night.key}:
        client.delete_run(run_id)


def _log(client: Any, night: Night, run_id: str, params: Mapping[str, Any], figures: Sequence[tuple[str, float, int]]) -> None:
    """Write parameters, and figures (name, value, step), in as few calls as MLflow allows."""
    from mlflow.entities import Metric, Param

    moment = int(night.as_of.timestamp() * 1000)
    names = [re.sub(r"[^\w./ :-]", " ", name.replace("@", "_at_")) for name, _, _ in figures]  # the signs that MLflow takes
    metrics = [Metric(name, value, moment, step) for name, (_, value, step) in zip(names, figures, strict=True)]
    settings = [Param(name, str(value)) for name, value in params.items()]
    for first in range(0, len(settings), PARAMS_A_BATCH):
        client.log_batch(run_id, params=settings[first : first + PARAMS_A_BATCH])
    for first in range(0, len(metrics), METRICS_A_BATCH):
        client.log_batch(run_id, metrics=metrics[first : first + METRICS_A_BATCH])


def _client(night: Night) -> Any:
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    for noisy in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    from mlflow import MlflowClient

    _local(night).mkdir(parents=True, exist_ok=True)
    return MlflowClient(night.settings.tracking_uri or _local_server(night))


def _local(night: Night) -> Path:
    return night.home / "mlflow"


def _local_server(night: Night) -> str:
    return f"sqlite:///{quote(str(_local(night) / 'mlflow.db'))}"


def _experiment(client: Any, night: Night) -> str:
    """The id of the shop's experiment, made where there is none.

    Raises:
        NightError: it is deleted. MLflow still finds it then, takes no runs for it, and gives its name to no other.
    """
    found = client.get_experiment_by_name(night.shop)
    if found is None:
        artifacts = None if night.settings.tracking_uri else (_local(night) / "artifacts").as_uri()
        return str(client.create_experiment(night.shop, artifact_location=artifacts))
    if found.lifecycle_stage != "active":
        server = "$NIGHTSHELF_TRACKING_URI" if night.settings.tracking_uri else shlex.quote(_local_server(night))
        restore = f"MLFLOW_TRACKING_URI={server} mlflow experiments restore --experiment-id {found.experiment_id}"
        raise NightError(
            f"The MLflow experiment {night.shop!r} is deleted and takes no runs",
            f"Bring it back with `{restore}`, or delete it for good with `mlflow gc`: the next night then begins a new one.",
        )
    return str(found.experiment_id)


def _register(client: Any, night: Night, entry: Record, run_id: str, artifact_uri: str) -> None:
    """Register tonight's version instead of this night's earlier ones, drop those whose folder is no longer kept, point the aliases.

    Locally a version's source is the kept folder itself, so weights are not stored twice; a server gets a copy.
    """
    registered = f"{night.shop}.{entry.name}"
    if not client.search_registered_models(f"name = '{registered}'"):
        client.create_registered_model(registered)
    versions = sorted(client.search_model_versions(f"name = '{registered}'"), key=lambda version: int(version.version))
    kept = {version.folder.name: version for version in kept_versions(night, entry.name)}
    tonight = kept.get(night.key)
    if tonight is not None:  # else the champion was kept as it was: nothing new to register
        source = tonight.folder.as_uri()
        if night.settings.tracking_uri:
            client.log_artifacts(run_id, str(tonight.folder), "model")
            source = f"{artifact_uri}/model"
        versions.append(client.create_model_version(registered, source=source, run_id=run_id, tags={"night": night.key}))
    for version in list(versions):
        path = urlparse(version.source)
        is_gone = path.scheme == "file" and not Path(unquote(path.path)).exists()
        if is_gone or (version.tags.get("night") == night.key and version.run_id != run_id):
            client.delete_model_version(registered, version.version)
            versions.remove(version)
    _point_aliases(client, registered, {version.tags.get("night"): version.version for version in versions}, kept)


def _point_aliases(client: Any, registered: str, versions: Mapping[str | None, str], kept: Mapping[str, Kept]) -> None:
    """Have each alias name the latest night that is kept in its role; one that names none of these goes."""
    for role in ("champion", "challenger"):
        nights = [night for night, version in kept.items() if version.meta["role"] == role and night in versions]
        if nights:
            client.set_registered_model_alias(registered, role, versions[max(nights)])
        else:
            client.delete_registered_model_alias(registered, role)
