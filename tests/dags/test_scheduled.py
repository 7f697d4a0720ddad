"""The nightly under Airflow's real scheduler, as `make ui` starts it: triggered over REST, watched, and checked by SQL."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import duckdb
import pytest

from include.settings import CHECKOUT
from tests.conftest import TINY_SHOP
from tests.processes import free_port, running, wait_until

pytestmark = pytest.mark.slow

Ask = Callable[..., Any]


def asker(site: str, password: Path) -> Ask:
    """ask("GET", "/api/v2/dags") as the admin; anonymous=True without a login. Returns the parsed answer."""
    token = ""

    def ask(method: str, path: str, body: dict[str, Any] | None = None, anonymous: bool = False) -> Any:
        headers = {"Content-Type": "application/json"} | ({} if anonymous else {"Authorization": f"Bearer {token}"})
        with urlopen(Request(f"{site}{path}", json.dumps(body).encode() if body else None, headers, method=method), timeout=60) as answer:
            return json.load(answer)

    login = {"username": "admin", "password": json.loads(password.read_text())["admin"]}
    token = ask("POST", "/auth/token", login, anonymous=True)["access_token"]
    return ask


def refusal(ask: Ask, *request: Any, **options: Any) -> tuple[int, str]:
    """Status and text of an answer that must be a refusal."""
    with pytest.raises(HTTPError) as refused:
        ask(*request, **options)
    return refused.value.code, refused.value.read().decode()


@pytest.mark.timeout(600)
def test_nights_triggered_over_rest(home: Path, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "ui.log"
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
        "NIGHTSHELF_HOME": str(home),
        "OMP_NUM_THREADS": "1",
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",  # the timetable's own night would come between
    }
    env |= {f"NIGHTSHELF_{name.upper()}": str(value) for name, value in TINY_SHOP.items()}
    command = [sys.executable, "-m", "include.airflow_local", "ui", "--port", str(port)]
    runs = "/api/v2/dags/nightly/dagRuns"
    with running(command, env, log, CHECKOUT):
        password = home / "airflow" / "simple_auth_manager_passwords.json.generated"
        wait_until(lambda: password.exists() and answers(f"http://127.0.0.1:{port}"), 120, "the web page answers", log)
        ask = asker(f"http://127.0.0.1:{port}", password)
        wait_until(lambda: ask("GET", "/api/v2/dags")["total_entries"] > 0, 120, "the DAG is parsed", log)

        assert refusal(ask, "GET", "/api/v2/dags", anonymous=True)[0] == 401
        assert refusal(ask, "POST", runs, {"logical_date": None}, anonymous=True)[0] == 401
        for conf in ({"list_length": 0}, {"source": "nobodys_shop"}, {"as_of": "yesterday"}):
            status, text = refusal(ask, "POST", runs, {"logical_date": None, "conf": conf})
            assert 400 <= status < 500, text
            assert next(iter(conf)) in text

        ask("PATCH", "/api/v2/dags/nightly", {"is_paused": False})
        # Two at once: a night, and a past one. They queue, and the past one changes nothing of what is served.
        nights = [
            ask("POST", runs, {"logical_date": None, "conf": {"as_of": as_of, "list_length": 4}})["dag_run_id"]
            for as_of in ("2026-03-02T02:00:00Z", "2026-03-01")
        ]

        def ended() -> bool:
            states = [ask("GET", f"{runs}/{night}")["state"] for night in nights]
            assert "failed" not in states, failures(home)
            return states == ["success", "success"]

        wait_until(ended, 400, "both nights end well", log, every=2)
        tasks = [ask("GET", f"{runs}/{night}/taskInstances")["task_instances"] for night in nights]
        assert all(task["state"] == "success" for night in tasks for task in night)
        spans = sorted((min(moments(night, "start_date")), max(moments(night, "end_date"))) for night in tasks)
        assert spans[0][1] <= spans[1][0], "one night began before the other had ended"
        events = ask("GET", "/api/v2/assets/events")["asset_events"]
        assert [event["source_task_id"] for event in events] == ["publish", "publish"]

    with duckdb.connect(str(home / "serving" / "nightshelf.duckdb"), read_only=True) as release:
        assert release.execute("SELECT as_of::VARCHAR FROM release").fetchall() == [("2026-03-02 02:00:00",)]
        assert release.execute("SELECT DISTINCT count(*) FROM recommendations GROUP BY customer_id").fetchall() == [(4,)]
    assert len(list((home / "releases").glob("*.duckdb"))) == 2


def answers(site: str) -> bool:
    try:
        with urlopen(f"{site}/api/v2/monitor/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def moments(tasks: list[dict[str, Any]], field: str) -> list[datetime]:
    return [datetime.fromisoformat(task[field]) for task in tasks if task[field]]


def failures(home: Path) -> str:
    """The error lines of every task's log."""
    lines = [line for path in (home / "airflow" / "logs").rglob("*.log") for line in path.read_text(errors="replace").splitlines()]
    return "\n".join(line[:2000] for line in lines if '"error"' in line)
