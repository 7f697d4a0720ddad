"""Figures beyond accuracy, by hand."""

from __future__ import annotations

import numpy as np

from ml.recommend.evaluation import beyond_accuracy


def test_variety_of_a_list():
    groups = np.array([[0, 0, 1], [2, 2, 2], [0, -1, -1], [0, 0, -2], [0, -2, -2]])
    np.testing.assert_allclose(beyond_accuracy.diversity(groups), [2 / 3, 0, 1, 0, np.nan])


def test_calibration_is_zero_where_the_list_is_like_the_customer():
    shares = np.array([[0.5, 0.5], [0.5, 0.5], [1, 0], [0, 0]], np.float32)
    found = beyond_accuracy.miscalibration(shares, np.array([[0, 1, -2], [0, 0, -1], [1, 1, 1], [0, 1, 1]]))
    lacking = 0.5 * np.log(0.5 / (0.99 + 0.005)) + 0.5 * np.log(0.5 / 0.005)
    np.testing.assert_allclose(found, [0, lacking, np.log(1 / 0.01), np.nan], rtol=1e-5, atol=1e-7)


def test_percentiles_count_ties_by_half():
    popularity = np.array([0, 0, 5, 9, 7], np.float32)
    np.testing.assert_allclose(
        beyond_accuracy.percentiles(popularity, np.array([True, True, True, True, False])), [0.25, 0.25, 0.625, 0.875, 0.75]
    )
    np.testing.assert_allclose(beyond_accuracy.mean_of_shown(popularity, np.array([[2, 3, -1], [-1, -1, -1]])), [7, np.nan])
