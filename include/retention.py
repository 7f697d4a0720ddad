"""What a shop's nights leave on disk, and how long it stays: by number of nights, by days, and by the size of the home folder.

    keep_nights     features/, predictions/, tuning/ and dry runs of the latest nights, and what dbt wrote about them
    keep_days       what nights wrote about themselves, reports, quarantined rows, runs in MLflow, vectors nobody asked for, Airflow's logs
    max_disk_gb     above it, what keep_nights keeps goes before its time, the oldest night first

Only what is older than the night at hand goes, so that a past night run again takes nothing from later ones. What it, the next night or
a search for settings reads stays whatever its age. Landing files, releases (see `publish`) and kept models (see `model_store`) stay too.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from include.collect import warehouse
from include.night import Night

log = logging.getLogger(__name__)

MB, GB = 1 << 20, 1 << 30
FIGURES = "metrics_*.parquet"  # a few kilobytes a night, which later reports show


def prune(night: Night, airflow_logs: Path | None = None) -> None:
    """Remove what the settings keep no longer, as the step `prune`; its notes say what was freed and what is held, in megabytes by folder.

    Args:
        airflow_logs: the folder Airflow logs to; None leaves logs alone.

    Raises:
        MayPass: the warehouse is in use. What was freed until then stays freed.
    """
    with night.step("prune") as notes:
        held = _sizes(night.home)
        notes["nights"] = _prune_nights(night)
        _prune_by_age(night, airflow_logs)
        notes["quarantined_rows"] = _prune_quarantine(night)
        notes["mlflow_runs"] = _prune_runs(night)
        holds = _sizes(night.home)
        notes["freed_mb"] = _mb(sum(held.values()) - sum(holds.values()))
        notes["held_mb"] = {folder: _mb(size) for folder, size in sorted(holds.items())}
        if (limit := night.settings.max_disk_gb) and sum(holds.values()) > limit * GB:
            notes["over_limit_mb"] = _mb(sum(holds.values()) - limit * GB)
            log.warning(
                "%s holds %.1f GB, more than max_disk_gb allows (%g), though nothing older can go: keep fewer releases, or allow more",
                night.home, sum(holds.values()) / GB, limit,
            )  # fmt: skip


# ---- by number and by size -------------------------------------------------------------------------------------------
def _prune_nights(night: Night) -> list[str]:
    """Remove the working files of older nights; returns whose."""
    home, keys = night.shop_home, _keys(night)
    kept = set(keys[-night.settings.keep_nights :]) | _read_later(night)
    gone = [key for key in keys if key not in kept and _remove_work(home, key)]
    limit = night.settings.max_disk_gb * GB
    size = sum(_sizes(night.home).values()) if limit else 0
    spare = [key for key in keys if key in kept and key not in _read_later(night)]
    while limit and size > limit and spare:
        key = spare.pop(0)
        gone += [key] if _remove_work(home, key) else []
        size = sum(_sizes(night.home).values())
    return gone


def _keys(night: Night) -> list[str]:
    """The nights up to this one that have working files, oldest first."""
    folders = (path for kind in ("features", "predictions", "tuning", "nights") for path in (night.shop_home / kind).glob("*/"))
    return sorted({folder.name for folder in folders if folder.name <= night.key})


def _read_later(night: Night) -> set[str]:
    """Nights whose files this one, the next one or a search reads: of every file that features and predictions hold, the latest night
    that has it, and the latest one before this night. So no row of failed nights drives out the last good one."""
    wanted = {night.key}
    for kind in ("features", "predictions"):
        latest: dict[str, list[str]] = {}
        for path in sorted((night.shop_home / kind).glob("*/*.parquet")):
            if path.parent.name <= night.key:
                latest.setdefault(path.name, []).append(path.parent.name)
        wanted |= {key for keys in latest.values() for key in (keys[-1], *[key for key in keys if key < night.key][-1:])}
    return wanted


def _remove_work(home: Path, key: str) -> bool:
    """Remove a night's working files, but for the figures that later reports show; whether there were any."""
    nights = home / "nights" / key
    for figures in (home / "predictions" / key).glob(FIGURES):
        nights.mkdir(parents=True, exist_ok=True)
        os.replace(figures, nights / figures.name)
    folders = [path for path in (*(home / kind / key for kind in ("features", "predictions", "tuning")), nights / "dbt") if path.exists()]
    files = [path for path in (nights / "dry_run.duckdb",) if path.exists()]
    for folder in folders:
        shutil.rmtree(folder)
    for file in files:
        file.unlink()
    return bool(folders or files)


# ---- by age ----------------------------------------------------------------------------------------------------------
def _prune_by_age(night: Night, airflow_logs: Path | None) -> None:
    home, oldest = night.shop_home, (night.as_of - timedelta(days=night.settings.keep_days)).strftime("%Y%m%dT%H%M%S")
    profiled = sorted(path.parts[-3] for path in (home / "nights").glob("*/quality/profile.parquet") if path.parts[-3] <= night.key)
    compared = profiled[-night.settings.trailing_nights - 1 :]  # the raw gate holds tonight against these
    for folder in (home / "nights").glob("*/"):
        if folder.name < oldest and folder.name not in {*compared, *_read_later(night)}:
            shutil.rmtree(folder)
    for report in night.reports.glob(f"{night.shop}-[0-9]*T*.html"):
        if report.stem.removeprefix(f"{night.shop}-") < oldest:
            report.unlink()
    unused_since = time.time() - night.settings.keep_days * 86_400
    _remove_unused(home / "cache", unused_since)
    if airflow_logs:
        _remove_unused(airflow_logs, unused_since)
    for left in (home / "tmp").glob("*"):  # of killed processes: whoever writes there has the warehouse open, as this step has
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def _remove_unused(folder: Path, since: float) -> None:
    """Remove the files below a folder that were last written or touched before `since` (seconds of the epoch), and empty folders."""
    for here, _, names in os.walk(folder, topdown=False):
        place = Path(here)
        for path in (place / name for name in names):
            if path.lstat().st_mtime < since:
                path.unlink()
        if place != folder and place.lstat().st_mtime < since and not any(place.iterdir()):
            place.rmdir()


def _prune_quarantine(night: Night) -> int:
    """Delete the refused rows of old nights, and what was noted of others; how many of each file there were stays in the ledger.

    A DuckDB file does not shrink: later rows take the room (https://duckdb.org/docs/stable/operations_manual/footprint_of_duckdb/reclaiming_space).
    """
    if not night.warehouse.exists():
        return 0
    settings = night.settings
    con = warehouse.connect(
        night.warehouse, memory_gb=settings.warehouse_memory_gb, threads=settings.threads, temporary=night.shop_home / "tmp"
    )
    try:
        deleted = 0
        for table in ("quarantine", "notes"):
            if con.execute("SELECT 1 FROM duckdb_tables() WHERE schema_name = 'collect' AND table_name = ?", [table]).fetchone():
                old = [night.as_of_sql, settings.keep_days]
                (rows,) = con.execute(f"DELETE FROM collect.{table} WHERE as_of < ?::TIMESTAMP - to_days(?)", old).fetchone() or (0,)
                deleted += rows if table == "quarantine" else 0
        con.execute("CHECKPOINT")
        return deleted
    finally:
        con.close()


def _prune_runs(night: Night) -> int | str:
    """Delete the shop's MLflow runs of old nights, but for those a registered model names; from the local store for good.

    Returns how many, or why none: the record of models matters less than the night, as in `learn.tracking`.
    """
    store = night.home / "mlflow" / "mlflow.db"
    if not night.settings.tracking_uri and not store.exists():
        return 0
    try:
        return _delete_runs(night, night.settings.tracking_uri or f"sqlite:///{store}")
    except Exception as error:
        log.warning("MLflow's old runs stay: %s: %s", type(error).__name__, error)
        return f"not pruned: {type(error).__name__}"


def _delete_runs(night: Night, uri: str) -> int:
    from include.learn.tracking import ENVIRONMENT

    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(night.shop)
    if experiment is None:
        return 0
    oldest = (night.as_of - timedelta(days=night.settings.keep_days)).strftime("%Y%m%dT%H%M%S")
    named = {version.run_id for version in _pages(client.search_model_versions, filter_string=f"name LIKE '{night.shop}.%'")}
    runs = _pages(client.search_runs, experiment_ids=[experiment.experiment_id])
    old = [run.info.run_id for run in runs if run.data.tags.get("night", night.key) < oldest and run.info.run_id not in named]
    for run_id in old:
        client.delete_run(run_id)
    if old and not night.settings.tracking_uri:
        from mlflow.cli import gc

        gc.main(["--backend-store-uri", uri, "--tracking-uri", uri, "--run-ids", ",".join(old)], standalone_mode=False)
    return len(old)


def _pages(search: Any, **asked: Any) -> Iterable[Any]:
    """All that a search of MLflow's client finds, page by page."""
    token = None
    while True:
        page = search(page_token=token, **asked)
        yield from page
        token = page.token
        if not token:
            return


# ---- sizes -----------------------------------------------------------------------------------------------------------
def _sizes(home: Path) -> dict[str, int]:
    """Bytes on disk by folder of the home and of every shop; a file with two names counts once."""
    sizes: dict[str, int] = {}
    seen: set[tuple[int, int]] = set()
    for here, _, names in os.walk(home):
        parts = Path(here).relative_to(home).parts
        depth = 3 if parts[:1] == ("shops",) else 1
        for name in names:
            try:
                told = (Path(here) / name).lstat()
            except FileNotFoundError:  # what another process removed meanwhile
                continue
            if (told.st_dev, told.st_ino) not in seen:
                seen.add((told.st_dev, told.st_ino))
                folder = "/".join((*parts, name)[:depth])
                sizes[folder] = sizes.get(folder, 0) + told.st_blocks * 512
    return sizes


def _mb(size: float) -> float:
    return round(size / MB, 1)
