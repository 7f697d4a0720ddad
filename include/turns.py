"""Whose turn it is: the nights of one shop wait for each other, in the order they came.

Airflow counts the runs of a backfill, those of every other backfill and all others each by themselves, so a DAG's limit of one run does not
keep a backfilled night from running beside another. Steps of two nights that alternate would mix their tables.

    shops/<shop>/turns    the ids of the runs, one a line: who has the turn, then who waits
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path


def runs_ahead(shop_home: Path, run: str, is_running: Callable[[str], bool]) -> list[str]:
    """Queue a run for its shop; returns the runs that are before it and have not ended: none means it has the turn.

    Args:
        shop_home: the shop's folder.
        run: the run's id; one that is queued already keeps its place.
        is_running: whether the run of an id is under way; those that are not lose their place.
    """
    shop_home.mkdir(parents=True, exist_ok=True)
    with (shop_home / "turns").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        line = [other for other in file.read().splitlines() if other]
        ahead = [other for other in line[: line.index(run) if run in line else None] if is_running(other)]
        behind = line[line.index(run) + 1 :] if run in line else []
        file.truncate(0)
        file.write("".join(f"{other}\n" for other in (*ahead, run, *behind)))
    return ahead
