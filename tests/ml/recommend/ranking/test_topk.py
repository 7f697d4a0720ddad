"""The best of each row, with every tie broken."""

from __future__ import annotations

import numpy as np

from ml.recommend.ranking.topk import top_k


def test_top_k_breaks_every_tie_by_product():
    scores = np.random.default_rng(2).integers(0, 4, (200, 50)).astype(np.float32)
    scores[::7, 10:] = -np.inf
    products, values = top_k(scores, 12)
    expected = np.lexsort((np.broadcast_to(np.arange(50), scores.shape), -scores), axis=1)[:, :12]
    shown = np.isfinite(values)
    np.testing.assert_array_equal(products[shown], expected[shown])
    np.testing.assert_array_equal(values, np.take_along_axis(scores, expected, 1))
