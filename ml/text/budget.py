"""How much a night may train, counted in tokens and not in time: the same reviews and settings give the same model on a slow day too."""

from __future__ import annotations

import numpy as np

from ml.text.threads import TRAIN_THREADS

WHOLE_UP_TO = 2  # times the rarest class: classes up to this size are shown whole


def affordable_tokens(minutes: float, tokens_per_second: float) -> int:
    """Tokens that can be trained on once within `minutes`, on TRAIN_THREADS cores of that pace."""
    return int(60 * minutes * TRAIN_THREADS * tokens_per_second)


def plan_epochs(classes: np.ndarray, lengths: np.ndarray, epochs: int, tokens: int, seed: int) -> list[np.ndarray]:
    """Which rows each epoch shows, so that all epochs together show about `tokens` tokens at most.

    An epoch has the classes in proportion to the square roots of their sizes, half-way to balance, so that rare classes count without
    their noisy labels dominating. If affordable, every epoch has the whole rarest class and classes at most twice as large. A larger
    class rotates, with another part of it in every epoch: its reviews are shown about once in total, rare ones in every epoch.

    Args:
        classes: (n,) class of each row.
        lengths: (n,) its tokens.
        epochs: how many; each has an equal share of the tokens.
        seed: seed of the order in which the reviews of a class rotate.

    Returns:
        Sorted row numbers of each epoch.
    """
    counts = np.bincount(classes)
    means = np.bincount(classes, weights=lengths) / np.maximum(counts, 1)
    quotas = _quotas(counts, means, tokens / epochs)
    rng = np.random.default_rng(seed)
    queues = [_rounds(np.flatnonzero(classes == one), quota * epochs, rng) for one, quota in enumerate(quotas)]
    return [
        np.sort(np.concatenate([queue[epoch * quota : (epoch + 1) * quota] for queue, quota in zip(queues, quotas, strict=True)]))
        for epoch in range(epochs)
    ]


def _quotas(counts: np.ndarray, means: np.ndarray, tokens: float) -> np.ndarray:
    """(classes,) rows of each class in an epoch of at most `tokens` tokens, in proportion to the roots of the counts."""
    rarest = counts[counts > 0].min()
    most = np.sqrt(rarest)
    roots = np.where(counts <= WHOLE_UP_TO * rarest, counts / most, np.sqrt(counts))
    low, high = 0.0, float(most)
    for _ in range(50):
        middle = (low + high) / 2
        fits = (np.minimum(counts, middle * roots) * means).sum() <= tokens
        low, high = (middle, high) if fits else (low, middle)
    return np.minimum(counts, np.ceil(high * roots)).astype(int)


def _rounds(rows: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """(length,) of the rows, all equally often up to one time, in a new random order in every round."""
    if not length:
        return rows[:0]
    return np.concatenate([rng.permutation(rows) for _ in range(-(-length // len(rows)))])[:length]
