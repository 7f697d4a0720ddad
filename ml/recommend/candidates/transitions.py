"""Transitions: what follows what, by ridge regression of each product on those that came before it.

It is the linear model of Choi et al. (Session-aware Linear Item-Item Models for Session-based Recommendation, 2021), where every step of
every history is an example. Two priors help shops with little data: examples also count, with a lower weight, in the reverse order of
time, and products that share words in their texts are expected to have the same successors.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import scipy.sparse as sp
import torch

from ml.recommend.candidates.contract import Training
from ml.recommend.candidates.item_weights import ItemWeights, strongest_of_dense
from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.histories import History
from ml.recommend.data.words import precision, word_weights
from ml.recommend.threads import one_thread

# a product whose weight is below this share of the latest one's is left out
MIN_DECAY = 0.01
EXAMPLES_AT_ONCE = 200_000


class Transitions(ItemWeights):
    """Fitted over the products with the most behaviour. Of each product only the strongest weights are kept."""

    name: ClassVar[str] = "transitions"

    @property
    def decay(self) -> float:
        """When scoring, the past decays faster than in the examples."""
        return self.config.transitions_fade

    def suits(self, catalogue: Catalogue, history: History) -> bool:
        del catalogue
        return history.products_seen > 1 and self.config.ease_max_products > 1

    def fit(self, training: Training) -> None:
        history, config = training.history, self.config
        often = np.bincount(history.product, minlength=history.products)
        size = min(config.ease_max_products, int(np.count_nonzero(often)))
        kept = np.sort(np.argsort(-often, kind="stable")[:size])
        with one_thread():
            before, followed = counts(history, kept, config.fade, config.transitions_reverse)
            words = word_weights(training.catalogue)[kept]
            if words.nnz:
                before.add_(precision(words, config.transitions_words), alpha=config.transitions_ridge)
            else:
                before.diagonal().add_(config.transitions_ridge)
            torch.linalg.cholesky(before, out=before)
            torch.cholesky_inverse(before, out=before)
            # sparse from the left, because the inverse is symmetric
            weights = torch.from_numpy(followed.T.tocsr() @ before.numpy()).T
            del before
            self.weights = strongest_of_dense(weights.fill_diagonal_(0), kept, history.products, config.neighbours)


def counts(history: History, kept: np.ndarray, decay: float, reverse: float) -> tuple[torch.Tensor, sp.csr_matrix]:
    """Both sides of the regression's normal equations, over the kept products.

    An example is a place in a history: the target is the product there, and the products before it weigh decay^0, decay^1, ... going back.

    Args:
        history: latest first, as always.
        kept: (p,) product numbers.
        reverse: weight of the examples in the reverse order.

    Returns:
        (p, p) products of the past by products of the past, and (p, p) sparse, products of the past by targets.
    """
    number = np.full(history.products, -1)
    number[kept] = np.arange(len(kept))
    usable = number[history.product] >= 0
    product, customer = number[history.product[usable]], history.customer[usable]
    before = torch.zeros(len(kept), len(kept))
    followed = sp.csr_matrix((len(kept), len(kept)), dtype=np.float32)
    for direction, weight in ((1, 1.0), (-1, reverse)):
        for begin in range(0, len(product) if weight else 0, EXAMPLES_AT_ONCE):
            place = np.arange(begin, min(begin + EXAMPLES_AT_ONCE, len(product)))
            rows, columns, values = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.float32)]
            for steps in range(1, 1 + int(np.log(MIN_DECAY) / np.log(decay)) if decay < 1 else len(product)):
                other = place + direction * steps
                inside = (other >= 0) & (other < len(product))
                inside[inside] = customer[other[inside]] == customer[place[inside]]
                if not inside.any():
                    break
                rows.append(np.flatnonzero(inside))
                columns.append(product[other[inside]])
                values.append(np.full(len(rows[-1]), decay ** (steps - 1), np.float32))
            entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
            past = sp.csr_matrix(entries, shape=(len(place), len(kept)))
            wanted = sp.csr_matrix((np.full(len(place), weight, np.float32), product[place], np.arange(len(place) + 1)), past.shape)
            together = (past.T @ past).tocoo()
            before[torch.from_numpy(together.row.astype(np.int64)), torch.from_numpy(together.col.astype(np.int64))] += torch.from_numpy(
                together.data * np.float32(weight)
            )
            followed = followed + past.T @ wanted
    return before, followed.tocsr()
