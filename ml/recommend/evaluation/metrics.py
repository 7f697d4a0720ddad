"""Metrics of ranked lists."""

from __future__ import annotations

import numpy as np


def discounts(k: int) -> np.ndarray:
    """(k,) 1 / log2(rank + 1) for the ranks 1 to k."""
    return 1 / np.log2(np.arange(2, k + 2))


def ndcg(hits: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(n,) NDCG with binary relevance, divided by the greatest DCG a list of this length can attain (Järvelin and Kekäläinen, 2002).

    Args:
        hits: (n, k) whether the product at each rank was wanted.
        wanted: (n,) how many products were wanted, at least 1.
    """
    k = hits.shape[1]
    ideal = np.cumsum(discounts(k))[np.minimum(wanted, k) - 1]
    return (hits @ discounts(k)) / ideal


def recall(hits: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(n,) share of the wanted products that the list holds."""
    return hits.sum(axis=1) / wanted


def hit_rate(hits: np.ndarray) -> np.ndarray:
    """(n,) 1 where the list holds any wanted product."""
    return hits.any(axis=1).astype(float)


def coverage(lists: np.ndarray, products: int) -> float:
    """Share of `products` that occur in any of the (n, k) lists."""
    return len(np.unique(lists)) / max(1, products)


def novelty(lists: np.ndarray, popularity: np.ndarray) -> float:
    """Mean self-information in bits of the products shown (Zhou et al. 2010): -log2 of a product's share of all popularity."""
    share = (popularity + 1e-9) / (popularity.sum() + 1e-9 * len(popularity))
    return float(-np.log2(share[lists]).mean()) if lists.size else 0.0
