"""Real programs under test: started with their own environment and log, waited for, and stopped with all they started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: Sequence[str], env: Mapping[str, str], log: Path, cwd: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a process group of its own; at the end the whole group is asked to stop, then killed."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=dict(env), cwd=cwd, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield process
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(10 if number == signal.SIGTERM else None)
                time.sleep(0.5)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue


def wait_until(true: Callable[[], bool], seconds: float, what: str, log: Path | None = None, every: float = 0.5) -> None:
    """Ask again and again; fails with the end of `log` when it takes longer than `seconds`."""
    ends = time.monotonic() + seconds
    while not true():
        if time.monotonic() > ends:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-60:]) if log else ""
            raise AssertionError(f"{what}: not within {seconds} s\n{tail}")
        time.sleep(every)
