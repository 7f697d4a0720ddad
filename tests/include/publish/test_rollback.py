"""An earlier release can be put back by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from include.errors import NightError
from include.night import Night
from include.publish import current_release, publish
from include.publish.rollback import rollback


def test_rollback_serves_the_release_before_and_the_next_night_goes_on(ready_night: Callable[..., Night]) -> None:
    for day in (1, 2, 3):
        night = ready_night(f"2026-03-0{day}")
        publish(night)
    assert rollback(night.home).as_of.day == 2
    assert rollback(night.home).as_of.day == 1
    with pytest.raises(NightError, match="no earlier release"):
        rollback(night.home)
    assert rollback(night.home, f"{night.key}-0123abcd").as_of.day == 3
    publish(ready_night("2026-03-04"))
    current = current_release(night.home)
    assert current and current.as_of.day == 4


def test_an_unknown_release_is_refused_and_the_known_ones_are_listed(ready_night: Callable[..., Night]) -> None:
    night = ready_night("2026-03-01")
    publish(night)
    with pytest.raises(NightError, match="20260301T000000-0123abcd"):
        rollback(night.home, "../../etc/passwd")


def test_the_command_says_what_is_served(ready_night: Callable[..., Night]) -> None:
    for day in (1, 2):
        night = ready_night(f"2026-03-0{day}")
        publish(night)
    environment = os.environ | {"NIGHTSHELF_HOME": str(night.home)}
    command = [sys.executable, "-m", "include.publish.rollback"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert [line.endswith("served") for line in done.stdout.splitlines()] == [True, False]
    assert subprocess.run([*command, "--release", "nope"], env=environment, capture_output=True).returncode == 1
