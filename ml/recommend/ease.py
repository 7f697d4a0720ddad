"""EASE: the linear item-to-item model with a closed form (Steck, Embarrassingly Shallow Autoencoders for Sparse Data, 2019)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import scipy.sparse as sp
import torch

from ml.recommend.candidates import Training
from ml.recommend.item_weights import ItemWeights
from ml.recommend.snapshot import Catalogue


class Ease(ItemWeights):
    """Fitted over the products with behaviour; of each product only the strongest weights are kept."""

    name: ClassVar[str] = "ease"

    def suits(self, catalogue: Catalogue, products_seen: int) -> bool:
        del catalogue
        return 1 < products_seen <= self.config.ease_max_products

    def fit(self, training: Training) -> None:
        history = training.history
        wanted = history.matrix(np.ones(len(history.product)))
        seen = np.flatnonzero(np.bincount(history.product, minlength=history.products))
        wanted = wanted[:, seen]
        gram = torch.from_numpy((wanted.T @ wanted).toarray())
        gram.diagonal().add_(self.config.ease_ridge)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        weights = (inverse / -inverse.diagonal()).fill_diagonal_(0)
        keep = min(self.config.neighbours, len(seen))
        values, columns = weights.topk(keep, dim=1)
        rows = np.repeat(seen, keep)
        size = (history.products, history.products)
        strongest = sp.csr_matrix((values.numpy().ravel(), (rows, seen[columns.numpy().ravel()])), shape=size)
        strongest.data[strongest.data < 0] = 0
        strongest.eliminate_zeros()
        strongest.sort_indices()
        self.weights = strongest
