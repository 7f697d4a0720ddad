"""Transforming: dbt builds one stage of the night in the warehouse, in a process of its own."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import shutil
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import yaml

from include.alerts import earlier_alerts
from include.errors import NightError
from include.night import Night, write_atomically
from include.predictions import absent_models
from include.release_id import code_version, lineage_told, release_id
from include.run_dbt import DbtOutcome, run_commands
from include.stages import PROJECT, models_path

log = logging.getLogger(__name__)

_BEGINNING = "1970-01-01 00:00:00"


class TransformFailed(NightError):
    """A model could not be built, or one of its tests found rows it should not have."""


def step_name(stage: str) -> str:
    """The name of the step, and of the task, that builds a stage."""
    return {"features": "transform", "serving": "serve"}.get(stage, f"after_{stage}")


def build(night: Night, stage: str) -> None:
    """Build the models of one stage and run their tests; with the serving stage, write the documentation page too.

    A stage is 'features', 'serving', or the name of the model after which its tables are made (see `stages`).

    Leaves tables in the warehouse, feature files in `night.features` and the documentation in `docs/<shop>/index.html`
    under the home folder. Incremental models are rebuilt from the first day that may have changed.

    Raises:
        TransformFailed: names the model or test and shows dbt's message.
    """
    with night.step(step_name(stage)) as notes:
        work = night.folder / "dbt"
        work.mkdir(parents=True, exist_ok=True)
        if stage == "features":
            shutil.rmtree(night.features, ignore_errors=True)  # what an earlier try left is not this snapshot's
            plan = _plan_increment(night)
            notes["full_refresh"] = plan["full_refresh"]
            write_atomically(work / "increment.json", json.dumps(plan))
        night.features.mkdir(parents=True, exist_ok=True)
        plan = json.loads((work / "increment.json").read_text())

        select = [f"path:{path}" for path in models_path(stage)]
        command = ["build", "--select", *select, "--exclude-resource-type", "unit_test", "--indirect-selection", "buildable"]
        if stage == "features" and plan["full_refresh"]:
            command.append("--full-refresh")
            _state_file(night).unlink(missing_ok=True)
        commands = [command]
        if stage == "serving":  # its description of the project is what the documentation shows
            commands.append(["docs", "generate", "--static", "--no-compile"])
        else:
            command.append("--no-write-json")

        began = time.perf_counter()
        outcome = run_dbt(night, commands, plan["rebuild_from"])
        notes["peak_mb"] = outcome.peak_mb
        results = _results(work / "run_results.json")
        if outcome.status != 0:
            raise _failure(stage, outcome, results)

        notes["models"] = sum(result["unique_id"].startswith("model.") for result in results)
        notes["tests"] = sum(result["unique_id"].startswith("test.") for result in results)
        notes["dbt_seconds"] = round(time.perf_counter() - began, 1)
        notes["sql_seconds"] = round(sum(result["execution_time"] for result in results), 1)
        slowest = sorted(results, key=lambda result: -result["execution_time"])[:5]
        notes["slowest"] = {result["unique_id"].split(".")[2]: round(result["execution_time"], 1) for result in slowest}
        if stage == "features":
            write_atomically(_state_file(night), json.dumps(plan["state"]))
        if stage == "serving":
            page = night.home / "docs" / night.shop / "index.html"
            page.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(work / "static_index.html", page.with_suffix(".new"))
            page.with_suffix(".new").replace(page)


def _variables(night: Night) -> dict[str, Any]:
    """What the models are told; the same every night until a setting changes, so that dbt need not parse the project again."""
    declared = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]
    settings = night.settings.model_dump(mode="json")
    return {name: settings[name] for name in declared if name in settings} | {"shop": night.shop}


def _of_night(night: Night, rebuild_from: str) -> dict[str, str]:
    """What the models are told of this night alone, for the macro `of_night`."""
    told = {
        "as_of": night.as_of_sql,
        "rebuild_from": rebuild_from,
        "features_dir": night.features,
        "predictions_dir": night.predictions,
        "earlier_alerts": earlier_alerts(night),
        "quality_dir": night.folder / "quality",
        "release_id": release_id(night),
        "lineage": lineage_told(night),
        "absent_models": "; ".join(f"{name}: {reason}" for name, reason in absent_models(night).items()),
        "code_version": code_version(),
    }
    return {f"DBT_ENV_CUSTOM_ENV_{name.upper()}": str(value) for name, value in told.items()}


def run_dbt(night: Night, commands: list[list[str]], rebuild_from: str = _BEGINNING) -> DbtOutcome:
    """Run dbt commands on the night's warehouse in one process; what they write about themselves lands in the night's folder.

    The parsed project is kept for the shop's later runs; dbt parses what changed since.
    """
    work = night.folder / "dbt"
    options = [
        "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--log-path", str(work),
        "--vars", yaml.safe_dump(_variables(night), width=math.inf), "--no-version-check", "--no-use-colors", "--log-level-file", "info",
    ]  # fmt: skip
    parse = ["parse", "--no-write-json", "--target-path", str(night.shop_home / "dbt")]
    environment = _of_night(night, rebuild_from) | {
        "NIGHTSHELF_DBT_WAREHOUSE": str(night.warehouse),
        "NIGHTSHELF_DBT_MEMORY": f"{round(night.settings.warehouse_memory_gb * 1024)}MiB",
        "NIGHTSHELF_DBT_THREADS": str(night.settings.threads),
        "NIGHTSHELF_DBT_TMP": str(night.shop_home / "tmp"),
        "DBT_TARGET_PATH": str(work),
        "DO_NOT_TRACK": "1",
    }
    commands = [parse, *([*command, "--target-path", str(work)] for command in commands)]
    return run_commands(options, commands, work / "run_results.json", environment)


# ---- what became of it -----------------------------------------------------------------------------------------------
def _results(path: Path) -> list[dict[str, Any]]:
    """What dbt says of each model and test of its last run; nothing where it never came to run any."""
    results: list[dict[str, Any]] = json.loads(path.read_text())["results"] if path.exists() else []
    return results


def _failure(stage: str, outcome: DbtOutcome, results: list[dict[str, Any]]) -> TransformFailed:
    failed = [result for result in results if result["status"] in ("error", "fail")]
    if not failed:
        last_words = "\n".join(outcome.output.strip().splitlines()[-15:])
        return TransformFailed(f"dbt could not build stage {stage!r}:\n{last_words}", "Mend what dbt names and run the night again.")
    told = "; ".join(f"{result['unique_id']}: {' '.join((result['message'] or '').split())}" for result in failed[:5])
    more = f" and {len(failed) - 5} more" if len(failed) > 5 else ""
    if any(result["status"] == "error" for result in failed):
        return TransformFailed(
            f"dbt could not build {told}{more}", "Correct the model, or the rows its message names, and run the night again."
        )
    return TransformFailed(
        f"Rows break a promise of the tables: {told}{more}",
        "Run the test's SQL, under compiled/ in the night's dbt folder, on the warehouse to see the rows.",
    )


# ---- what must be built again ----------------------------------------------------------------------------------------
def _state_file(night: Night) -> Path:
    """Which night the incremental models stand at; absent while they stand at none."""
    return night.shop_home / "transformed.json"


def _plan_increment(night: Night) -> dict[str, Any]:
    """Whether incremental models are built anew, and otherwise the moment from which events may differ from the last night."""
    signature = _signature(night)
    memory = f"{round(night.settings.warehouse_memory_gb * 1024)}MiB"
    with duckdb.connect(str(night.warehouse), read_only=True, config={"memory_limit": memory, "threads": night.settings.threads}) as con:
        ((newest_file,),) = con.execute("SELECT coalesce(max(file_id), 0) FROM collect.files WHERE status = 'loaded'").fetchall()
        state = {"as_of": night.as_of_sql, "signature": signature, "newest_file": newest_file}
        anew = {"full_refresh": True, "rebuild_from": _BEGINNING, "state": state}
        if not _state_file(night).exists():
            return anew
        last = json.loads(_state_file(night).read_text())
        if last["signature"] != signature or last["as_of"] > night.as_of_sql:
            return anew
        between = {"newest_file": last["newest_file"], "last": last["as_of"], "now": night.as_of_sql}
        ((oldest_change,),) = con.execute(_OLDEST_CHANGE, between).fetchall()
    rebuild_from = datetime.fromisoformat(last["as_of"]) - timedelta(days=night.settings.lookback_days)
    if oldest_change is not None and oldest_change < rebuild_from:
        log.info("An event of %s is new or corrected; incremental models are built anew", oldest_change)
        return anew
    return {"full_refresh": False, "rebuild_from": rebuild_from.isoformat(sep=" "), "state": state}


# The earliest time of any version of an event that a file brought, or that came into or went out of sight, since the last night.
_OLDEST_CHANGE = """
    SELECT min(occurred_at) FROM raw.events WHERE event_id IN (
        SELECT event_id FROM raw.events
        WHERE _file_id > $newest_file
            OR (_valid_from >= $last::TIMESTAMP AND _valid_from < $now::TIMESTAMP)
            OR (_superseded_at >= $last::TIMESTAMP AND _superseded_at < $now::TIMESTAMP)
            OR (_gone_at >= $last::TIMESTAMP AND _gone_at < $now::TIMESTAMP)
            OR (deleted_at >= $last::TIMESTAMP AND deleted_at < $now::TIMESTAMP)
    )
"""


def _signature(night: Night) -> str:
    """Digest of the dbt project and of the settings that sessions depend on."""
    digest = hashlib.sha256(str(night.settings.session_gap_minutes).encode())
    for path in sorted([*PROJECT.glob("models/**/*.sql"), *PROJECT.glob("macros/**/*.sql"), PROJECT / "dbt_project.yml"]):
        digest.update(path.read_bytes())
    return digest.hexdigest()
