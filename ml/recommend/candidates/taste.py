"""Taste: which categories a customer turns to and, within them, popular products whose texts share words with the customer's past ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from ml.recommend.candidates.contract import Arrays, Training
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.histories import HISTORY_COLUMNS, History
from ml.recommend.data.words import word_weights

# the power of the words' lift is chosen on this many customers' latest products
TRIED_ON = 200
STRENGTHS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)


class Taste:
    """P(category | customer) x P(product | category) x (lift of the product's words for the customer) to a power.

    The share of a category is the customer's own, shrunk towards the shop's. A word's lift is how many of the customer's products have it
    relative to what is expected from popularity within the same categories, shrunk towards 1. A product's lift is the geometric mean over
    its words. The power is the one under which the training customers' latest products are likeliest, given the products before them.
    """

    name: ClassVar[str] = "taste"
    strategy: ClassVar[str] = "popular_in_category"
    category: np.ndarray
    worth: np.ndarray
    share: np.ndarray
    of_category: np.ndarray
    words: sp.csr_matrix
    strength: float

    def __init__(self, config: RecommenderConfig) -> None:
        self.config = config

    def suits(self, catalogue: Catalogue, history: History) -> bool:
        del history
        return len(np.unique(catalogue.category[catalogue.category >= 0])) > 1

    def fit(self, training: Training) -> None:
        self._describe(training.catalogue, training.popularity)
        self.strength = self._best_strength(training.history)

    def _describe(self, catalogue: Catalogue, worth: np.ndarray) -> None:
        self.worth = worth.astype(np.float32)
        self.category = np.where(catalogue.category >= 0, catalogue.category, catalogue.category.max(initial=-1) + 1)
        total = np.bincount(self.category, weights=worth)
        self.share = (worth / np.maximum(total, 1e-12)[self.category]).astype(np.float32)
        self.of_category = (total / max(1e-12, float(total.sum()))).astype(np.float32)
        words = word_weights(catalogue)
        length = np.maximum(np.asarray(words.sum(axis=1)).ravel(), 1e-9)
        self.words = (sp.diags_array((1 / length).astype(np.float32)) @ words).tocsr()

    def _best_strength(self, history: History) -> float:
        """The one of STRENGTHS under which customers' latest products are likeliest within their categories, given the older ones."""
        several = np.flatnonzero(np.diff(history.indptr) > 1)
        if not len(several) or not self.words.shape[1]:
            return 0.0
        chosen = several[np.linspace(0, len(several) - 1, min(TRIED_ON, len(several))).astype(np.int64)]
        older, latest = without_latest(history, chosen)
        lift = self._lift(older)
        same = self.category[None, :] == self.category[latest][:, None]
        same[older.customer, older.product] = False  # an older product cannot be the latest
        known = self.share[latest] > 0
        row = np.arange(len(latest))
        values = []
        for strength in STRENGTHS:
            likely = np.where(same, self.share * np.exp(strength * lift), 0)
            values.append(np.log(likely[row, latest] / np.maximum(likely.sum(axis=1), 1e-12) + 1e-12)[known].sum())
        return STRENGTHS[int(np.argmax(values))]

    def _of_categories(self, asked: History) -> np.ndarray:
        """(n, K) products by category."""
        size = len(self.of_category)
        cell = asked.customer * size + self.category[asked.product]
        return np.bincount(cell, minlength=asked.customers * size).reshape(asked.customers, size).astype(np.float32)

    def _lift(self, asked: History) -> np.ndarray:
        """(n, P) logarithms of the products' lifts."""
        products = np.arange(len(self.category))
        by_category = sp.csr_matrix((self.share, (self.category, products)), shape=(len(self.of_category), len(products)))
        usual = by_category @ self.words  # (K, v)
        said = asked.matrix(np.ones(len(asked.product))) @ self.words
        expected = self._of_categories(asked) @ usual
        doubt = self.config.taste_doubt * np.asarray(self.of_category @ usual).ravel() + 1e-9
        lift = np.log((said.toarray() + doubt) / (expected + doubt))
        return np.asarray(self.words @ lift.T.astype(np.float32)).T

    def score(self, asked: History) -> np.ndarray:
        past, doubt = self._of_categories(asked), self.config.taste_doubt
        liking = (past + doubt * self.of_category) / (past.sum(axis=1, keepdims=True) + doubt)
        scores = liking.astype(np.float32)[:, self.category] * self.share
        return scores * np.exp(np.float32(self.strength) * self._lift(asked)) if self.strength else scores

    def arrays(self) -> Arrays:
        words = {f"words_{name}": getattr(self.words, name) for name in ("data", "indices", "indptr")}
        own = {name: getattr(self, name) for name in ("category", "worth", "share", "of_category")}
        return own | words | {"shape": np.array(self.words.shape), "strength": np.array([self.strength])}

    def restore(self, arrays: Arrays) -> None:
        self.category, self.worth, self.share = arrays["category"], arrays["worth"], arrays["share"]
        self.of_category, self.strength = arrays["of_category"], float(arrays["strength"][0])
        parts = (arrays["words_data"], arrays["words_indices"], arrays["words_indptr"])
        self.words = sp.csr_matrix(parts, shape=tuple(arrays["shape"]))

    def align(self, fitted: np.ndarray, catalogue: Catalogue, cache: Path) -> None:
        del cache
        self._describe(catalogue, np.where(fitted >= 0, self.worth[fitted], 0))

    def affinity(self, asked: History, customers: np.ndarray, picks: np.ndarray, past: np.ndarray) -> np.ndarray | None:
        del asked, customers, picks, past
        return None


def without_latest(history: History, customers: np.ndarray) -> tuple[History, np.ndarray]:
    """The histories of some customers without their latest product, and those (n,) products."""
    begin = history.indptr[customers]
    lengths = history.indptr[customers + 1] - begin - 1
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    place = np.repeat(begin + 1 - indptr[:-1], lengths) + np.arange(indptr[-1])
    columns = {name: getattr(history, name)[place] for name in HISTORY_COLUMNS}
    return replace(history, customers=len(customers), indptr=indptr, **columns), history.product[begin]
