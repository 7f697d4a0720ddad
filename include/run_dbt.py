"""A process of its own for dbt: runs dbt commands one after the other, with one start and one parse of the project.

Called as `python -m include.run_dbt '{"parent": 4711, "options": ["--vars", ...], "commands": [["build", ...], ...]}'`. Ends
with status 0 where all commands did, 1 where a model or test failed, 2 where dbt could not go on; the commands after a
failed one are not run.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Have Linux end this process when its parent is killed: an orphan would hold the warehouse's lock."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit(2)


def run(options: list[str], commands: list[list[str]]) -> int:
    """Run dbt commands, each a list of arguments, all with the same options; returns the status to exit with."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest

    manifest: Manifest | None = None
    for command in [["parse"], *commands]:
        outcome = dbtRunner(manifest=manifest).invoke([*command, *options])
        DuckDBConnectionManager.close_all_connections()
        if outcome.exception:
            sys.stderr.write(f"{outcome.exception}\n")
        if not outcome.success:
            return 2 if outcome.exception else 1
        if isinstance(outcome.result, Manifest):
            manifest = outcome.result
    return 0


if __name__ == "__main__":
    task = json.loads(sys.argv[1])
    die_with(task["parent"])
    sys.exit(run(task["options"], task["commands"]))
