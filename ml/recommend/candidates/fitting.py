"""Which candidate generators there are, and fitting those that suit a shop."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path

from ml.recommend.candidates.als import Als
from ml.recommend.candidates.category_popularity import CategoryPopularity
from ml.recommend.candidates.content import Content
from ml.recommend.candidates.contract import CandidateGenerator, Training
from ml.recommend.candidates.ease import Ease
from ml.recommend.candidates.follow_up import FollowUp
from ml.recommend.candidates.interest import Interest
from ml.recommend.candidates.item_knn import ItemKnn
from ml.recommend.candidates.popularity import Popularity
from ml.recommend.candidates.repeat import Repeat
from ml.recommend.candidates.sequence import SequenceModel
from ml.recommend.candidates.taste import Taste
from ml.recommend.candidates.transitions import Transitions
from ml.recommend.candidates.user_knn import UserKnn
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.customers import active_customers
from ml.recommend.data.histories import History, read_history
from ml.recommend.data.popularity import read_popularity
from ml.recommend.data.snapshot import Snapshot

log = logging.getLogger(__name__)

GENERATORS: tuple[type[CandidateGenerator], ...] = (
    Popularity,
    CategoryPopularity,
    Taste,
    ItemKnn,
    UserKnn,
    Ease,
    Transitions,
    SequenceModel,
    Als,
    Content,
    Repeat,
    FollowUp,
    Interest,
)
# slow to fit; where most purchases are repeats, lists are as good without them: see docs/experiments_recommendations.md
SLOW = (Transitions.name, SequenceModel.name)


def fit_generators(
    snapshot: Snapshot,
    cache: Path,
    before: datetime | None,
    half_life_days: float,
    config: RecommenderConfig,
    names: Collection[str] | None = None,
    earlier: Sequence[CandidateGenerator] = (),
) -> list[CandidateGenerator]:
    """The generators that suit this shop's data, fitted on the rows before a moment. Where `names` are given, only those of these names.
    A fit may continue from those of the `earlier` generators that know no later rows."""
    history = read_history(snapshot, active_customers(snapshot, before), before)
    popularity = read_popularity(snapshot, half_life_days, before)["all"]
    training = Training(snapshot.catalogue, history, popularity, cache, earlier)
    left_out = SLOW if habitual(history) > config.habitual else ()
    fitted: list[CandidateGenerator] = []
    for kind in GENERATORS:
        generator = kind(config)
        if (names is None or kind.name in names) and kind.name not in left_out and generator.suits(snapshot.catalogue, history):
            generator.fit(training)
            fitted.append(generator)
            log.info("%s: fitted on %d customers, %d pairs", kind.name, history.customers, len(history.product))
    return fitted


def habitual(history: History) -> float:
    """The share of purchases of something that the customer had bought before; a product counts once a day."""
    return float((history.target_days - 1).clip(min=0).sum() / max(1, int(history.target_days.sum())))
