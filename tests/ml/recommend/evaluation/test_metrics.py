"""The metrics of ranked lists, by hand."""

from __future__ import annotations

import numpy as np

from ml.recommend.evaluation import metrics


def test_ndcg_divides_by_what_is_attainable():
    hits = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 1], [0, 0, 0]], dtype=bool)
    found = metrics.ndcg(hits, np.array([1, 1, 9, 2]))
    np.testing.assert_allclose(found, [1, 1 / np.log2(3), 1, 0])
    np.testing.assert_allclose(metrics.recall(hits, np.array([1, 1, 9, 2])), [1, 1, 1 / 3, 0])
    np.testing.assert_allclose(metrics.hit_rate(hits), [1, 1, 1, 0])
