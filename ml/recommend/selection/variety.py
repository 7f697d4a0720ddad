"""How much variety the validation customers like: lists are varied as far as that finds more of what they wanted."""

from __future__ import annotations

import logging

import numpy as np

from ml.evidence import is_better
from ml.recommend.data.customers import Customers
from ml.recommend.data.exclusions import read_owned
from ml.recommend.data.histories import read_history
from ml.recommend.data.holdouts import Holdout, read_labels
from ml.recommend.data.snapshot import Snapshot
from ml.recommend.evaluation import metrics
from ml.recommend.evaluation.evaluate import K
from ml.recommend.lists.diversity import LOOKED_AT, MIN_LOOKED_AT, discounted
from ml.recommend.ranking.scoring import ListScorer, within

log = logging.getLogger(__name__)

TRIED = (0.02, 0.05, 0.1, 0.2, 0.35)


def best_variety(snapshot: Snapshot, holdout: Holdout, model: ListScorer, customers: Customers, least: float) -> float:
    """The value of `diversity` whose lists have the highest NDCG. It is at least `least`, and higher only where the gain over `least` is
    beyond chance (see `is_better`).

    Args:
        model: ranks without variety.
        customers: of the holdout (see `evaluated_users`).
    """
    history, owned = read_history(snapshot, customers, holdout.starts_at), read_owned(snapshot, customers, holdout.starts_at)
    labels, category = read_labels(snapshot, customers, holdout), snapshot.catalogue.category
    tried = [least, *(value for value in TRIED if value > least)]
    pool = max(LOOKED_AT * K, MIN_LOOKED_AT)

    def of_block(begin: int, end: int) -> np.ndarray:
        wanted = np.zeros((end - begin, len(category)), dtype=bool)
        wanted[within(labels, begin, end)] = True
        ranked = model.rank(history.rows(begin, end), within(owned, begin, end), pool)
        hits = np.take_along_axis(wanted, ranked.products, 1) & np.isfinite(ranked.scores)
        for_all = []
        for value in tried:
            order = np.argsort(-discounted(ranked.scores, category[ranked.products], value), axis=1, kind="stable")[:, :K]
            kept = np.take_along_axis(hits, order, 1)
            for_all.append(metrics.ndcg(kept, wanted.sum(axis=1)))
        return np.stack(for_all, axis=1)

    ndcg = np.concatenate([np.zeros((0, len(tried))), *model.by_block(len(customers), of_block)])
    if not len(ndcg):
        return least
    best = int(ndcg.mean(axis=0).argmax())
    gain = ndcg[:, best] - ndcg[:, 0]
    log.info("variety: NDCG@%d %s", K, dict(zip(tried, ndcg.mean(axis=0).round(4).tolist(), strict=True)))
    return tried[best] if is_better(gain, tried=max(1, len(tried) - 1)) else least
