"""The search for settings with the real Optuna and its journal on disk, killed at every point and gone on with."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pyarrow.parquet as pq
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from include.errors import NightError
from include.learn.search import STUDY, alone, complete, ended, is_seen, judged, scores_of, search
from ml.model_spec import Range
from ml.nightly_model import Evaluation, Metric

RANGES = {"fade": Range(0.5, 1.0), "ridge": Range(1, 100, log=True), "rate": Range(0.1, 0.7)}
IN_FORCE = {"fade": 0.9, "ridge": 30.0, "rate": 0.5}
TRIALS = 4


class Killed(BaseException):
    """Nothing of the search survives it but what lies on disk."""


def judge_by(units: int) -> Callable[[dict[str, float]], Evaluation]:
    """Settings are as good as they are near to fade 0.6, ridge 10, rate 0.3; odd units like everything a little less."""

    def judge(settings: dict[str, float]) -> Evaluation:
        far = abs(settings["fade"] - 0.6) + abs(np.log10(settings["ridge"]) - 1) + abs(settings["rate"] - 0.3)
        scores = np.exp(-far) - 0.1 * (np.arange(units) % 2)
        return Evaluation("test", [Metric("likeness", float(scores.mean()))], np.array([f"c{unit:03d}" for unit in range(units)]), scores)

    return judge


def run(folder: Path, in_force: dict[str, float] = IN_FORCE, trials: int = TRIALS, minutes: float = 1, stands_on: str = "1") -> Any:
    with alone(folder, stands_on):
        ends = time.monotonic() + 60 * minutes
        return search(folder, RANGES, in_force, [judge_by(10), judge_by(40)], trials=trials, ends=ends, seed=3)


def killed_before(write: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Searches until the given write to the disk, counted from 1, should be made; returns how many were begun."""
    begun = 0

    def counted(function: Callable[..., None]) -> Callable[..., None]:
        def counted_write(*args: Any) -> None:
            nonlocal begun
            begun += 1
            if begun == write:
                raise Killed
            function(*args)

        return counted_write

    with monkeypatch.context() as patched, suppress(Killed):
        patched.setattr(JournalFileBackend, "append_logs", counted(JournalFileBackend.append_logs))
        patched.setattr(pq, "write_table", counted(pq.write_table))
        run(folder)
    return begun


def test_a_search_killed_anywhere_comes_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.learn.search.FIRST_TRIALS", 1)  # so that a proposal is given up
    writes = killed_before(0, tmp_path / "whole", monkeypatch)
    assert writes > 20, "the study, and of a proposal: that it is asked, each setting, each report, scores, how it ended"
    assert "PRUNED" in {trial.state.name for trial in study_in(tmp_path / "whole").trials}
    for write in range(1, writes + 1):
        folder = tmp_path / str(write)
        assert killed_before(write, folder, monkeypatch) == write
        before = {trial.number: trial.value for trial in study_in(folder).trials if trial.state.is_finished()}
        study = run(folder)
        assert ended(study) == TRIALS and {trial.state.name for trial in study.trials} <= {"COMPLETE", "PRUNED", "FAIL"}
        assert {number: study.trials[number].value for number in before} == before, "what had ended is not run again"
        assert study.trials[0].params == IN_FORCE, "the settings in force are judged before any proposal"
        for trial in complete(study):
            scores = scores_of(folder, trial)
            assert trial.params.keys() == RANGES.keys() and len(scores) == 40
            assert trial.value == pytest.approx(scores[is_seen(40)].mean())


def study_in(folder: Path) -> optuna.Study:
    storage = JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    return optuna.create_study(storage=storage, study_name=STUDY, load_if_exists=True)


def test_what_a_kill_while_writing_leaves_is_no_hindrance(tmp_path: Path) -> None:
    run(tmp_path / "night", trials=2)
    journal = tmp_path / "night" / "journal.log"
    with journal.open("ab") as file:
        file.write(b'{"op_code":4,"worker_id":"half a li')
    Path(f"{journal}.lock").symlink_to(journal)
    began = time.monotonic()
    assert ended(run(tmp_path / "night", trials=3)) == 3 and time.monotonic() - began < 20
    assert ended(run(tmp_path / "night", trials=4)) == 4


def test_the_limits_hold(tmp_path: Path) -> None:
    study = run(tmp_path / "night", trials=5, minutes=0)
    assert [trial.params for trial in study.trials] == [IN_FORCE], "without time only the settings in force are judged"
    assert ended(run(tmp_path / "night", trials=3)) == 3
    assert ended(run(tmp_path / "night", trials=2)) == 3
    assert ended(run(tmp_path / "night", trials=2, stands_on="2")) == 2, "trials on other data do not count"


def test_settings_in_force_outside_of_the_range_are_judged_too(tmp_path: Path) -> None:
    far = IN_FORCE | {"fade": 0.2, "ridge": 4000.0}
    study = run(tmp_path / "night", far, trials=12)
    assert study.trials[0].params == far and judged(study, far) is not None and ended(study) == 12


def test_two_searches_on_one_night_are_refused(tmp_path: Path) -> None:
    with (
        alone(tmp_path / "night", "1"),
        pytest.raises(NightError, match="A search on night is running"),
        alone(tmp_path / "night", "1"),
    ):
        pass
