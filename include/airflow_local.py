"""Airflow on one machine without any set-up: one night in this process (`nightly`), a search for settings (`tune`), or its web
page (`ui`).

All keep Airflow's own state, an SQLite file and logs, in `airflow/` under NIGHTSHELF_HOME. An AIRFLOW__ variable set
outside wins over the values here, except for the places.
"""

from __future__ import annotations

import argparse
import fcntl
import gc
import io
import json
import logging
import os
import secrets
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.errors import NightError
from include.night import Night, parse_as_of, write_atomically
from include.run_dbt import RARELY, load_dbt
from include.settings import CHECKOUT, load_settings
from include.sql import identifier
from ml.model_spec import known_models

if TYPE_CHECKING:
    from include.publish import Release

WEB_PAGE = "the web page"


def environment(home: Path, port: int = 8080) -> dict[str, str]:
    """The variables every local Airflow process needs.

    Two tasks at a time and short waits: a night is a chain of fat tasks, and each further worker process costs memory.
    """
    folder = home / "airflow"
    defaults = {
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://localhost:{port}",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
    }
    places = {
        "NIGHTSHELF_HOME": str(home),
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
        "PYTHONPATH": str(CHECKOUT),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    return defaults | dict(os.environ) | places


@contextmanager
def only_one(home: Path, who: str) -> Iterator[None]:
    """Hold the home for one night, or for the web page; a second night waits for the first and says so.

    Raises:
        NightError: the web page runs on this home, and runs its own nights.
    """
    path = home / "airflow" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "another process"
            if WEB_PAGE in (who, holder):
                raise NightError(
                    f"{holder} is using {home}", "Run the night from the web page, or stop it first; or set NIGHTSHELF_HOME."
                ) from None
            say(f"Waiting: {holder} is using {home}. Ctrl-C gives up.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(who)
        lock.flush()
        os.set_inheritable(lock.fileno(), who == WEB_PAGE)  # the web page's processes hold on when this one becomes them
        yield


def learning_slots() -> int:
    """Slots of the pool `learning`: the machine's gigabytes of memory, and never fewer than its largest model takes, or that would wait
    for ever."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return max(total, *(spec.memory_gb for spec in known_models().values()))


def prepare_database(folder: Path) -> None:
    """Create or migrate Airflow's database, its pools, and end the nights that died with their process.

    Args:
        folder: where the database lies, and beside it which Airflow it was last found fit for: to look again takes seconds.
    """
    from airflow import __version__
    from airflow.models.dagrun import DagRun
    from airflow.models.pool import Pool
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState, State, TaskInstanceState
    from airflow.utils.types import DagRunTriggeredByType
    from sqlalchemy import select

    fit_for = folder / "database_version"
    if not (folder / "airflow.db").exists() or not fit_for.exists() or fit_for.read_text() != __version__:
        initdb()
        write_atomically(fit_for, __version__)
    pools = {"warehouse": (1, "Whoever opens the warehouse file"), "learning": (learning_slots(), "Gigabytes of memory for models")}
    for name, (slots, description) in pools.items():
        Pool.create_or_update_pool(name, slots=slots, description=description, include_deferred=False)
    with create_session() as session:
        dead = session.scalars(
            select(DagRun).where(DagRun.triggered_by == DagRunTriggeredByType.TEST, DagRun.state.in_(("running", "queued")))
        )
        for run in dead:
            run.state = DagRunState.FAILED
            for ti in run.get_task_instances(session=session):
                if ti.state not in State.finished:
                    ti.state = TaskInstanceState.FAILED


def clean_database(folder: Path, keep_days: int) -> None:
    """Delete what Airflow remembers of runs older than so many days, as `airflow db clean` does; at most once a day, for it takes seconds.

    Args:
        folder: where the database lies, and beside it the day it was last cleaned; a new one has nothing to be cleaned.
    """
    cleaned, now = folder / "database_cleaned", datetime.now(UTC)
    if cleaned.exists() and cleaned.read_text() != f"{now:%Y-%m-%d}":
        import pendulum
        from airflow.utils.db_cleanup import run_cleanup

        with redirect_stdout(io.StringIO()):  # a line for every table
            run_cleanup(clean_before_timestamp=pendulum.instance(now - timedelta(days=keep_days)), skip_archive=True, confirm=False)
    write_atomically(cleaned, f"{now:%Y-%m-%d}")


def speak_newest_version() -> None:
    """Have Airflow's API for tasks, which a run in this process brings along, know the newest versions alone: its own tasks speak the
    newest, and the one before is where routes end that the newest has not. To make all that workers may speak takes seconds."""
    from airflow.api_fastapi.execution_api.versions import bundle

    bundle.versions = bundle.versions[:2]


def show_steps() -> None:
    """Send what the steps say about their progress to standard output, one line each; of Airflow's words only what went wrong."""
    logging.getLogger("airflow.sdk.definitions.dag").setLevel(logging.ERROR)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", datefmt="%H:%M:%S"))
    for room in ("include", "ml"):
        logger = logging.getLogger(room)
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        logger.propagate = False


def run_night(conf: dict[str, Any]) -> int:
    """Run one whole night through the DAG, in this process; 0 when a release came out of it (or a dry run was asked for).

    Args:
        conf: the DAG run's parameters; what is absent comes from the settings.
    """
    settings = load_settings(**{name: value for name, value in conf.items() if name != "as_of"})
    night = Night(settings=settings, as_of=parse_as_of(conf["as_of"]))
    os.environ.update({"AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING"} | environment(settings.home))
    with only_one(settings.home, f"the night of {night.as_of_sql} (process {os.getpid()})"):
        began = time.perf_counter()
        gc.set_threshold(RARELY)
        load_dbt()  # on another core, while Airflow is loaded here
        prepare_database(settings.home / "airflow")
        clean_database(settings.home / "airflow", settings.keep_days)
        from dags.nightly import dag

        show_steps()
        speak_newest_version()
        run = dag.test(run_conf=conf)
        failed = [task.task_id for task in run.get_task_instances(state=["failed"])]
        return summarise(night, run.state == "success", failed, time.perf_counter() - began)


def run_tune(conf: dict[str, Any]) -> int:
    """Search for better settings through the DAG, in this process; 0 when the search came to an end.

    Args:
        conf: the DAG run's parameters; what is absent comes from the settings.
    """
    settings = load_settings(**conf)
    os.environ.update({"AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING"} | environment(settings.home))
    with only_one(settings.home, f"a search for settings (process {os.getpid()})"):
        prepare_database(settings.home / "airflow")
        from dags.tune import dag

        show_steps()
        speak_newest_version()
        run = dag.test(run_conf=conf)
    return 0 if run.state == "success" else 1


def summarise(night: Night, succeeded: bool, failed: list[str], seconds: float) -> int:
    """Say how the night ended and where to look; returns the exit status.

    Args:
        failed: the tasks that failed.
    """
    from include.publish import current_release, list_releases

    steps = night.steps()
    in_steps = sum(step["seconds"] for step in steps)
    say(f"\nThe night of {night.as_of_sql} UTC, shop {night.shop}: {seconds:.0f} s, {in_steps:.0f} s of it in its steps.")
    for step in steps:
        say(f"  {step['step']:<20} {step['status']:<7} {step['seconds']:>8.1f} s")
    causes = {step["step"]: f"{step['problem']}\n  Next: {step['next_step']}" for step in steps if step["status"] == "failed"}
    failing = "Not done, though the night ended well:" if succeeded else "The night failed at"
    for task in failed:
        say(f"\n{failing} {task}. Cause: {causes.get(task, 'the error in the log above says it, and what to do next.')}")
    served = current_release(night.home)
    published = [release for release in list_releases(night.home, night.shop) if release.as_of == night.as_of.replace(tzinfo=None)]
    if "publish" not in (step["step"] for step in steps if step["status"] == "done"):
        say(f"Nothing was published; readers go on with {served.release_id if served else 'nothing: there is no earlier release'}.")
    elif not night.settings.publish:
        say("\nA dry run: the release was built and checked, not published.")
    else:
        show_release(published[-1], served)
    if (night.reports / "latest.html").exists():
        say(f"The report: {night.reports / 'latest.html'}")
    return 0 if succeeded else 1


def show_release(release: Release, served: Release | None) -> None:
    """Say what is in a release and how to ask it."""
    import duckdb

    say(f"\nRelease {release.release_id}: {release.path}")
    with duckdb.connect(str(release.path), read_only=True) as connection:
        for (table,) in connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY table_name").fetchall():
            (rows,) = connection.execute(f"SELECT count(*) FROM {identifier(table)}").fetchall()[0]
            say(f"  {table:<26} {rows:>10,} rows")
    if served != release:
        say(f"Readers go on with {served.release_id if served else 'nothing'}, which stands for a later moment.")
    query = "SELECT * FROM recommendations WHERE customer_id = (SELECT min(customer_id) FROM recommendations) ORDER BY rank"
    say("Ask it, for example:")
    code = f'import duckdb; print(duckdb.connect({json.dumps(str(release.path))}, read_only=True).sql("{query}"))'
    say(f"  {shlex.quote(sys.executable)} -c {shlex.quote(code)}")


def run_ui(port: int) -> int:
    """Become Airflow with its web page on this machine; ends with Ctrl-C."""
    settings = load_settings()
    home = settings.home
    os.environ.update(environment(home, port))
    secret = home / "airflow" / "jwt_secret"
    with only_one(home, WEB_PAGE):
        if not secret.exists():
            write_atomically(secret, secrets.token_urlsafe(32))
            secret.chmod(0o600)
        os.environ.setdefault("AIRFLOW__API_AUTH__JWT_SECRET", secret.read_text())
        prepare_database(home / "airflow")
        clean_database(home / "airflow", settings.keep_days)
        say(f"Airflow's web page: http://localhost:{port} in about half a minute; Ctrl-C stops it. The user is admin,")
        say(f"the password stands in {home}/airflow/simple_auth_manager_passwords.json.generated")
        os.execvp("airflow", ["airflow", "standalone"])  # noqa: S606


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    nightly = commands.add_parser("nightly", help="run one whole night here and now")
    nightly.add_argument("--source", help="kind of shop data: a folder name under include/sources")
    nightly.add_argument("--data", type=Path, help="folder with the shop's files")
    nightly.add_argument("--as-of", help="2026-11-23 or 2026-11-23T02:00:00Z; default: now")
    tune = commands.add_parser("tune", help="search for better settings of the recommender, on the latest night")
    tune.add_argument("--source", help="kind of shop data: a folder name under include/sources")
    tune.add_argument("--data", type=Path, help="the folder the night was run on")
    tune.add_argument("--minutes", type=float, help="begin no other trial after this time")
    ui = commands.add_parser("ui", help="start Airflow with its web page")
    ui.add_argument("--port", type=int, default=8080)
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "ui":
            return run_ui(chosen.port)
        if chosen.command == "tune":
            data = str(chosen.data.resolve()) if chosen.data else None
            conf = {"source": chosen.source, "data": data, "tune_minutes": chosen.minutes}
            return run_tune({name: value for name, value in conf.items() if value})
        as_of = parse_as_of(chosen.as_of) if chosen.as_of else datetime.now(UTC).replace(microsecond=0)
        conf = {"source": chosen.source, "data": str(chosen.data.resolve()) if chosen.data else None, "as_of": as_of.isoformat()}
        return run_night({name: value for name, value in conf.items() if value})
    except NightError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted. The release of an earlier night stays as it is; run the night again when you like.\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
