"""Comparing two models that were judged on the same customers or reviews."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.nightly_model import Evaluation

RESAMPLES = 1_000
CONFIDENCE = 0.95
ROWS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class Interval:
    """A mean difference with the bounds of its 95 % confidence interval."""

    value: float
    low: float
    high: float


def paired_difference(scores: np.ndarray, other: np.ndarray, seed: int) -> Interval:
    """Mean of scores - other over units, with its percentile bootstrap interval (Efron and Tibshirani, "An Introduction to the
    Bootstrap", 1993, chapters 8 and 13): the pairs are drawn with replacement, so what makes a unit easy or hard for both cancels.

    Args:
        scores: (n,) one model's score of each unit.
        other: (n,) the other's, of the same units in the same order.
        seed: seed of the resamples; the same seed draws the same units.

    Raises:
        ValueError: the shapes differ, or there are no units.
    """
    if scores.shape != other.shape or not scores.size:
        raise ValueError(f"paired scores must be as many, and some: found {scores.shape} and {other.shape}")
    means = _resampled_means((scores - other)[:, None], seed)[:, 0]
    low, high = _bounds(means)
    return Interval(float((scores - other).mean()), low, high)


def relative_difference(challenger: np.ndarray, champion: np.ndarray, seed: int) -> Interval:
    """(mean of challenger - mean of champion) / mean of champion over paired units, with its bootstrap interval (see `paired_difference`).

    Where the champion's mean is 0, any gain counts as 1, an equal as 0.
    """
    if challenger.shape != champion.shape or not challenger.size:
        raise ValueError(f"paired scores must be as many, and some: found {challenger.shape} and {champion.shape}")
    pairs = np.column_stack([challenger, champion]).astype(float)
    low, high = _bounds(_relative(_resampled_means(pairs, seed)))
    return Interval(float(_relative(pairs.mean(axis=0, keepdims=True))[0]), low, high)


def better_or_alike(challenger: Evaluation, champion: Evaluation, margin: float, seed: int) -> tuple[bool, Interval]:
    """Whether the challenger may take the champion's place, and the relative difference that decides it.

    It may unless it is worse beyond `margin` for sure: unless the whole 95 % interval of the relative difference lies below -margin. Fresh
    data are worth something that the test days do not show yet, so doubt speaks for the challenger.

    Raises:
        ValueError: the two were not judged on the same units.
    """
    if not np.array_equal(challenger.unit_ids, champion.unit_ids):
        raise ValueError("challenger and champion were judged on different units; they must be judged on one snapshot and split")
    interval = relative_difference(challenger.unit_scores, champion.unit_scores, seed)
    return interval.high >= -margin, interval


def _relative(means: np.ndarray) -> np.ndarray:
    """(r, 2) means of challenger and champion to (r,) relative differences."""
    gain = means[:, 0] - means[:, 1]
    return np.where(means[:, 1] > 0, gain / np.where(means[:, 1] > 0, means[:, 1], 1.0), np.sign(gain))


def _resampled_means(values: np.ndarray, seed: int) -> np.ndarray:
    """(n, k) values to (resamples, k) means of n rows drawn with replacement, in blocks of bounded memory."""
    rng = np.random.default_rng(seed)
    units = len(values)
    block = max(1, ROWS_AT_ONCE // units)
    means = [values[rng.integers(0, units, size=(min(block, RESAMPLES - done), units))].mean(axis=1) for done in range(0, RESAMPLES, block)]
    return np.concatenate(means)


def _bounds(means: np.ndarray) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)
