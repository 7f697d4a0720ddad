"""The search for better settings of the model that declares what may be searched: on validation days only, bounded in time, resumable.

Every trial is a config. It is fitted and judged on a backtest (see `backtest`) of a quarter of the customers, and if that is no
worse than half of the trials before, of all. The search (see `search`, under tuning/<night>) sees one half of the customers judged; whether
the best config is better than the one in force is decided on the other half, which nothing was chosen on: its whole 95 % interval must lie
above 0.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from include.errors import NightError
from include.learn.backtest import write_backtest
from include.learn.compare import Interval, paired_difference
from include.learn.search import alone, complete, ended, is_seen, judged, scores_of, search, told
from include.learn.tracking import RecordedSearch, record_search
from include.learn.tuned import forget_found, keep_found, with_found
from include.night import Night, parse_as_of
from include.settings import Settings
from ml.model_spec import known_models
from ml.nightly_model import Evaluation

if TYPE_CHECKING:
    from optuna import Study

log = logging.getLogger(__name__)

(SPEC,) = [spec for spec in known_models().values() if spec.search]  # the one model that can be tuned
NAME = SPEC.name
SHARES = (0.25, 1.0)  # of the customers, one after the other
WITHOUT_EFFECT = {"threads", "memory_gb", "score_chunk_rows"}  # on what a trial comes to


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
    """The shop's latest night with features and this model, under these settings.

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

    A search on the same features that was cut short goes on: its trials count, the minutes begin anew. The settings in force are judged
    first, however little time there is.

    Raises:
        NightError: the shop has no night to search on, or a search on it is running.
    """
    night = latest_night(settings)
    folder = night.shop_home / "tuning" / night.key
    ends = time.monotonic() + 60 * settings.tune_minutes
    config = with_found(night, NAME, night.settings.of_model(NAME))
    in_force = {name: float(getattr(config, name)) for name in SPEC.search}
    with alone(folder, _digest(night, config)):
        for left in folder.glob(".backtest-*"):
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".backtest-") as work:
            judges = []
            for share in SHARES:
                write_backtest(night, Path(work) / str(share), share)
                judges.append(_judge(night, config, Path(work) / str(share)))
            study = search(folder, SPEC.search, in_force, judges, trials=settings.tune_trials, ends=ends, seed=night.settings.seed)
        found = _conclude(night, folder, study, in_force)
        log.info("tuning: %s", found)
        gain = {"gain": found.gain.value, "gain_low": found.gain.low, "gain_high": found.gain.high} if found.gain else {}
        record_search(night, RecordedSearch(NAME, found.settings, gain, found.better, told(study)))
    return found


def _digest(night: Night, config: BaseModel) -> str:
    """Of the night's features and the config in force: trials are compared only where both are the same."""
    digest = hashlib.sha256(json.dumps(config.model_dump(mode="json", exclude=WITHOUT_EFFECT), sort_keys=True).encode())
    for file in sorted(night.features.glob("*.parquet")):
        digest.update(file.name.encode())
        with file.open("rb") as features:
            digest.update(hashlib.file_digest(features, "sha256").digest())
    return digest.hexdigest()


def _judge(night: Night, config: BaseModel, snapshot: Path) -> Callable[[dict[str, float]], Evaluation]:
    """Fits and judges the model on a snapshot, under the config with other settings."""
    cache = night.shop_home / "cache"
    cache.mkdir(exist_ok=True)

    def judge(settings: dict[str, float]) -> Evaluation:
        model = SPEC.load_class()(config.model_copy(update=settings))
        model.fit(snapshot, cache)
        return model.evaluate(snapshot, "test", cache)

    return judge


def _conclude(night: Night, folder: Path, study: Study, in_force: dict[str, float]) -> Search:
    """Compare the best trial with the settings in force on the other half of the customers, and keep it where it is better.

    What an earlier try of the search on this night kept goes: it was chosen from fewer trials, or on other features.
    """
    now = judged(study, in_force)
    assert now is not None, "the settings in force are judged first"
    best = max(complete(study), key=lambda trial: (trial.value or 0.0, -trial.number))
    scores = [scores_of(folder, trial) for trial in (best, now)]
    unseen = ~is_seen(len(scores[0]))
    gain = None
    if best.number != now.number and unseen.any():
        gain = paired_difference(scores[0][unseen], scores[1][unseen], night.settings.seed)
    if gain and gain.low > 0:
        keep_found(night, NAME, {"settings": dict(best.params), "gain": gain.value, "gain_low": gain.low, "gain_high": gain.high})
        return Search(night.key, ended(study), dict(best.params), gain, better=True)
    forget_found(night, NAME)
    return Search(night.key, ended(study), dict(best.params), gain, better=False)
