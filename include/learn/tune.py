"""The search for better settings of the recommender: on validation days only, in a bounded time, resumable after a kill.

Every trial is a config. It is fitted and judged on a rehearsal (see `rehearsal`) of a quarter of the customers, and if that is no
worse than half of the trials before, of all. The search sees one half of the customers judged; whether the best config is better than the
one in force is decided on the other half, which nothing was chosen on: its whole 95 % interval must lie above 0.

    tuning/<night>/journal.log    Optuna's journal: every trial, as it goes; a search that was killed goes on from it
    tuning/<night>/trial-<n>.parquet    the scores of the customers judged, of every trial that ended
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from include.errors import NightError
from include.learn.compare import Interval, paired_difference
from include.learn.models import recommender_config
from include.learn.rehearsal import rehearse
from include.learn.tracking import RecordedSearch, record_search
from include.learn.tuned import keep_found, with_found
from include.night import Night, parse_as_of
from include.settings import Settings
from ml.nightly_model import BEFORE_TEST
from ml.recommend.recommender import Recommender
from ml.recommend.tuning import SEARCHED

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

log = logging.getLogger(__name__)

NAME = Recommender.name
SHARES = (0.25, 1.0)  # of the customers, one after the other
FIRST_TRIALS = 4  # none of them is given up early


@dataclass(frozen=True)
class Search:
    """What came of a search.

    Attributes:
        night: the night whose features it was made on.
        trials: that ended, given up ones too, over all tries.
        settings: the best ones.
        gain: NDCG@10 of the best over those in force, on the customers that nothing was chosen on; None where the best are those.
        better: whether later nights use them.
    """

    night: str
    trials: int
    settings: dict[str, float]
    gain: Interval | None
    better: bool


def latest_night(settings: Settings) -> Night:
    """The shop's latest night with features and a recommender, under these settings.

    Raises:
        NightError: the shop has none.
    """
    now = Night(settings=settings, as_of=parse_as_of("9999-12-31"))
    nights = sorted(path.parent.name for path in now.shop_home.glob(f"predictions/*/metrics_{NAME}.parquet"))
    with_features = [key for key in nights if (now.shop_home / "features" / key / "splits.parquet").exists()]
    if not with_features:
        raise NightError(f"Shop {now.shop} has no night to tune on", "Run a night of this shop first.")
    return Night(settings=settings, as_of=parse_as_of(with_features[-1]))


def tune(settings: Settings) -> Search:
    """Search on the shop's latest night until `tune_trials` trials have ended or `tune_minutes` are over, and keep what is better.

    A search on the same night that was cut short goes on: its trials count, the one that was running is run again.
    """
    night = latest_night(settings)
    folder = night.shop_home / "tuning" / night.key
    folder.mkdir(parents=True, exist_ok=True)
    ends = time.monotonic() + 60 * settings.tune_minutes
    for left in folder.glob(".rehearsal-*"):
        shutil.rmtree(left)
    in_force = _in_force(night)
    study = _study(night, folder, in_force)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".rehearsal-") as work:
        for share in SHARES:
            rehearse(night, Path(work) / str(share), share)
        while _judged(study, in_force) is None or (_ended(study) < settings.tune_trials and time.monotonic() < ends):
            _run(night, folder, Path(work), study, in_force)
    search = _conclude(night, folder, study, in_force)
    log.info("tuning: %s", search)
    gain = {"gain": search.gain.value, "gain_low": search.gain.low, "gain_high": search.gain.high} if search.gain else {}
    record_search(night, RecordedSearch(NAME, search.settings, gain, search.better, _told(study)))
    return search


def _in_force(night: Night) -> dict[str, float]:
    """The values of the searched settings that this night went by."""
    config = with_found(night, NAME, recommender_config(night.settings))
    return {name: float(getattr(config, name)) for name in SEARCHED}


def _study(night: Night, folder: Path, in_force: dict[str, float]) -> Study:
    """The night's study, as far as it got; what a kill left running is put back in the queue, and the settings in force come first."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / "journal.log"))),
        study_name=NAME,
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=FIRST_TRIALS),
    )
    for left in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(left.number, state=TrialState.FAIL)
        study.enqueue_trial(left.params)
    study.sampler = optuna.samplers.TPESampler(seed=night.settings.seed + len(study.trials), n_startup_trials=FIRST_TRIALS)
    study.enqueue_trial(in_force, skip_if_exists=True)
    return study


def _run(night: Night, folder: Path, work: Path, study: Study, in_force: dict[str, float]) -> None:
    """One trial, from a share of the customers to all of them."""
    from optuna.trial import TrialState

    trial = study.ask()
    chosen = {name: trial.suggest_float(name, found.low, found.high, log=found.log) for name, found in SEARCHED.items()}
    config = recommender_config(night.settings).model_copy(update=chosen)
    cache = night.shop_home / "cache"
    cache.mkdir(exist_ok=True)
    value = 0.0
    for step, share in enumerate(SHARES):
        model = Recommender(config)
        model.fit(work / str(share), BEFORE_TEST, cache)
        judged = model.evaluate(work / str(share), "test", cache)
        seen = _is_seen(len(judged.unit_ids))
        value = float(judged.unit_scores[seen].mean()) if seen.any() else 0.0
        trial.report(value, step)
        if step + 1 < len(SHARES) and chosen != in_force and trial.should_prune():
            log.info("tuning: trial %d given up at %.4f: %s", trial.number, value, chosen)
            study.tell(trial, state=TrialState.PRUNED)
            return
    scores = pa.table({"customer_id": pa.array(judged.unit_ids.tolist(), pa.string()), "score": pa.array(judged.unit_scores)})
    pq.write_table(scores, folder / f"trial-{trial.number}.parquet")
    study.tell(trial, value)
    log.info("tuning: trial %d reaches %.4f: %s", trial.number, value, chosen)


def _is_seen(customers: int) -> np.ndarray:
    """(n,) the half of the judged customers, every other one by id, on whom configs are chosen."""
    return np.arange(customers) % 2 == 0


def _judged(study: Study, settings: dict[str, float]) -> FrozenTrial | None:
    """The trial of these settings that ran to its end; None where none did."""
    return next((trial for trial in _complete(study) if trial.params == settings), None)


def _complete(study: Study) -> list[FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _conclude(night: Night, folder: Path, study: Study, in_force: dict[str, float]) -> Search:
    """Compare the best trial with the settings in force on the other half of the customers, and keep it where it is better."""
    now = _judged(study, in_force)
    assert now is not None, "the settings in force are tried first"
    best = max(_complete(study), key=lambda trial: (trial.value or 0.0, -trial.number))
    if best.number == now.number:
        return Search(night.key, _ended(study), dict(best.params), None, better=False)
    scores = [pq.read_table(folder / f"trial-{trial.number}.parquet")["score"].to_numpy() for trial in (best, now)]
    unseen = ~_is_seen(len(scores[0]))
    if not unseen.any():
        return Search(night.key, _ended(study), dict(best.params), None, better=False)
    gain = paired_difference(scores[0][unseen], scores[1][unseen], night.settings.seed)
    better = gain.low > 0
    if better:
        keep_found(night, NAME, {"settings": dict(best.params), "gain": gain.value, "gain_low": gain.low, "gain_high": gain.high})
    return Search(night.key, _ended(study), dict(best.params), gain, better)


def _ended(study: Study) -> int:
    from optuna.trial import TrialState

    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)))


def _told(study: Study) -> list[dict[str, Any]]:
    """Every trial that ended: number, state, value, settings."""
    return [
        {"number": trial.number, "state": trial.state.name, "value": trial.value, "settings": trial.params}
        for trial in study.get_trials(deepcopy=False)
        if trial.state.is_finished()
    ]
