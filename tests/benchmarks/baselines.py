"""What a recommender must beat, fitted on the same days and asked for the same customers: the strongest simple methods, and implicit's ALS.

Every baseline orders what it has nothing to say about by the popularity of the last seven days, and may recommend again what a customer
knows, unless the shop's rules forbid it: that is what is asked of the model too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import CosineRecommender

from ml.nightly_model import Split
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.customers import active_customers
from ml.recommend.data.histories import History, read_history
from ml.recommend.data.holdouts import evaluated_users, holdout_of
from ml.recommend.data.popularity import read_popularity
from ml.recommend.data.snapshot import Snapshot
from ml.recommend.evaluation.evaluate import evaluate_lists
from ml.recommend.ranking.scoring import ListScorer

NEIGHBOURS = 100
ALS: dict[str, Any] = {"factors": 64, "regularization": 0.05, "iterations": 15}
ALPHAS = (1.0, 10.0)


class Baseline:
    """Scores products by a function of histories; a candidate as far as `Scorer` asks."""

    def __init__(self, name: str, score: Callable[[History], np.ndarray]) -> None:
        self.name = self.strategy = name
        self.score = score


def counts(history: History) -> sp.csr_matrix:
    """(n, P) how much evidence each customer gave of each product, damped: what the packages are given."""
    return history.matrix(np.log1p(history.evidence))


def item_knn(history: History) -> Baseline:
    """Cosine between products over all customers; a product is its own nearest neighbour, so what is known comes back."""
    model = CosineRecommender(K=NEIGHBOURS, num_threads=1)
    model.fit(counts(history), show_progress=False)
    return Baseline("item_knn", lambda asked: (counts(asked) @ model.similarity).toarray())


def als(history: History, alpha: float, config: RecommenderConfig) -> Baseline:
    """implicit's ALS; vectors of the customers asked for are solved anew by it."""
    model = AlternatingLeastSquares(**ALS, alpha=alpha, random_state=config.seed, num_threads=config.threads)
    model.fit(counts(history), show_progress=False)

    def score(asked: History) -> np.ndarray:
        return model.recalculate_user(np.arange(asked.customers), counts(asked)) @ model.item_factors.T

    return Baseline(f"implicit_als_{alpha:g}", score)


def baseline_scores(snapshot: Snapshot, split: Split, config: RecommenderConfig) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """NDCG@10 of every baseline for every customer judged: (n,) customer ids and {baseline: (n,)}.

    Of the confidences tried for ALS the one that does best on these very days stands for it: its luck, not the model's.
    """
    holdout = holdout_of(snapshot, split)
    history = read_history(snapshot, active_customers(snapshot, holdout.starts_at), holdout.starts_at)
    lately = read_popularity(snapshot, half_life_days=36500, before=holdout.starts_at, last_days=7)["all"]
    known = snapshot.catalogue.known_at < np.datetime64(holdout.starts_at, "us").astype(np.int64)
    baselines: list[Any] = [
        Baseline("popularity_7_days", lambda asked: np.tile(lately, (asked.customers, 1))),
        Baseline("personal_frequency", lambda asked: asked.matrix(asked.evidence).toarray()),
        item_knn(history),
        *(als(history, alpha, config) for alpha in ALPHAS),
    ]
    scorers = {b.name: ListScorer([b], np.ones(1), np.ones(len(known), np.float32), lately, known, config) for b in baselines}
    first = next(iter(scorers.values()))
    judged = evaluate_lists(snapshot, holdout, split, first, scorers, evaluated_users(snapshot, holdout, config.max_judged_customers))
    scores = {b.name: judged.baselines[b.name] for b in baselines}
    tuned = [scores.pop(f"implicit_als_{alpha:g}") for alpha in ALPHAS]
    return judged.unit_ids, scores | {"implicit_als": max(tuned, key=np.mean)}
