"""Comparing two models that were judged on the same customers or reviews."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from ml.evidence import LASTING, standard_errors

RESAMPLES = 1_000
ROWS_AT_ONCE = 2_000_000
SPREAD = 0.1  # standard deviation of what a night's fit is worth over another, relative, before anything is measured


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


@dataclass(frozen=True)
class Expected:
    """What a fresh model is expected to be worth over another, relative, after all that was measured: mean and standard error of the
    posterior."""

    value: float
    error: float

    @property
    def interval(self) -> Interval:
        reach = standard_errors(LASTING) * self.error
        return Interval(self.value, self.value - reach, self.value + reach)


def expected_difference(fresh: np.ndarray, other: np.ndarray) -> Expected:
    """What fresh models are worth over another, relative to it, from the scores of n units.

    A unit is a customer or a review with all nights it was judged in, which makes units independent where the nights' days overlap. The
    ratio of the sums has the standard error of a ratio estimator (Cochran, "Sampling Techniques", 1977, section 6.4). Few units say
    little, so it is drawn to what is known before (a normal prior, mean 0 and standard deviation SPREAD: models of one shop, a night
    apart, are mostly alike). Where the other's scores are all 0 any gain counts as 1, and the prior's doubt stays.

    Args:
        fresh: (n,) sums of the fresh models' scores, one a night.
        other: (n,) the other's, of the same nights.
    """
    total = float(other.sum())
    if len(fresh) < 2 or total <= 0:
        return Expected(float(np.sign(fresh.sum())) if total <= 0 else 0.0, SPREAD)
    ratio = float(fresh.sum()) / total
    residuals = fresh - ratio * other
    variance = float((residuals**2).sum()) * len(fresh) / (len(fresh) - 1) / total**2
    drawn = SPREAD**2 / (SPREAD**2 + variance)
    return Expected(drawn * (ratio - 1), sqrt(drawn * variance))


@dataclass(frozen=True)
class Verdict:
    """What a comparison means for a fresh model.

    Attributes:
        promoted: it may predict.
        proven: it may also be what later nights' models are measured by.
        tonight: relative difference on tonight's test days, with its 95 % interval.
        expected: with the earlier nights' evidence.
    """

    promoted: bool
    proven: bool
    tonight: Interval
    expected: Expected


def judge_fresh(tonight: tuple[np.ndarray, np.ndarray], pooled: tuple[np.ndarray, np.ndarray], margin: float, seed: int) -> Verdict:
    """Whether a fresh model may predict in place of the reference it was judged beside.

    It may not if it is worse by more than `margin` for sure tonight (the whole 95 % interval lies below), nor if, by the evidence of all
    nights since the reference became one, it is expected to be: `margin` is what the freshness of a model is worth, which the test days do
    not show. It becomes the reference itself when it is expected to be no worse and a loss beyond `margin` is ruled out (95 % interval).
    Until then the reference stays, so that small losses which no single night can see do not add up.

    Args:
        tonight: (n,) scores of tonight's units, of the fresh model and of the reference.
        pooled: (m,) sums by unit over the nights since the reference became one, tonight among them, of the fresh models and of the
            reference.
        margin: relative.
        seed: of the resamples.
    """
    interval, expected = relative_difference(*tonight, seed), expected_difference(*pooled)
    promoted = interval.high >= -margin and expected.value >= -margin
    proven = promoted and expected.value >= 0 and expected.interval.low >= -margin
    return Verdict(promoted, proven, interval, expected)


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
    low, high = np.quantile(means, [LASTING, 1 - LASTING])
    return float(low), float(high)
