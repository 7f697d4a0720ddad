"""# Nightly

Rebuilds what each customer of the shop sees in the morning: takes over the shop's files, transforms them with dbt,
checks them with Great Expectations, retrains the models, and publishes one release of SQL tables. All or nothing: when
anything fails, yesterday's release stays.

**When.** Every night at 02:00 UTC, as of the end of its data interval. Nights that were missed are not caught up by
themselves; backfill them from this page (*Trigger*, *Backfill*, one active run): a backfilled night sees only what was
known then. A run's date is the beginning of its interval: the night as of 3 March 02:00 is the run of 2 March 02:00,
and an end without a time lies before that day's run. Airflow backfills on PostgreSQL, not on SQLite.

**By hand.** Trigger it with parameters; those left empty come from the installation's `NIGHTSHELF_` settings. Any other
setting can be given for one run in the run's JSON configuration, for example `{"promote_margin": 0.02}`.

**What comes out.** `serving/nightshelf.duckdb` under `NIGHTSHELF_HOME`, and the morning report in `reports/` there. The
asset `nightshelf://release` is updated by every published release, so other DAGs can wait for it.

**When it fails.** The last line of the failed task's log names the task, the cause and the next step, and so does the
report. A refused gate fails at once; what may pass by itself (a full disk, a file in use) is tried once more. After
mending the cause, clear the failed task, or trigger the night again: the same night run twice gives the same tables.
A night of another shop than the one being served is refused when it is opened, unless `replace_shop` names that shop.

**One at a time.** The pool `warehouse` has one slot: whatever opens the warehouse file does so one after another. Models that do not
need each other are learned side by side as far as the slots of the pool `learning` go, a slot a gigabyte of memory. The nights of a
shop wait for each other in `open_night`, also those of a backfill, which Airflow would run ten at once.

**What stays on disk.** `prune` removes working files beyond `keep_nights`, refused rows, reports and logs beyond
`keep_days`, and more where the home folder holds over `max_disk_gb`. It runs after a failed night too, and never fails
a published one.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import (
    DAG,
    Asset,
    Context,
    CronDataIntervalTimetable,
    ExceptionRetryPolicy,
    Param,
    RetryAction,
    RetryRule,
    chain,
    get_current_context,
    setup,
    task,
    teardown,
)
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowRescheduleException, AirflowSkipException

from include.errors import BadSetting, MayPass
from include.log_failure import log_failure
from include.night import Night, parse_as_of
from include.settings import Settings, load_settings
from include.sources import known_sources
from include.stages import has_tables_after, waits_for
from include.turns import runs_ahead
from ml.model_spec import in_order, known_models

log = logging.getLogger(__name__)

RELEASE = Asset(name="nightshelf_release", uri="nightshelf://release", group="nightshelf")

# What an installation decides, never one run.
NOT_PER_RUN = {"home", "tracking_uri", "sources"}

# The format 'date-time' draws the calendar in the trigger form; what refuses a bad moment is this pattern.
DATE = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
TIME = r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})?"
MOMENT = f"^{DATE}([T ]{TIME})?$"


WAITING = timedelta(minutes=1)  # between two looks whether it is a night's turn

# One more try for the machine's troubles; none for a broken contract or a bug.
TRY_AGAIN = ExceptionRetryPolicy(
    rules=[RetryRule(MayPass, reason="a full disk, a file in use or too little memory can pass by itself")], default=RetryAction.FAIL
)


def params() -> dict[str, Param]:
    """The trigger form; limits, help and defaults are the settings' own."""
    settings = load_settings()
    schema = Settings.model_json_schema()["properties"]

    def of(name: str, title: str, **more: Any) -> Param:
        kept = {key: value for key, value in schema[name].items() if key in ("type", "minimum", "maximum", "enum")}
        return Param(getattr(settings, name), title=title, description=schema[name]["description"], **(kept | more))

    as_of = (
        "The night sees what was true before this moment (UTC), so that a past night can be run again. "
        "Empty: the end of the run's data interval, 02:00 UTC, or else the moment of the trigger."
    )
    return {
        "source": of("source", "Source", enum=known_sources()),
        "data": Param(
            str(settings.data) if settings.data else None,
            title="Data folder",
            type=["string", "null"],
            minLength=1,
            maxLength=4096,
            description=schema["data"]["description"] + " An absolute path on the machine that runs the tasks.",
        ),
        "as_of": Param(None, title="As of", description=as_of, type=["string", "null"], format="date-time", pattern=MOMENT),
        "models": of("models", "Models"),
        "publish": of("publish", "Publish"),
        "list_length": of("list_length", "List length"),
    }


def wait_for_turn(night: Night, context: Context) -> None:
    """Leave the worker and come back later while an earlier run of the shop is under way."""

    def is_running(run_id: str) -> bool:
        return bool(context["ti"].get_dr_count(dag_id=context["dag"].dag_id, run_ids=[run_id], states=["running"]))

    if ahead := runs_ahead(night.shop_home, context["run_id"], is_running):
        log.info("Waiting for %s: a night of shop %s is under way", ", ".join(ahead), night.shop)
        raise AirflowRescheduleException(datetime.now(UTC) + WAITING)


with DAG(
    dag_id="nightly",
    description="From the shop's files to one release of recommendations, sentiment and profiles",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("0 2 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=20),
    params=params(),
    tags=["nightshelf"],
    default_args={
        "owner": "nightshelf",
        "retries": 1,
        "retry_delay": timedelta(seconds=30),
        "retry_policy": TRY_AGAIN,
        "execution_timeout": timedelta(hours=1),
        "on_failure_callback": log_failure,
    },
) as dag:

    @setup
    def open_night() -> str:
        """Settle the moment and the settings of this night; every later task gets the night's folder.

        Waits until the shop's nights that began before have ended. A shop that may not take the place of the one being served is
        refused here, before hours of work.
        """
        from include.publish import require_may_replace

        context = get_current_context()
        chosen: dict[str, Any] = dict(context["params"])
        if refused := NOT_PER_RUN & chosen.keys():
            raise BadSetting(f"{', '.join(sorted(refused))} cannot be set for one run", "Set it in the installation's environment.")
        text, run = chosen.pop("as_of"), context["dag_run"]
        as_of = parse_as_of(text) if text else run.data_interval_end or run.run_after
        settings = load_settings(**chosen)
        night = Night(settings=settings, as_of=as_of)
        wait_for_turn(night, context)
        require_may_replace(night)
        return str(Night.open(settings, as_of).folder)

    @task
    def land(folder: str) -> None:
        """Map the shop's own format to the contract's files, or let the demo shop live until this night."""
        from include.sources import land

        land(Night.load(folder))

    @task(pool="warehouse", execution_timeout=timedelta(hours=2))
    def collect(folder: str) -> None:
        """Take new files into raw tables; rows that break the contract go to quarantine."""
        from include.collect import collect

        collect(Night.load(folder))

    @task(pool="warehouse")
    def check_raw(folder: str) -> None:
        """First gate: is what the shop sent complete and believable?"""
        from include.quality import check

        check(Night.load(folder), "raw")

    @task(pool="warehouse", execution_timeout=timedelta(hours=2))
    def transform(folder: str) -> None:
        """dbt: staging, behaviour, and the features the models learn from."""
        from include.transform import build

        build(Night.load(folder), "features")

    @task(pool="warehouse")
    def check_features(folder: str) -> None:
        """Second gate: are the features fit to learn from?"""
        from include.quality import check

        check(Night.load(folder), "features")

    def learn_model(folder: str, model: str) -> None:
        from include.learn import learn

        learn(Night.load(folder), model)

    def transform_after(folder: str, model: str) -> None:
        """dbt: tables made of this model's predictions, which other models read."""
        from include.transform import build

        build(Night.load(folder), model)

    @task(pool="warehouse")
    def serve(folder: str) -> None:
        """dbt: the output tables, contracts enforced."""
        from include.transform import build

        build(Night.load(folder), "serving")

    @task(pool="warehouse")
    def check_serving(folder: str) -> None:
        """Last gate: may customers see this?"""
        from include.quality import check

        check(Night.load(folder), "serving")

    @task(pool="warehouse", outlets=[RELEASE])
    def publish(folder: str) -> None:
        """Build the release, check it, swap it in. A dry run ends here as skipped."""
        from include.publish import publish

        night = Night.load(folder)
        publish(night)
        if not night.settings.publish:
            raise AirflowSkipException("A dry run: the release was built and checked, and is not published.")

    @teardown
    @task(pool="warehouse")
    def prune(folder: str) -> None:
        """Remove what the settings keep no longer, also after a night that failed: it may have failed for want of room."""
        from include.retention import prune

        prune(Night.load(folder), Path(conf.get("logging", "base_log_folder")))

    @teardown
    @task(pool="warehouse")
    def report(folder: str) -> None:
        """The morning report, also of a night that failed (not of one that never opened)."""
        from include.report import write_report

        write_report(Night.load(folder))

    night = open_night()
    may_learn, served = check_features(night), serve(night)
    published, pruned, reported = publish(night), prune(night), report(night)
    chain(land(night), collect(night), check_raw(night), transform(night), may_learn)
    chain(served, check_serving(night), published, pruned, reported)

    # Every model is learned once the tables it reads are there; what may go side by side shares the pool's gigabytes.
    learned: dict[str, Any] = {}  # the last task of each model
    needs = waits_for()
    for name in in_order(needs):
        spec = known_models()[name]
        learn = task(
            task_id=f"learn_{name}",
            doc_md=spec.title,
            pool="learning",
            pool_slots=spec.memory_gb,
            execution_timeout=timedelta(hours=spec.hours),
        )(learn_model)(night, name)
        learned[name] = learn
        if has_tables_after(name):
            learned[name] = task(task_id=f"after_{name}", pool="warehouse")(transform_after)(night, name)
            learn >> learned[name]
        [may_learn, *(learned[other] for other in sorted(needs[name]))] >> learn
        learned[name] >> served
        learn >> pruned  # where one model fails, what another still reads stays until it has ended

    # A report is written of every night, so the run's own state hangs on this mark: it fails when anything failed.
    [published, reported] >> EmptyOperator(task_id="end_night", trigger_rule="none_failed")
