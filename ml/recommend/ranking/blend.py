"""The blend of candidate generators: their scores on one scale, and the weights that rank best on customers they did not learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ml.evidence import is_better
from ml.recommend.evaluation.metrics import discounts

POOL_PER_CANDIDATE = 50
STEPS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.5)
PENALTIES = (0.0, 0.1, 0.25, 0.5, 1.0)


def unit(scores: np.ndarray) -> np.ndarray:
    """(n, P) scores scaled to [0, 1] row by row: the best product has 1; 0 where a generator knows nothing."""
    return scaled(scores)[0]


def scaled(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit scores, and (n,) the unscaled score of the best product of each row."""
    positive = np.maximum(scores, 0)
    best = positive.max(axis=1, keepdims=True, initial=0)
    return (positive / np.where(best > 0, best, 1)).astype(np.float32, copy=False), best[:, 0].astype(np.float32)


@dataclass(frozen=True)
class Pool:
    """The few products of each customer that could be among the best under any weights.

    Attributes:
        scores: (c, n, m) unit scores by generator.
        bar: (n, m) 0, or -inf where the place is empty.
        wanted: (n, m) whether the customer went on to want the product.
        dissatisfaction: (n, m) of the product's reviewers.
        ideal: (n,) the greatest attainable DCG.
    """

    scores: torch.Tensor
    bar: torch.Tensor
    wanted: torch.Tensor
    dissatisfaction: torch.Tensor
    ideal: torch.Tensor

    @classmethod
    def of(cls, scores: Sequence[np.ndarray], allowed: np.ndarray, wanted: np.ndarray, dissatisfaction: np.ndarray, k: int) -> Pool:
        """The union of the best of each generator.

        Args:
            scores: c times (n, P) unit scores.
            allowed, wanted: (n, P) booleans.
            dissatisfaction: (P,).
            k: length of the lists.
        """
        each = min(POOL_PER_CANDIDATE, allowed.shape[1])
        mask = torch.from_numpy(allowed)
        best = [torch.where(mask, torch.from_numpy(s), -1).topk(each, dim=1).indices for s in scores]
        products = torch.cat(best, dim=1).sort(dim=1).values.numpy()
        repeated = np.zeros_like(products, dtype=bool)
        repeated[:, 1:] = products[:, 1:] == products[:, :-1]
        empty = repeated | ~np.take_along_axis(allowed, products, 1)
        count = np.minimum(wanted.sum(axis=1), k)
        return cls(
            scores=torch.from_numpy(np.stack([np.take_along_axis(s, products, 1) for s in scores])),
            bar=torch.from_numpy(np.where(empty, -np.inf, 0).astype(np.float32)),
            wanted=torch.from_numpy(np.take_along_axis(wanted, products, 1).astype(np.float64)),
            dissatisfaction=torch.from_numpy(dissatisfaction[products]),
            ideal=torch.from_numpy(np.concatenate([[0.0], np.cumsum(discounts(k))])[count]),
        )

    @classmethod
    def joined(cls, pools: Sequence[Pool]) -> Pool:
        """Pools of several groups of customers as one."""
        rest = (torch.cat([getattr(pool, name) for pool in pools]) for name in ("bar", "wanted", "dissatisfaction", "ideal"))
        return cls(torch.cat([pool.scores for pool in pools], dim=1), *rest)

    def only(self, kept: np.ndarray) -> Pool:
        """Some of the (n,) customers."""
        rows = torch.from_numpy(np.flatnonzero(kept))
        return Pool(self.scores[:, rows], *(getattr(self, name)[rows] for name in ("bar", "wanted", "dissatisfaction", "ideal")))

    def total(self, weights: np.ndarray) -> torch.Tensor:
        """(n, m) weighted sums."""
        return torch.tensordot(torch.from_numpy(weights.astype(np.float32)), self.scores, dims=1)

    def ndcg(self, total: torch.Tensor, k: int) -> float:
        """Mean NDCG@k of ranking by (n, m) scores; a customer for whom nothing wanted is attainable counts 0."""
        return float(self.ndcgs(total, k).mean())

    def ndcgs(self, total: torch.Tensor, k: int) -> torch.Tensor:
        """(n,) NDCG@k of every customer."""
        top = (total + self.bar).topk(min(k, total.shape[1]), dim=1).indices
        gains = self.wanted.gather(1, top) @ torch.from_numpy(discounts(k)[: top.shape[1]])
        return torch.where(self.ideal > 0, gains / self.ideal.clamp(min=1e-9), 0)


def search(pool: Pool, start: int, k: int) -> tuple[np.ndarray, float, float]:
    """Weights (c,), the penalty, and the mean NDCG@k they reach, by coordinate ascent from three starts.

    The best generator alone is kept unless the blend's gain over it is beyond chance. The same holds for the penalty (see `is_better`).

    Args:
        pool: the customers to decide on.
        start: the generator of the first start, from which every other has to earn its weight.
        k: length of the lists.
    """
    alone = np.eye(len(pool.scores))
    singles = [pool.ndcg(scores, k) for scores in pool.scores]
    starts = [alone[start], alone[int(np.argmax(singles))], np.full(len(alone), 1 / len(alone))]
    _, weights = max((_ascend(pool, weights, k) for weights in starts), key=lambda found: found[0])
    single = int(np.argmax(singles))
    gain = (pool.ndcgs(pool.total(weights), k) - pool.ndcgs(pool.scores[single], k)).numpy()
    if not is_better(gain):
        weights = alone[single]
    total = pool.total(weights)
    by_penalty = [pool.ndcgs(total * (1 - tried * pool.dissatisfaction), k).numpy() for tried in PENALTIES]
    penalty = int(np.argmax([values.mean() for values in by_penalty]))
    if not is_better(by_penalty[penalty] - by_penalty[0], tried=len(PENALTIES) - 1):
        penalty = 0
    reached = pool.ndcg(total * (1 - PENALTIES[penalty] * pool.dissatisfaction), k)
    return weights / weights.sum(), PENALTIES[penalty], reached


def _ascend(pool: Pool, weights: np.ndarray, k: int) -> tuple[float, np.ndarray]:
    weights = weights.copy()
    total = pool.total(weights)
    best = pool.ndcg(total, k)
    improved = True
    while improved:
        improved = False
        for c, scores in enumerate(pool.scores):
            others = total - scores * float(weights[c])
            steps = STEPS if np.delete(weights, c).any() else STEPS[1:]  # all at 0 would rank by nothing
            values = [pool.ndcg(others + scores * step, k) for step in steps]
            value = max(values)
            if value > best + 1e-5:
                best, weights[c], improved = value, steps[values.index(value)], True
                total = pool.total(weights)
    return best, weights
