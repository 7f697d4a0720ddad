"""ALS for implicit feedback (Hu, Koren and Volinsky, Collaborative Filtering for Implicit Feedback Datasets, 2008)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
import torch

from ml.recommend.candidates.contract import Arrays, Training
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.histories import History

CELLS_AT_ONCE = 8_000_000


class Als:
    """Only product vectors are kept. A customer's vector is solved from the given history, so that new customers and events count."""

    name: ClassVar[str] = "als"
    strategy: ClassVar[str] = "collaborative"
    vectors: np.ndarray

    def __init__(self, config: RecommenderConfig) -> None:
        self.config = config

    def suits(self, catalogue: Catalogue, history: History) -> bool:
        del catalogue
        return history.products_seen > max(1, self.config.ease_max_products)

    def fit(self, training: Training) -> None:
        confidence = training.history.matrix(self.config.als_confidence * np.log1p(training.history.evidence))
        by_product = confidence.T.tocsr()
        generator = np.random.default_rng(self.config.seed)
        size = (confidence.shape[1], self.config.als_factors)
        products = torch.from_numpy(generator.normal(0, 0.1 / np.sqrt(size[1]), size).astype(np.float32))
        for _ in range(self.config.als_iterations):
            customers = solve(confidence, products, self.config.als_ridge)
            products = solve(by_product, customers, self.config.als_ridge)
        self.vectors = products.numpy()

    def score(self, asked: History) -> np.ndarray:
        decayed = asked.matrix(self.config.als_confidence * np.log1p(asked.evidence) * self.config.fade**asked.steps)
        products = torch.from_numpy(self.vectors)
        return (solve(decayed, products, self.config.als_ridge) @ products.T).numpy()

    def affinity(self, asked: History, customers: np.ndarray, picks: np.ndarray, past: np.ndarray) -> np.ndarray | None:
        del asked, customers
        return vector_affinity(self.vectors, picks, past, self.config.fade)

    def arrays(self) -> Arrays:
        return {"vectors": self.vectors}

    def restore(self, arrays: Arrays) -> None:
        self.vectors = arrays["vectors"]

    def align(self, fitted: np.ndarray, catalogue: Catalogue, cache: Path) -> None:
        del catalogue, cache
        self.vectors = np.where((fitted >= 0)[:, None], self.vectors[fitted], 0).astype(np.float32)


def solve(confidence: sp.csr_matrix, others: torch.Tensor, ridge: float) -> torch.Tensor:
    """One half-step: the vectors that fit the observed cells best while the `others` stay fixed.

    Rows are taken in the order of their length and padded to the longest of their batch, so that a batch is two matrix products and
    one batched Cholesky solve; rows without cells get zeros.

    Args:
        confidence: (n, m) sparse, c - 1 of each observed cell, above 0.
        others: (m, f) float32.
        ridge: weight of the squared norm.

    Returns:
        (n, f) float32.
    """
    factors = others.shape[1]
    lengths = np.diff(confidence.indptr)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    solved = torch.zeros(confidence.shape[0], factors)
    shared = others.T @ others + ridge * torch.eye(factors)
    begin = 0
    while begin < len(order):
        # lengths ascend, so the last row of a batch is its longest; a row is never split, however long it is
        longest = lengths[order[begin : begin + CELLS_AT_ONCE // factors**2 + 1]]
        cells = np.maximum(longest, factors) * np.arange(1, len(longest) + 1) * factors
        end = begin + max(1, int(np.searchsorted(cells, CELLS_AT_ONCE)))
        rows = order[begin:end]
        width = int(lengths[rows[-1]])
        place = confidence.indptr[rows][:, None] + np.arange(width)
        inside = np.arange(width) < lengths[rows][:, None]
        place = np.where(inside, place, 0)
        weight = torch.from_numpy(np.where(inside, confidence.data[place], 0).astype(np.float32))
        vectors = others[torch.from_numpy(confidence.indices[place].astype(np.int64))]
        weighted = vectors * weight[:, :, None]
        left = shared + weighted.transpose(1, 2) @ vectors
        right = (vectors * (weight + torch.from_numpy(inside.astype(np.float32)))[:, :, None]).sum(1)
        solved[torch.from_numpy(rows)] = torch.cholesky_solve(right[:, :, None], torch.linalg.cholesky(left))[:, :, 0]
        begin = end
    return solved


def vector_affinity(vectors: np.ndarray, picks: np.ndarray, past: np.ndarray, decay: float) -> np.ndarray:
    """(r, h) cosine of each past product's vector with the pick's, decayed by the steps back; 0 where past is -1."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(length > 0, length, 1)
    cosine = np.einsum("rf,rhf->rh", unit[picks], unit[past], optimize=True)
    return np.where(past >= 0, cosine * decay ** np.arange(past.shape[1], dtype=np.float32), 0)
