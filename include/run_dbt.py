"""A process of its own for dbt, which holds the warehouse's lock for as long as it lives, and sees stale data the second time.

Loading dbt takes longer than what it does for a small shop. So one process, `python -m include.run_dbt <parent>`, loads it and never
runs it: for each task it reads (a line of JSON) it forks a child, which does, and answers with how that ended. It ends with its parent.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.settings import CHECKOUT

_PR_SET_PDEATHSIG = 1
RARELY = 100_000  # objects between two looks for garbage: what is being loaded makes many, and hardly any is garbage

_loaded: subprocess.Popen[str] | None = None


@dataclass(frozen=True)
class DbtOutcome:
    """How dbt ended.

    Attributes:
        status: 0 where all commands did what they should, 1 where a model or test failed, 2 where dbt could not go on.
        output: what it said, and which signal ended it where one did.
        peak_mb: most memory its process took, megabytes.
    """

    status: int
    output: str
    peak_mb: int


# ---- the side that asks ----------------------------------------------------------------------------------------------
def load_dbt() -> subprocess.Popen[str]:
    """The process that has dbt loaded, or is loading it: who starts it early need not wait for it later."""
    global _loaded
    if _loaded is None or _loaded.poll() is not None:
        command = [sys.executable, "-m", "include.run_dbt", str(os.getpid())]
        _loaded = subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return _loaded


def run_commands(options: list[str], commands: list[list[str]], results: Path, environment: Mapping[str, str]) -> DbtOutcome:
    """Run dbt commands, each a list of arguments, one after the other in one process; those after a failed one are not run.

    Args:
        options: arguments of every command.
        results: gets dbt's run_results.json of the last command that builds or tests; absent where none came so far.
        environment: of the process, beside this one's own.
    """
    results.unlink(missing_ok=True)
    process = load_dbt()
    assert process.stdin is not None and process.stdout is not None
    with tempfile.NamedTemporaryFile("r", prefix="dbt-", errors="replace") as output:
        task = {"options": options, "commands": commands, "results": str(results), "output": output.name}
        try:
            process.stdin.write(json.dumps(task | {"environment": dict(os.environ) | dict(environment)}) + "\n")
            process.stdin.flush()
            status, peak_mb = json.loads(process.stdout.readline() or "[2, 0]")
        except BaseException:
            process.kill()
            raise
        return DbtOutcome(status, output.read(), peak_mb)


# ---- the process that has dbt loaded ---------------------------------------------------------------------------------
def serve(parent: int) -> None:
    """Fork a child for every task on standard input, and write its exit status and its peak memory (MB) to standard output."""
    _die_with(parent)
    gc.disable()
    import dbt.adapters.duckdb.connections
    import dbt.adapters.duckdb.impl
    import dbt.cli.main  # noqa: F401

    gc.freeze()  # what is loaded stays, and is shared with the children
    gc.set_threshold(RARELY)
    gc.enable()
    here = os.getpid()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _die_with(here)
            os._exit(_do(json.loads(line)))
        _, ended, used = os.wait4(child, 0)
        status = os.waitstatus_to_exitcode(ended)
        if status < 0:
            with Path(json.loads(line)["output"]).open("a") as output:
                output.write(f"\ndbt's process was ended by signal {-status}\n")
        sys.stdout.write(json.dumps([status if status >= 0 else 2, round(used.ru_maxrss / 1024)]) + "\n")
        sys.stdout.flush()


def _die_with(parent: int) -> None:
    """Have Linux end this process when its parent is killed: an orphan would hold the warehouse's lock."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(2)


def _do(task: dict[str, Any]) -> int:
    os.environ.clear()
    os.environ.update(task["environment"])
    output = os.open(task["output"], os.O_WRONLY | os.O_APPEND)
    os.dup2(output, sys.stdout.fileno())
    os.dup2(output, sys.stderr.fileno())
    try:
        return _run(task["options"], task["commands"], task["results"])
    except BaseException as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 2
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _run(options: list[str], commands: list[list[str]], results: str) -> int:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.artifacts.schemas.run import RunExecutionResult
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest

    manifest: Manifest | None = None
    for command in commands:
        outcome = dbtRunner(manifest=manifest).invoke([*command, *options])
        DuckDBConnectionManager.close_all_connections()
        if isinstance(outcome.result, RunExecutionResult):
            outcome.result.write(results)
        if outcome.exception:
            sys.stderr.write(f"{outcome.exception}\n")
        if not outcome.success:
            return 2 if outcome.exception else 1
        if isinstance(outcome.result, Manifest):
            manifest = outcome.result
    return 0


if __name__ == "__main__":
    serve(int(sys.argv[1]))
