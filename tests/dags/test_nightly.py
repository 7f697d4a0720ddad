"""The nightly DAG: quick to parse, strict with its parameters, and run whole in one process as `make nightly` does."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import duckdb
import pytest
from airflow.sdk import RetryAction
from airflow.sdk.exceptions import ParamValidationError

from include.airflow_local import environment
from include.errors import GateRefused, MayPass
from include.settings import CHECKOUT
from ml.model_spec import known_models
from tests.conftest import TINY_SHOP
from tests.processes import running, wait_until

pytestmark = pytest.mark.slow

TASKS = [
    "open_night", "land", "collect", "check_raw", "transform", "check_features", "learn_aspects", "learn_sentiment", "after_sentiment",
    "learn_recommender", "serve", "check_serving", "publish", "prune", "report", "end_night",
]  # fmt: skip

# Run with a home of its own; what it prints last is read as JSON.
PARSE = """
import json, sys, time
from airflow.dag_processing.dagbag import DagBag
DagBag("/dev/null")  # Airflow's own imports are not the file's
before, began = set(sys.modules), time.perf_counter()
bag = DagBag(sys.argv[1])
seconds = time.perf_counter() - began
tasks = bag.dags["nightly"].topological_sort()
print(json.dumps({
    "seconds": seconds,
    "errors": bag.import_errors,
    "dags": sorted(bag.dags),
    "modules": sorted({name.split(".")[0] for name in set(sys.modules) - before}),
    "pools": {task.task_id: task.pool for task in tasks},
    "limits": [task.execution_timeout is not None for task in tasks],
}))
"""

# Runs open_night alone, once for each argument, marking the other tasks as done; prints the nights' folders that came of it.
OPEN = """
import json, sys
from datetime import datetime
from pathlib import Path
from include.airflow_local import prepare_database
from include.settings import load_settings
prepare_database(load_settings().home / "airflow")
from dags.nightly import dag
ends = []
for date, conf in json.loads(sys.argv[1]):
    run = dag.test(logical_date=date and datetime.fromisoformat(date), run_conf=conf, mark_success_pattern="(?!open_night).*")
    ends.append(run.state)
print(json.dumps({"ends": ends, "nights": sorted(path.name for path in Path(load_settings().home).glob("shops/*/nights/*"))}))
"""


# Opens a night while a run of a backfill has the turn, which ends three seconds later; prints what came of it.
WAIT = """
import json, threading, time
from datetime import UTC, datetime, timedelta
import dags.nightly
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from include.airflow_local import prepare_database
from include.settings import load_settings
home = load_settings().home
prepare_database(home / "airflow")
dags.nightly.WAITING = timedelta(seconds=1)
earlier = dags.nightly.dag.test(run_conf={"as_of": "2026-03-01"}, mark_success_pattern="(?!open_night).*")

def set_state(state):
    with create_session() as session:
        session.get(DagRun, earlier.id).state = state

set_state("running")
ended = []
def end():
    time.sleep(3)
    ended.append((home / "shops/demo/current_night").read_text())
    set_state("success")
threading.Thread(target=end).start()
run = dags.nightly.dag.test(run_conf={"as_of": "2026-03-02"}, mark_success_pattern="(?!open_night).*")
print(json.dumps({"end": run.state, "held": ended, "then": (home / "shops/demo/current_night").read_text()}))
"""


def local_environment(home: Path, **settings: Any) -> dict[str, str]:
    """The variables of a local Airflow whose installation is set up like this."""
    given = {f"NIGHTSHELF_{name.upper()}": str(value) for name, value in (TINY_SHOP | settings).items()}
    return environment(home) | given | {"OMP_NUM_THREADS": "1"}


def run_python(script: str, home: Path, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], env=local_environment(home), cwd=CHECKOUT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_file_parses_fast_and_imports_nothing_heavy(home: Path) -> None:
    parsed = run_python(PARSE, home, str(CHECKOUT / "dags"))
    assert parsed["errors"] == {}
    assert parsed["dags"] == ["nightly", "tune"]
    assert parsed["seconds"] < 1
    assert not {"torch", "transformers", "duckdb", "dbt", "great_expectations", "mlflow", "pandas", "sklearn"} & set(parsed["modules"])
    assert list(parsed["pools"]) == TASKS
    in_pool = {task for task, pool in parsed["pools"].items() if pool == "warehouse"}
    learned = {task for task, pool in parsed["pools"].items() if pool == "learning"}
    assert learned == {f"learn_{name}" for name in known_models()}
    assert in_pool == set(TASKS) - {"open_night", "land", *learned, "end_night"}
    assert all(parsed["limits"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("source", "nobodys_shop"),
        ("source", None),
        ("data", ""),
        ("data", 7),
        ("as_of", "yesterday"),
        ("as_of", "2026-13-01"),
        ("as_of", "2026-03-01T25:00:00Z"),
        ("models", "maybe"),
        ("publish", "yes"),
        ("list_length", 0),
        ("list_length", 201),
        ("list_length", "twenty"),
    ],
)
def test_bad_parameter_is_refused(name: str, value: Any) -> None:
    from dags.nightly import dag

    params = deepcopy(dag.params)
    with pytest.raises(ParamValidationError, match=name):
        params[name] = value


@pytest.mark.parametrize("as_of", [None, "2026-03-01", "2026-03-01T02:00", "2026-03-01T02:00:00Z", "2026-03-01 02:00:00.5+01:00"])
def test_good_moments_are_taken(as_of: str | None) -> None:
    from dags.nightly import dag

    params = deepcopy(dag.params)
    params["as_of"] = as_of
    assert params.validate()["as_of"] == as_of
    assert all(params.get_param(name).schema["title"] and params.get_param(name).description for name in params)


def test_only_what_may_pass_is_tried_again() -> None:
    from dags.nightly import TRY_AGAIN

    assert TRY_AGAIN.evaluate(MayPass("full", "make room"), 1, 1).action == RetryAction.RETRY
    for error in (GateRefused("a gap", "close it"), KeyError("a bug"), FileNotFoundError(2, "gone"), duckdb.ParserException("a bug")):
        assert TRY_AGAIN.evaluate(error, 1, 1).action == RetryAction.FAIL


@pytest.mark.timeout(180)
def test_moment_of_a_night(home: Path) -> None:
    """Asked for, else the end of the data interval, else when the run was due; a setting nobody may change ends the run."""
    runs = [
        ("2026-02-12T05:00:00+00:00", {"promote_margin": 0.5}),
        ("2026-02-11T05:00:00+00:00", {"as_of": "2026-03-01T01:00:00+01:00"}),
        (None, {"as_of": "2026-03-03", "home": "/"}),
        (None, {"as_of": "2026-03-04", "list_lenght": 3}),
    ]
    opened = run_python(OPEN, home, json.dumps(runs))
    assert opened["ends"] == ["success", "success", "failed", "failed"]
    assert opened["nights"] == ["20260212T020000", "20260301T000000"]
    night = json.loads(next(home.glob("shops/demo/nights/20260212T020000/night.json")).read_text())
    assert night["settings"]["promote_margin"] == 0.5


@pytest.mark.timeout(180)
def test_a_night_waits_while_another_of_its_shop_is_under_way(home: Path) -> None:
    """Airflow counts a backfill's runs apart from all others, so its limit of one run does not hold two nights apart."""
    assert run_python(WAIT, home) == {"end": "success", "held": ["20260301T000000"], "then": "20260302T000000"}


@pytest.mark.timeout(180)
def test_a_night_that_may_not_be_published_is_not_opened(home: Path) -> None:
    """The demo after a real shop: refused before any work is done, unless it is confirmed or a dry run."""
    (home / "serving").mkdir(parents=True)
    with duckdb.connect(str(home / "serving" / "nightshelf.duckdb")) as served:
        served.execute(
            "CREATE TABLE release AS SELECT TIMESTAMP '2026-02-01' AS as_of, 'r' AS release_id, 'tea' AS shop, 'files' AS source"
        )
        served.execute("CREATE TABLE recommendations AS SELECT 'c' || i AS customer_id, 1 AS rank FROM range(60) t(i)")
    runs = [
        (None, {"as_of": "2026-03-01"}),
        (None, {"as_of": "2026-03-02", "publish": False}),
        (None, {"as_of": "2026-03-03", "replace_shop": "tea"}),
    ]
    opened = run_python(OPEN, home, json.dumps(runs))
    assert opened["ends"] == ["failed", "success", "success"]
    assert opened["nights"] == ["20260302T000000", "20260303T000000"]


@pytest.mark.timeout(300)
def test_one_whole_night_in_one_process(home: Path) -> None:
    command = [sys.executable, "-m", "include.airflow_local", "nightly", "--as-of", "2026-03-01"]
    done = subprocess.run(command, env=local_environment(home), cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-4000:]
    steps = [json.loads(line)["step"] for line in (home / "shops/demo/nights/20260301T000000/steps.jsonl").read_text().splitlines()]
    assert sorted(steps) == sorted(TASKS[1:-1])
    # Aspects wait for no other model, and none for them: their place between the gates is the scheduler's choice.
    waiting = [[step for step in order if step != "learn_aspects"] for order in (steps, TASKS[1:-1])]
    assert waiting[0] == waiting[1]
    assert steps.index("check_features") < steps.index("learn_aspects") < steps.index("serve")
    with duckdb.connect(str(home / "serving/nightshelf.duckdb"), read_only=True) as release:
        assert release.execute("SELECT as_of::VARCHAR, source FROM release").fetchall() == [("2026-03-01 00:00:00", "demo")]
        assert release.execute("SELECT DISTINCT count(*) FROM recommendations GROUP BY customer_id").fetchall() == [
            (TINY_SHOP["list_length"],)
        ]
    assert str(next(home.glob("releases/20260301T000000-*.duckdb"))) in done.stdout
    assert str(home / "reports/latest.html") in done.stdout


@pytest.mark.timeout(180)
def test_second_night_waits_and_a_failed_one_says_why(home: Path, tmp_path: Path) -> None:
    (home / "airflow").mkdir(parents=True)
    (empty := tmp_path / "empty").mkdir()
    log = tmp_path / "log"
    command = [sys.executable, "-m", "include.airflow_local", "nightly", "--source", "files", "--data", os.path.relpath(empty, CHECKOUT)]
    with (home / "airflow/lock").open("w") as lock:
        lock.write("the night before")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with running(command, local_environment(home), log, CHECKOUT) as night:
            wait_until(lambda: "Waiting: the night before" in log.read_text(), 60, "the night waits", log)
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert night.wait(120) == 1
    said = log.read_text()
    assert "Task collect failed. Cause: " in said
    assert "The night failed at collect. Cause: " in said
    assert "Next: " in said.split("The night failed at collect.")[1]
    assert not (home / "serving").exists()
    assert (home / "reports/latest.html").exists()


def test_unusable_command_line_is_refused_at_once(home: Path) -> None:
    for arguments, problem in ((["--as-of", "tomorrow"], "as_of: 'tomorrow'"), (["--source", "Nobody's"], "source: ")):
        command = [sys.executable, "-m", "include.airflow_local", "nightly", *arguments]
        done = subprocess.run(command, env=local_environment(home), cwd=CHECKOUT, capture_output=True, text=True)
        assert done.returncode == 1
        assert problem in done.stderr
        assert "Traceback" not in done.stderr
