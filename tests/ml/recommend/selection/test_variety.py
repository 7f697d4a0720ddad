"""Variety is chosen where the validation customers like it."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_snapshots import DAY, START, VALIDATION, write_snapshot

from ml.recommend.data.holdouts import evaluated_users, holdout_of
from ml.recommend.data.snapshot import Snapshot
from ml.recommend.ranking.scoring import ListScorer
from ml.recommend.selection.variety import best_variety


class OneCategoryFirst:
    """A generator that knows no better than to put one category before the other."""

    name = "one_category_first"
    strategy = "popular"

    def score(self, asked):
        return np.tile(np.linspace(1, 0.1, asked.products, dtype=np.float32), (asked.customers, 1))


@pytest.mark.parametrize(("wanted", "liked"), [(("p000", "p012", "p024"), True), (("p000", "p001", "p002"), False)])
def test_variety_is_chosen_where_validation_likes_it(tmp_path, config, wanted, liked):
    products = {f"p{p:03d}": {"category": f"g{p // 12}"} for p in range(36)}
    later = [(f"c{c:02d}", p, "purchase", VALIDATION + DAY) for c in range(30) for p in wanted]
    features = write_snapshot(tmp_path / "features", [("c00", "p035", "view", START + DAY), *later], products)
    snapshot = Snapshot(features, config)
    holdout = holdout_of(snapshot, "validation")
    everything = np.ones(36)
    model = ListScorer([OneCategoryFirst()], np.ones(1), everything, np.zeros(36), np.ones(36, dtype=bool), config)
    customers = evaluated_users(snapshot, holdout, 30)
    assert (best_variety(snapshot, holdout, model, customers, 0.0) > 0) == liked
    assert best_variety(snapshot, holdout, model, customers.only(np.zeros(30, dtype=bool)), 0.05) == 0.05, "nobody to ask"
