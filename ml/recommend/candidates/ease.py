"""EASE: the linear item-to-item model with a closed form (Steck, Embarrassingly Shallow Autoencoders for Sparse Data, 2019)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from ml.recommend.candidates.contract import Training
from ml.recommend.candidates.item_weights import ItemWeights, strongest_of_dense
from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.histories import History
from ml.recommend.threads import one_thread


class Ease(ItemWeights):
    """Fitted over the products with behaviour. Of each product only the strongest weights are kept."""

    name: ClassVar[str] = "ease"

    def suits(self, catalogue: Catalogue, history: History) -> bool:
        del catalogue
        return 1 < history.products_seen <= self.config.ease_max_products

    def fit(self, training: Training) -> None:
        history = training.history
        wanted = history.matrix(np.ones(len(history.product)))
        seen = np.flatnonzero(np.bincount(history.product, minlength=history.products))
        wanted = wanted[:, seen]
        with one_thread():
            gram = torch.from_numpy((wanted.T @ wanted).toarray())
            gram.diagonal().add_(self.config.ease_ridge)
            torch.linalg.cholesky(gram, out=gram)
            torch.cholesky_inverse(gram, out=gram)
            gram.div_(-gram.diagonal().clone()).fill_diagonal_(0)
            self.weights = strongest_of_dense(gram, seen, history.products, self.config.neighbours)
