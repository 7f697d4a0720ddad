"""Variety against accuracy: how much a list loses in score for each further product of one category."""

from __future__ import annotations

import numpy as np

from ml.recommend.topk import top_k

# products looked at for a place in a list
LOOKED_AT = 10
LEAST_LOOKED_AT = 100


def diversify(total: np.ndarray, category: np.ndarray, alpha: float, k: int) -> None:
    """Scales scores so that the best k make a varied list: a product counts (1 - alpha) to the power of the number of better ones of its
    category.

    Ranking by what comes out is the greedy list that gains most when each further product of a category is worth a share of (1 - alpha)
    of the one before, as in alpha-NDCG (Clarke et al. 2008, "Novelty and diversity in information retrieval evaluation"). No loop is
    needed: within a category the greedy list keeps the order of the scores, so the number of better ones is known from the start. The
    order within a category stays, products without a category keep their score, and what is not among the best comes after them.

    Args:
        total: (n, P) scores, above 0 or -inf; overwritten.
        category: (P,) numbers, -1 where there is none.
        alpha: in [0, 1); 0 changes nothing.
        k: length of the lists.
    """
    if alpha == 0 or total.shape[1] == 0:
        return
    best, worth = top_k(total, max(LOOKED_AT * k, LEAST_LOOKED_AT))
    group = np.where(category[best] >= 0, category[best], -1 - np.arange(best.shape[1]))  # without a category: like no other
    order = np.argsort(group, axis=1, kind="stable")
    ordered = np.take_along_axis(group, order, 1)
    place = np.broadcast_to(np.arange(best.shape[1]), best.shape)
    begins = np.maximum.accumulate(np.where(np.diff(ordered, axis=1, prepend=ordered[:, :1] - 1) != 0, place, 0), axis=1)
    better = np.empty_like(order)
    np.put_along_axis(better, order, place - begins, 1)
    scaled = worth * (np.float32(1 - alpha) ** better).astype(np.float32)
    shown = np.isfinite(worth)
    lowest = np.where(shown, scaled, np.inf).min(axis=1, initial=np.inf, keepdims=True)
    last = np.where(shown, worth, np.inf).min(axis=1, initial=np.inf, keepdims=True)
    total *= np.where(np.isfinite(lowest) & (last > 0), lowest / last, 1).astype(np.float32)
    np.put_along_axis(total, best, scaled, 1)
