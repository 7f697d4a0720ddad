"""A search for better settings with Optuna, on disk after every step, so that one that was killed anywhere goes on.

    journal.log          Optuna's journal: every trial, as it goes
    trial-<n>.parquet    the scores of the units judged, of every trial that ran to its end; written before the journal says so
    stands_on            digest of what the trials were judged with: on other data, or under another config, a search begins anew

The settings in force are no proposal: they are judged before the first one and enter the journal as a trial that is complete. Optuna's
queue would lose them: it counts a trial that failed as tried, and a killed trial keeps only the settings that it had come to.
"""

from __future__ import annotations

import fcntl
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from include.errors import NightError
from include.night import write_atomically
from ml.model_spec import Range
from ml.nightly_model import Evaluation

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

log = logging.getLogger(__name__)

Judge = Callable[[dict[str, float]], Evaluation]

FIRST_TRIALS = 4  # none of them is given up early
STUDY = "search"


@contextmanager
def alone(folder: Path, stands_on: str) -> Iterator[None]:
    """Within it the search in `folder` belongs to this process; what an earlier one left there stays if it stands on the same.

    Raises:
        NightError: another process is searching there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system frees it when the process ends, however it ends
        except BlockingIOError as error:
            raise NightError(f"A search on {folder.name} is running", "Wait for it, or stop it; its trials are kept.") from error
        said = folder / "stands_on"
        if not said.exists() or said.read_text() != stands_on:
            shutil.rmtree(folder)
            folder.mkdir()
            write_atomically(said, stands_on)
        yield


def search(
    folder: Path, ranges: Mapping[str, Range], in_force: dict[str, float], judges: Sequence[Judge], *, trials: int, ends: float, seed: int
) -> Study:
    """Judge the settings in force, if that is not done yet, and then proposals until `trials` have ended or the time is over.

    To be called within `alone`.

    Args:
        folder: of the search, as far as it got.
        ranges: of every searched setting; one that the value in force lies outside of is widened to it.
        in_force: value of every searched setting.
        judges: are asked one after the other, and the last one's evaluation counts; where a proposal is worse than the median of those
            before it, the others are not asked.
        trials: those of earlier tries count.
        ends: on time.monotonic's clock; no proposal is begun later.
        seed: seed of the proposals.
    """
    from optuna.distributions import FloatDistribution

    study = _study(folder, seed)
    space = {
        name: FloatDistribution(min(span.low, in_force[name]), max(span.high, in_force[name]), log=span.log)
        for name, span in ranges.items()
    }
    if judged(study, in_force) is None:
        _judge_in_force(folder, study, space, in_force, judges)
    while ended(study) < trials and time.monotonic() < ends:
        _judge_proposal(folder, study, space, judges)
    return study


def judged(study: Study, settings: Mapping[str, float]) -> FrozenTrial | None:
    """The trial of these settings that ran to its end; None where none did."""
    return next((trial for trial in complete(study) if trial.params == settings), None)


def complete(study: Study) -> list[FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def ended(study: Study) -> int:
    """Trials that ran to their end or were given up."""
    from optuna.trial import TrialState

    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)))


def scores_of(folder: Path, trial: FrozenTrial) -> np.ndarray:
    """(n,) scores of the units judged, in the order of their ids."""
    scores: np.ndarray = pq.read_table(folder / f"trial-{trial.number}.parquet")["score"].to_numpy()
    return scores


def is_seen(units: int) -> np.ndarray:
    """(n,) the half of the units judged, every other one by id, that settings are chosen on."""
    return np.arange(units) % 2 == 0


def told(study: Study) -> list[dict[str, Any]]:
    """Every trial that ended: number, state, value, settings."""
    return [
        {"number": trial.number, "state": trial.state.name, "value": trial.value, "settings": trial.params}
        for trial in study.get_trials(deepcopy=False)
        if trial.state.is_finished()
    ]


def _study(folder: Path, seed: int) -> Study:
    """The study as far as it got; what a kill left running has failed."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal = folder / "journal.log"
    _mend(journal)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))),
        study_name=STUDY,
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=FIRST_TRIALS),
    )
    for left in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(left.number, state=TrialState.FAIL)
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials), n_startup_trials=FIRST_TRIALS)
    return study


def _mend(journal: Path) -> None:
    """Take away what a kill while writing leaves: Optuna's lock, which it waits half a minute for, and a part of a line, which it would
    write on behind and never read again."""
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)
    if journal.exists() and not (written := journal.read_bytes()).endswith(b"\n"):
        with journal.open("r+b") as file:
            file.truncate(written.rfind(b"\n") + 1)


def _judge_in_force(folder: Path, study: Study, space: dict[str, Any], in_force: dict[str, float], judges: Sequence[Judge]) -> None:
    from optuna.trial import create_trial

    evaluations = [judge(in_force) for judge in judges]
    _write_scores(folder, len(study.trials), evaluations[-1])
    values = list(map(_value, evaluations))
    trial = create_trial(params=in_force, distributions=space, value=values[-1], intermediate_values=dict(enumerate(values)))
    study.add_trial(trial)
    log.info("search: the settings in force reach %.4f: %s", values[-1], in_force)


def _judge_proposal(folder: Path, study: Study, space: dict[str, Any], judges: Sequence[Judge]) -> None:
    from optuna.trial import TrialState

    trial = study.ask(space)
    for step, judge in enumerate(judges):
        evaluation = judge(trial.params)
        value = _value(evaluation)
        trial.report(value, step)
        if step + 1 < len(judges) and trial.should_prune():
            log.info("search: trial %d given up at %.4f: %s", trial.number, value, trial.params)
            study.tell(trial, state=TrialState.PRUNED)
            return
    _write_scores(folder, trial.number, evaluation)
    study.tell(trial, value)
    log.info("search: trial %d reaches %.4f: %s", trial.number, value, trial.params)


def _value(evaluation: Evaluation) -> float:
    """Mean score of the units that settings are chosen on; 0 where there are none."""
    seen = is_seen(len(evaluation.unit_ids))
    return float(evaluation.unit_scores[seen].mean()) if seen.any() else 0.0


def _write_scores(folder: Path, number: int, evaluation: Evaluation) -> None:
    ids = pa.array(evaluation.unit_ids.tolist(), pa.string())
    pq.write_table(pa.table({"customer_id": ids, "score": pa.array(evaluation.unit_scores)}), folder / f"trial-{number}.parquet")
