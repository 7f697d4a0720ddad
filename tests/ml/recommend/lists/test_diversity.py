"""Lists made varied: the greedy ones, in the order of their scores."""

from __future__ import annotations

import numpy as np
import pytest
from test_recommender import by_customer, predicted

from ml.recommend.lists.diversity import diversify


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9])
def test_the_varied_list_is_the_greedy_one(alpha):
    rng = np.random.default_rng(1)
    category = rng.integers(-1, 4, 300)
    total = rng.random((20, 300)).astype(np.float32)
    total[rng.random(total.shape) < 0.2] = -np.inf
    varied = total.copy()
    diversify(varied, category, alpha, 10)
    for before, after in zip(total, varied, strict=True):
        left, counts, greedy = dict(enumerate(before)), {}, []
        for _ in range(10):
            worth = {p: s * (1 - alpha) ** (counts.get(category[p], 0) if category[p] >= 0 else 0) for p, s in left.items()}
            pick = max(worth, key=lambda p: (worth[p], -p))
            greedy.append(pick)
            counts[category[pick]] = counts.get(category[pick], 0) + 1
            del left[pick]
        assert np.argsort(-after, kind="stable")[:10].tolist() == greedy
        assert (np.isfinite(after) == np.isfinite(before)).all()


def test_a_list_keeps_its_order_with_variety(taste_shop, tmp_path, config, rows):
    lists = by_customer(rows(predicted(taste_shop, tmp_path, config.model_copy(update={"diversity": 0.5})) / "recommendations.parquet"))
    for entries in lists.values():
        assert [row["rank"] for row in entries] == [1, 2, 3, 4, 5]
        scores = [row["score"] for row in entries]
        assert scores == sorted(scores, reverse=True)
