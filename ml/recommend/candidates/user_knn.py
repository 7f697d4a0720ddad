"""Customers like this one: what they have the habit of buying, after TIFU-KNN (Hu et al., Modeling Personalized Item Frequency Information
for Next-basket Recommendation, 2020) and UP-CF (Faggioli et al., Recency Aware Collaborative Filtering for Next Basket, 2020)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from ml.recommend.candidates.contract import Arrays, Training
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.histories import History


class UserKnn:
    """The mean of the nearest customers' habits, weighted by the cosine of their histories with the customer's.

    At most `user_knn_customers` training customers are kept, spread evenly over their ids.
    """

    name: ClassVar[str] = "user_knn"
    strategy: ClassVar[str] = "collaborative"
    weights: np.ndarray
    others: sp.csr_matrix
    habits: sp.csr_matrix

    def __init__(self, config: RecommenderConfig) -> None:
        self.config = config

    def suits(self, catalogue: Catalogue, history: History) -> bool:
        del catalogue
        return history.products_seen > 1

    def fit(self, training: Training) -> None:
        history = training.history
        buyers = np.bincount(history.product, minlength=history.products)
        self.weights = np.log((history.customers + 1) / (buyers + 1)).astype(np.float32)
        most = self.config.user_knn_customers
        kept = np.unique(np.linspace(0, history.customers - 1, min(most, history.customers)).round().astype(np.int64))
        self.others = self._told(history)[kept]
        self.habits = history.matrix(np.where(history.targets > 0, history.habit, 0))[kept]
        self.habits.eliminate_zeros()

    def _told(self, asked: History) -> sp.csr_matrix:
        """(n, P) histories as rows of length 1: damped evidence, with a lower weight for what everybody wants."""
        told = asked.matrix(np.log1p(asked.evidence) * self.weights[asked.product])
        length = np.sqrt(np.asarray(told.multiply(told).sum(axis=1))).ravel()
        return (sp.diags_array((1 / np.where(length > 0, length, 1)).astype(np.float32)) @ told).tocsr()

    def score(self, asked: History) -> np.ndarray:
        alike = (self._told(asked) @ self.others.T).toarray()
        k = min(self.config.user_knn_neighbours, alike.shape[1])
        if not k:
            return np.zeros((asked.customers, asked.products), np.float32)
        least = np.partition(alike, -k, axis=1)[:, -k, None]
        alike[alike < least] = 0
        return (sp.csr_matrix(alike) @ self.habits).toarray()

    def affinity(self, asked: History, customers: np.ndarray, picks: np.ndarray, past: np.ndarray) -> np.ndarray | None:
        del asked, customers, picks, past
        return None

    def arrays(self) -> Arrays:
        parts = {"others": self.others, "habits": self.habits}
        of = {f"{name}_{part}": getattr(table, part) for name, table in parts.items() for part in ("data", "indices", "indptr")}
        return of | {"weights": self.weights}

    def restore(self, arrays: Arrays) -> None:
        self.weights = arrays["weights"]
        shape = (len(arrays["others_indptr"]) - 1, len(self.weights))
        self.others, self.habits = (
            sp.csr_matrix((arrays[f"{name}_data"], arrays[f"{name}_indices"], arrays[f"{name}_indptr"]), shape=shape)
            for name in ("others", "habits")
        )

    def align(self, fitted: np.ndarray, catalogue: Catalogue, cache: Path) -> None:
        del catalogue, cache
        kept = np.flatnonzero(fitted >= 0)
        moved = sp.csr_matrix((np.ones(len(kept), np.float32), (fitted[kept], kept)), shape=(len(self.weights), len(fitted)))
        self.others, self.habits = (self.others @ moved).tocsr(), (self.habits @ moved).tocsr()
        self.others.sort_indices()
        self.habits.sort_indices()
        self.weights = np.where(fitted >= 0, self.weights[fitted], self.weights.max(initial=0)).astype(np.float32)
