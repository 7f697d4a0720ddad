"""The methods against their definitions, written out naively."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
import torch

from ml.recommend.candidates.als import solve
from ml.recommend.candidates.contract import Training
from ml.recommend.candidates.ease import Ease
from ml.recommend.candidates.item_knn import ItemKnn
from ml.recommend.candidates.item_weights import strongest_per_row
from ml.recommend.candidates.transitions import Transitions
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.histories import History


def history(wanted: np.ndarray) -> History:
    """The history of customers x products booleans, in the order of the products."""
    rows, columns = np.nonzero(wanted)
    indptr = np.concatenate([[0], np.cumsum(wanted.sum(1))])
    steps = np.arange(len(rows)) - indptr[rows]
    ones = np.ones(len(rows))
    return History(
        *wanted.shape, 1, indptr, columns.astype(np.int32), steps, ones, ones, *[ones] * 5, ones.astype(np.int8), *[ones] * 3, wanted.any(0)
    )


@pytest.fixture
def training(tmp_path) -> Training:
    wanted = np.random.default_rng(0).random((40, 12)) < 0.3
    return Training(None, history(wanted), np.ones(12), tmp_path)


def dense(training: Training) -> np.ndarray:
    return training.history.matrix(np.ones(len(training.history.product))).toarray().astype(np.float64)


def test_item_knn_is_the_shrunk_cosine(training):
    model = ItemKnn(RecommenderConfig(knn_shrinkage=3, neighbours=12))
    model.fit(training)
    X = dense(training)
    together = X.T @ X
    length = np.sqrt(np.diag(together))
    expected = together / (np.outer(length, length) + 3)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(model.weights.toarray(), expected, rtol=1e-5)


def test_ease_is_the_closed_form(training):
    model = Ease(RecommenderConfig(ease_ridge=5, neighbours=12))
    model.fit(training)
    X = dense(training)
    inverse = np.linalg.inv(X.T @ X + 5 * np.eye(12))
    expected = inverse / -np.diag(inverse)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(model.weights.toarray(), np.maximum(expected, 0), atol=1e-5)


def catalogue(texts: list[str]) -> Catalogue:
    """Products of which only the texts are known."""
    count = len(texts)
    names, nothing, flags = pa.array([f"p{i:02d}" for i in range(count)]), pa.nulls(count, pa.string()), np.ones(count, dtype=bool)
    none, zeros = np.full(count, -1), np.zeros(count)
    return Catalogue(names, nothing, nothing, pa.array(texts), none, none, zeros, flags, none, zeros)


@pytest.mark.parametrize("worded", [False, True])
def test_transitions_are_the_ridge_regression_on_what_came_before(training, worded):
    texts = [f"w{i % 3} only{i}" for i in range(12)] if worded else [""] * 12
    config = RecommenderConfig(transitions_ridge=5, transitions_reverse=0.5, transitions_words=2, fade=0.5, neighbours=12)
    model = Transitions(config)
    model.fit(Training(catalogue(texts), training.history, training.popularity, training.cache))
    left, right = np.zeros((12, 12)), np.zeros((12, 12))
    for c in range(40):
        a, b = training.history.indptr[c : c + 2]
        oldest_first = training.history.product[a:b][::-1]
        for order, weight in ((oldest_first, 1), (oldest_first[::-1], 0.5)):
            for place, wanted in enumerate(order):
                past = np.zeros(12)
                for steps, product in enumerate(order[:place][::-1]):
                    past[product] = 0.5**steps if 0.5**steps >= 0.01 else 0
                left += weight * np.outer(past, past)
                right[:, wanted] += weight * past
    alike = np.equal.outer(np.arange(12) % 3, np.arange(12) % 3) if worded else np.zeros((12, 12))
    weights = np.linalg.solve(left + 5 * np.linalg.inv(np.eye(12) + 2 * alike), right)
    np.fill_diagonal(weights, 0)
    np.testing.assert_allclose(model.weights.toarray(), np.maximum(weights, 0), atol=1e-5)


def test_als_solves_every_customers_normal_equations():
    rng = np.random.default_rng(1)
    cells = rng.random((50, 30)) * (rng.random((50, 30)) < 0.2)
    cells[3] = 0
    confidence = sp.csr_matrix(cells.astype(np.float32))
    others = rng.normal(size=(30, 6)).astype(np.float32)
    solved = solve(confidence, torch.from_numpy(others), 0.5).numpy()
    for u in range(50):
        c = confidence[[u]].toarray()[0].astype(np.float64)
        left = others.T @ ((1 + c)[:, None] * others) + 0.5 * np.eye(6)
        np.testing.assert_allclose(solved[u], np.linalg.solve(left, others.T @ ((1 + c) * (c > 0))), atol=1e-4)


def test_the_strongest_of_a_row_are_kept_and_ties_broken_by_column():
    rows, columns = np.divmod(np.random.default_rng(3).permutation(600), 100)
    values = ((columns * 7 + rows) % 10 - 3).astype(np.float64) / 3
    kept = strongest_per_row(rows, columns, values, (6, 100), 15)
    table = np.zeros((6, 100))
    table[rows, columns] = values
    for row in range(6):
        best = np.lexsort((np.arange(100), -table[row]))[:15]
        np.testing.assert_array_equal(kept[[row]].indices, np.sort(best))
        np.testing.assert_allclose(kept[[row]].data, table[row][np.sort(best)], rtol=1e-6)
