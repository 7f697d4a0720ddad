"""Metrics beyond accuracy: how varied lists are, how close to the customer's own categories, and how popular their products."""

from __future__ import annotations

import numpy as np

# how much of the customer's own shares is mixed into the list's, so that a missing category costs much but not infinitely much
SMOOTHING = 0.01


def diversity(groups: np.ndarray) -> np.ndarray:
    """(n,) share of a list's pairs that are of different groups (intra-list diversity, Ziegler et al. 2005); NaN without a pair.

    Args:
        groups: (n, k) number of the category at each place, -1 where it has none (like no other), -2 where nothing is shown.
    """
    shown = groups > -2
    pairs = shown[:, :, None] & shown[:, None, :]
    alike = pairs & (groups[:, :, None] == groups[:, None, :]) & (groups[:, :, None] >= 0)
    counted = _pairs(shown.sum(axis=1))
    of_places = alike.sum(axis=(1, 2)) - (groups >= 0).sum(axis=1)
    return 1 - _divided(of_places / 2, counted)


def miscalibration(shares: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(n,) Kullback-Leibler divergence, in nats, of a list's categories from the customer's own (Steck 2018, "Calibrated
    recommendations"): 0 where the list holds them in the customer's shares; NaN for customers without any, and for empty lists.

    Args:
        shares: (n, G) of each category in the customer's history, adding up to 1 or to 0.
        groups: as in `diversity`.
    """
    row, place = np.nonzero(groups >= 0)
    categories = shares.shape[1]
    counts = np.bincount(row * categories + groups[row, place], minlength=shares.size).reshape(shares.shape)
    of_list = counts.sum(axis=1)
    listed = counts / np.maximum(of_list, 1)[:, None]
    mixed = (1 - SMOOTHING) * listed + SMOOTHING * shares
    found = np.sum(np.where(shares > 0, shares * np.log(np.where(shares > 0, shares / np.where(mixed > 0, mixed, 1), 1)), 0), axis=1)
    return np.where((of_list > 0) & (shares.sum(axis=1) > 0), found, np.nan)


def percentiles(popularity: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """(P,) share of the allowed products that are less popular; equally popular ones count half. In [0, 1]."""
    known = np.sort(popularity[allowed])
    below, upto = np.searchsorted(known, popularity, "left"), np.searchsorted(known, popularity, "right")
    return (below + upto) / (2 * max(1, len(known)))


def mean_of_shown(worth: np.ndarray, products: np.ndarray) -> np.ndarray:
    """(n,) mean of (P,) `worth` over each list of (n, k) product numbers, -1 where nothing is shown; NaN for empty lists."""
    shown = products >= 0
    return _divided(np.where(shown, worth[products], 0).sum(axis=1), shown.sum(axis=1))


def _pairs(places: np.ndarray) -> np.ndarray:
    return places * (places - 1) / 2


def _divided(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.where(counts > 0, sums / np.where(counts > 0, counts, 1), np.nan)
