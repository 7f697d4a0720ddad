"""Item-kNN: products are similar if the same customers wanted both (Sarwar et al. 2001, with the shrinkage of Bell and Koren 2007)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from ml.recommend.candidates.contract import Training
from ml.recommend.candidates.item_weights import ItemWeights, rows_that_sort, strongest_per_row
from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.histories import History


class ItemKnn(ItemWeights):
    """Cosine over the sparse customers x products matrix, a block of products at a time. The strongest neighbours are kept."""

    name: ClassVar[str] = "item_knn"

    def suits(self, catalogue: Catalogue, history: History) -> bool:
        del catalogue
        return history.products_seen > 1

    def fit(self, training: Training) -> None:
        history = training.history
        wanted = history.matrix(np.ones(len(history.product)))
        customers_of = wanted.T.tocsr()
        buyers = np.diff(customers_of.indptr).astype(np.float64)
        blocks = []
        products = history.products
        size = rows_that_sort(products)
        for begin in range(0, products, size):
            together = (customers_of[begin : begin + size] @ wanted).tocoo()
            apart = together.row + begin != together.col
            row, column, count = together.row[apart], together.col[apart], together.data[apart]
            cosine = count / (np.sqrt(buyers[row + begin] * buyers[column]) + self.config.knn_shrinkage)
            blocks.append(strongest_per_row(row, column, cosine, together.shape, self.config.neighbours))
        self.weights = sp.vstack(blocks, format="csr")
