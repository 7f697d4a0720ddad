"""The search for the largest inner products finds what a search through all of them finds, in that order."""

from __future__ import annotations

import numpy as np
import pytest

from ml.recommend.ranking.inner_products import QUERIES_A_TILE, VECTORS_A_TILE, InnerProducts

pytestmark = pytest.mark.slow

NOBODY = (np.empty(0, np.int64), np.empty(0, np.int64))


def all_of_them(queries: np.ndarray, vectors: np.ndarray, k: int, hidden: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """As `best`, by scoring every pair."""
    wide, catalogue = queries.astype(np.float64), vectors.astype(np.float64)
    scores = np.einsum("ijf,ijf->ij", *np.broadcast_arrays(wide[:, None], catalogue[None]))
    scores[hidden] = -np.inf
    scores[scores <= 0] = -np.inf
    scores = np.pad(scores, ((0, 0), (0, k)), constant_values=-np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(scores, order, 1)
    return np.where(np.isfinite(best), order, -1), best.astype(np.float32)


def check(queries: np.ndarray, vectors: np.ndarray, k: int, hidden: tuple[np.ndarray, np.ndarray] = NOBODY) -> np.ndarray:
    products, scores = InnerProducts(vectors, threads=2).best(queries, k, hidden)
    wanted, of_those = all_of_them(queries, vectors, k, hidden)
    np.testing.assert_array_equal(products, wanted)
    np.testing.assert_array_equal(scores, of_those)
    return products


def gaussian(rng: np.random.Generator, rows: int, factors: int = 16) -> np.ndarray:
    return rng.normal(size=(rows, factors)).astype(np.float32)


@pytest.mark.parametrize("spread", [0.0, 1.0], ids=["alike in length", "of many lengths"])
def test_finds_the_best_of_a_catalogue_of_many_tiles(spread: float) -> None:
    rng = np.random.default_rng(1)
    queries, vectors = gaussian(rng, QUERIES_A_TILE + 44), gaussian(rng, 5 * VECTORS_A_TILE + 71)
    vectors *= np.exp(rng.normal(0, spread, (len(vectors), 1))).astype(np.float32)
    hidden = np.divmod(np.sort(rng.choice(len(queries) * len(vectors), 9_000, replace=False)), len(vectors))
    check(queries, vectors, 50, hidden)


def test_equal_scores_are_in_the_order_of_the_products() -> None:
    rng = np.random.default_rng(2)
    different = rng.integers(-2, 3, (40, 8)).astype(np.float32)
    vectors = different[rng.integers(0, len(different), 2 * VECTORS_A_TILE)]
    check(rng.integers(-2, 3, (30, 8)).astype(np.float32), vectors, 60)
    check(np.ones((2, 8), np.float32), np.ones((3 * VECTORS_A_TILE, 8), np.float32), 10)


def test_scores_that_float32_cannot_tell_apart_in_a_sum_are_told_apart() -> None:
    rng = np.random.default_rng(3)
    vectors = np.tile(gaussian(rng, 1, 64), (2 * VECTORS_A_TILE, 1))
    vectors += rng.integers(-4, 5, vectors.shape).astype(np.float32) * np.float32(2**-24)
    check(vectors[:5], vectors, 20)


def test_what_is_hidden_is_not_found_even_where_it_is_all_there_is() -> None:
    rng = np.random.default_rng(4)
    queries, vectors = np.abs(gaussian(rng, 3)), np.abs(gaussian(rng, VECTORS_A_TILE + 5))
    rows = np.repeat(np.arange(2), len(vectors))
    found = check(queries, vectors, 4, (rows, np.tile(np.arange(len(vectors)), 2)))
    assert (found[:2] == -1).all() and (found[2] >= 0).all()


def test_only_scores_above_zero_count() -> None:
    vectors = np.array([[-1, 0], [0, 0], [2, 0], [1, 1]], np.float32)
    found = check(np.array([[1, 0], [0, 0], [-1, 0]], np.float32), vectors, 3)
    assert found.tolist() == [[2, 3, -1], [-1, -1, -1], [0, -1, -1]]


def test_few_products_no_products_and_nobody() -> None:
    rng = np.random.default_rng(5)
    check(gaussian(rng, 4), gaussian(rng, 1), 10)
    check(gaussian(rng, 4), gaussian(rng, 0), 10)
    check(gaussian(rng, 0), gaussian(rng, 9), 10)


def test_any_number_of_threads_finds_the_same_bits() -> None:
    rng = np.random.default_rng(6)
    queries, vectors = gaussian(rng, 3 * QUERIES_A_TILE, 64), gaussian(rng, 3 * VECTORS_A_TILE, 64)
    one, four = (InnerProducts(vectors, threads).best(queries, 20, NOBODY) for threads in (1, 4))
    assert one[0].tobytes() == four[0].tobytes() and one[1].tobytes() == four[1].tobytes()
