"""Variety against accuracy: how much score each further product of a category loses in a list."""

from __future__ import annotations

import numpy as np

from ml.recommend.ranking.topk import top_k

# products considered for each place in a list, and the least considered in all
LOOKED_AT = 10
MIN_LOOKED_AT = 100


def diversify(total: np.ndarray, category: np.ndarray, alpha: float, k: int) -> None:
    """Scales scores so that the best k make a varied list: a product's score is multiplied by (1 - alpha) to the power of the number of
    better products of its category.

    The ranking by the scaled scores is the greedy list that gains most if each further product of a category is worth (1 - alpha) times the
    one before, as in alpha-NDCG (Clarke et al. 2008, "Novelty and diversity in information retrieval evaluation"). It needs no loop: within
    a category the greedy list keeps the order of the scores, so the number of better products is known from the start. The order within
    a category stays, products without a category keep their score, and what is not among the best comes after them.

    Args:
        total: (n, P) scores, above 0 or -inf; overwritten.
        category: (P,) numbers, -1 where there is none.
        alpha: in [0, 1); 0 changes nothing.
        k: length of the lists.
    """
    if alpha == 0 or total.shape[1] == 0:
        return
    best, worth = top_k(total, max(LOOKED_AT * k, MIN_LOOKED_AT))
    varied = discounted(worth, category[best], alpha)
    shown = np.isfinite(worth)
    lowest = np.where(shown, varied, np.inf).min(axis=1, initial=np.inf, keepdims=True)
    last = np.where(shown, worth, np.inf).min(axis=1, initial=np.inf, keepdims=True)
    total *= np.where(np.isfinite(lowest) & (last > 0), lowest / last, 1).astype(np.float32)
    np.put_along_axis(total, best, varied, 1)


def discounted(worth: np.ndarray, group: np.ndarray, alpha: float) -> np.ndarray:
    """(n, m) `worth`, falling along each row, times (1 - alpha) to the power of the number of earlier products of the same group (n, m);
    -1 is a group of its own."""
    places = np.arange(worth.shape[1])
    group = np.where(group >= 0, group, -1 - places)
    order = np.argsort(group, axis=1, kind="stable")
    ordered = np.take_along_axis(group, order, 1)
    begins = np.maximum.accumulate(np.where(np.diff(ordered, axis=1, prepend=ordered[:, :1] - 1) != 0, places, 0), axis=1)
    earlier = np.empty_like(order)
    np.put_along_axis(earlier, order, places - begins, 1)
    return worth * (np.float32(1 - alpha) ** earlier).astype(np.float32)
