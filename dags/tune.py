"""# Tune

Searches for better settings of the recommender on the latest night's features: every week, or by hand.

**How.** Optuna proposes settings; each proposal is fitted and judged as a night would, but one step back in time: the validation days take
the place of the test days, which nothing here looks at. Proposals that do badly on a quarter of the customers are given up. The search ends
after `tune_trials` proposals or `tune_minutes`.

**What comes out.** If the best settings are better than those in force beyond noise, on customers that nothing was chosen on, later nights
use them; they lie in `tuned/recommender.json` under the shop's folder, and every search with all its trials in MLflow. Removing the file
takes them back. Nothing is published here.

**When it fails or is killed.** Clear the task or trigger again: the search goes on where it stopped.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, get_current_context, task

from include.errors import BadSetting
from include.log_failure import log_failure
from include.settings import Settings, load_settings
from include.sources import known_sources

# What a search may be told for one run; everything else is the installation's.
PER_RUN = ("source", "data", "shop", "tune_minutes", "tune_trials")


def params() -> dict[str, Param]:
    """The trigger form; limits, help and defaults are the settings' own."""
    settings = load_settings()
    schema = Settings.model_json_schema()["properties"]

    def of(name: str, title: str, **more: Any) -> Param:
        kept = {key: value for key, value in schema[name].items() if key in ("type", "minimum", "maximum")}
        return Param(getattr(settings, name), title=title, description=schema[name]["description"], **(kept | more))

    return {
        "source": of("source", "Source", enum=known_sources()),
        "data": Param(
            str(settings.data) if settings.data else None,
            title="Data folder",
            type=["string", "null"],
            minLength=1,
            maxLength=4096,
            description=schema["data"]["description"] + " It names the shop; nothing is read from it.",
        ),
        "tune_minutes": of("tune_minutes", "Minutes"),
        "tune_trials": of("tune_trials", "Trials"),
    }


with DAG(
    dag_id="tune",
    description="Search for better settings of the recommender, on validation days",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("0 12 * * 0", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=20),
    params=params(),
    tags=["nightshelf"],
    default_args={"owner": "nightshelf", "retries": 1, "retry_delay": timedelta(minutes=1), "on_failure_callback": log_failure},
) as dag:

    @task(execution_timeout=timedelta(hours=12))
    def search() -> dict[str, Any]:
        """Go on with the latest night's search, or begin it; what it found is the task's result."""
        from dataclasses import asdict

        from include.learn.tune import tune

        chosen: dict[str, Any] = dict(get_current_context()["params"])
        if refused := chosen.keys() - set(PER_RUN):
            raise BadSetting(f"{', '.join(sorted(refused))} cannot be set for one run", "Set it in the installation's environment.")
        return asdict(tune(load_settings(**chosen)))

    search()
