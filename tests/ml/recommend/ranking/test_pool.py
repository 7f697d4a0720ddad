"""The pool of candidates that the ranker orders."""

from __future__ import annotations

import numpy as np

from ml.recommend.ranking.ranker import pool_of


def test_the_pool_is_the_best_of_each_united():
    rng = np.random.default_rng(6)
    scores = [(rng.random((8, 50)) * (rng.random((8, 50)) < 0.4)).astype(np.float32) for _ in range(3)]
    bar = np.tile(np.linspace(1e-4, 2e-4, 50, dtype=np.float32), (8, 1))
    bar[:, ::7] = -np.inf
    products, live, pooled = pool_of(scores, bar, 4)
    for row in range(8):
        expected = set(np.argsort(-bar[row])[:4])
        for block in scores:
            worth = np.where((block[row] > 0) & np.isfinite(bar[row]), block[row], -1)
            expected |= {product for product in np.argsort(-worth)[:4] if worth[product] > 0}
        assert products[row][live[row]].tolist() == sorted(expected)
        for block, of in zip(scores, pooled, strict=True):
            np.testing.assert_array_equal(of[row], block[row, products[row]])
