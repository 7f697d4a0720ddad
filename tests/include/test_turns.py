"""Nights of a shop take turns in the order they came, and one that died keeps nobody waiting."""

from __future__ import annotations

from pathlib import Path

from include.turns import runs_ahead


def test_runs_take_turns_in_the_order_they_came(tmp_path: Path) -> None:
    running = {f"run {i}" for i in range(10)}
    for i in range(10):
        assert runs_ahead(tmp_path, f"run {i}", running.__contains__) == [f"run {j}" for j in range(i)]
    assert runs_ahead(tmp_path, "run 0", running.__contains__) == [], "it has the turn, however often it asks"
    ended = []
    while running:
        (turn,) = [run for run in sorted(running) if not runs_ahead(tmp_path, run, running.__contains__)]
        running.remove(turn)
        ended.append(turn)
    assert ended == sorted(ended) and len(ended) == 10


def test_a_run_that_was_passed_over_queues_again(tmp_path: Path) -> None:
    assert runs_ahead(tmp_path, "failed", lambda run: True) == []
    assert runs_ahead(tmp_path, "next", lambda run: run != "failed") == []
    assert runs_ahead(tmp_path, "failed", lambda run: True) == ["next"], "the failed one was cleared, and waits"
