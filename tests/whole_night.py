"""The steps of a night one by one, each in a process of its own, as the scheduler runs them; and release comparison."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import traceback
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path

import duckdb

from include.night import Night
from include.stages import learning_steps

STEPS = (
    "land",
    "collect",
    "check_raw",
    "transform",
    "check_features",
    *learning_steps(),
    "serve",
    "check_serving",
    "publish",
    "prune",
    "report",
)

# The server imports the heavy libraries once and forks a fresh process a step.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    [
        "include.sources",
        "include.collect",
        "include.quality",
        "include.transform",
        "include.learn",
        "include.publish",
        "include.report",
        "torch",
    ]
)


def call(step: str, night: Night) -> None:
    """What the scheduler's task of that name calls."""
    from include import collect, learn, publish, quality, report, retention, sources, transform

    calls: dict[str, Callable[[], object]] = {
        "land": lambda: sources.land(night),
        "collect": lambda: collect.collect(night),
        "check_raw": lambda: quality.check(night, "raw"),
        "transform": lambda: transform.build(night, "features"),
        "check_features": lambda: quality.check(night, "features"),
        "serve": lambda: transform.build(night, "serving"),
        "check_serving": lambda: quality.check(night, "serving"),
        "publish": lambda: publish.publish(night),
        "prune": lambda: retention.prune(night),
        "report": lambda: report.write_report(night),
    }
    kind, _, model = step.partition("_")
    if kind == "learn":
        learn.learn(night, model)
    elif kind == "after":
        transform.build(night, model)
    else:
        calls[step]()


def _in_child(folder: str, step: str, begun: Event) -> None:
    begun.set()
    try:
        call(step, Night.load(folder))
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def start(night: Night, step: str) -> BaseProcess:
    """Begin a step in a process of its own; returns when it has begun."""
    begun = _processes.Event()
    process = _processes.Process(target=_in_child, args=(str(night.folder), step, begun))
    process.start()
    assert begun.wait(300), f"{step} did not begin"
    return process


def run(night: Night, steps: tuple[str, ...] = STEPS) -> None:
    """Run the steps to their end; an error of a step fails the test with its traceback on stderr."""
    for step in steps:
        process = start(night, step)
        process.join()
        assert process.exitcode == 0, f"{step} failed: {night.steps()[-1].get('problem')}"


def kill_midway(night: Night, step: str, seconds: float) -> bool:
    """Begin a step and kill it with -9 after `seconds`; False where it had ended by itself before."""
    process = start(night, step)
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def tables(release: Path) -> dict[str, list[tuple]]:
    """Every row of every table of a release, but for the moment it was made."""
    with duckdb.connect(str(release), read_only=True) as connection:
        names = [row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()]
        return {
            name: connection.execute(
                f'SELECT {"* EXCLUDE (created_at)" if name == "release" else "*"} FROM "{name}" ORDER BY ALL'
            ).fetchall()
            for name in names
        }
