"""Lists by category: the same products that a plain look at the same scores would choose, whatever the pieces."""

from __future__ import annotations

import numpy as np
import pytest
from test_recommender import predicted
from tiny_snapshots import DAY, START, two_tastes, write_snapshot

from ml.recommend.lists import categories
from ml.recommend.lists.categories import Members, best_of_categories


@pytest.mark.parametrize("at_once", [1, 50, 4_000_000])
def test_the_best_of_each_category_in_order(monkeypatch, at_once):
    monkeypatch.setattr(categories, "SCORES_AT_ONCE", at_once)
    rng = np.random.default_rng(0)
    category = rng.integers(-1, 6, 80)
    category[:6] = np.arange(6)
    total = rng.integers(0, 5, (40, 80)).astype(np.float32)  # many ties
    total[rng.random(total.shape) < 0.3] = -np.inf
    liked = np.array([rng.permutation(6)[:3] for _ in range(40)])
    liked[rng.random(40) < 0.3, 1:] = -1
    picks = best_of_categories(total, liked, Members.of(category), 4)
    wanted = []
    for customer in range(40):
        for g in liked[customer][liked[customer] >= 0]:
            shown = [p for p in np.flatnonzero(category == g) if np.isfinite(total[customer, p])]
            best = sorted(shown, key=lambda p: (-total[customer, p], p))[:4]
            wanted += [(customer, g, rank, p, total[customer, p]) for rank, p in enumerate(best, 1)]
    columns = (picks.customers, picks.categories, picks.ranks, picks.products, picks.scores)
    assert list(zip(*columns, strict=True)) == wanted


def test_a_customers_categories_are_the_ones_of_the_history(taste_shop, tmp_path, config, rows):
    out = predicted(taste_shop, tmp_path, config.model_copy(update={"category_lists": 1, "category_list_length": 2}))
    found = rows(out / "recommendations_by_category.parquet")
    lists = rows(out / "recommendations.parquet")
    assert {row["customer_id"] for row in found} == {row["customer_id"] for row in lists} - {"c900", "c901"}
    owned = {(row["customer_id"], row["product_id"]) for row in rows(taste_shop / "owned.parquet")}
    score = {(row["customer_id"], row["product_id"]): row["score"] for row in lists}
    for row in found:
        assert row["category"] == ("Even" if int(row["customer_id"][1:]) % 2 == 0 else "Odd")
        assert int(row["product_id"][1:]) % 2 == int(row["customer_id"][1:]) % 2 and row["rank"] in (1, 2)
        assert (row["customer_id"], row["product_id"]) not in owned
        assert score.get((row["customer_id"], row["product_id"]), row["score"]) == row["score"], "the same scores as the list's"
    assert any((row["customer_id"], row["product_id"]) in score for row in found)


def test_a_shop_without_categories_and_one_that_wants_none(taste_shop, tmp_path, config, rows):
    plain = write_snapshot(tmp_path / "plain", [("c0", "p0", "view", START + DAY)], {f"p{p}": {} for p in range(4)})
    assert rows(predicted(plain, tmp_path / "a", config) / "recommendations_by_category.parquet") == []
    none = config.model_copy(update={"category_lists": 0})
    assert rows(predicted(taste_shop, tmp_path / "b", none) / "recommendations_by_category.parquet") == []


def test_later_evidence_weighs_more(tmp_path, config, rows):
    events = [*two_tastes(20, 10), ("late", "p001", "purchase", START + DAY), ("late", "p000", "view", START + 79 * DAY)]
    products = {f"p{p:03d}": {"category": "Even" if p % 2 == 0 else "Odd"} for p in range(10)}
    features = write_snapshot(tmp_path / "features", events, products)
    one = config.model_copy(update={"category_lists": 1})
    for half_life, category in ((10.0, "Even"), (1000.0, "Odd")):
        out = predicted(features, tmp_path / category, one.model_copy(update={"half_life_days": half_life}))
        found = rows(out / "recommendations_by_category.parquet")
        assert {row["category"] for row in found if row["customer_id"] == "late"} == {category}
