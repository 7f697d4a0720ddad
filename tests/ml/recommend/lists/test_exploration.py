"""Places kept for new products: filled by chance, with the chance told, and nothing else disturbed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_snapshots import END, Rule, two_tastes, write_snapshot

from ml.recommend.config import RecommenderConfig
from ml.recommend.lists.exploration import Draws, _uniform
from ml.recommend.recommender import Recommender

KINDS = ["acoustic guitar with steel strings", "espresso coffee machine"]
NEW = {f"n{p}": {"title": f"New {p}", "text": f"new {KINDS[p % 2]} number {p}", "category": "New"} for p in range(6)}
Rows = list[dict[str, Any]]


@pytest.fixture
def serve(tmp_path: Path, config: RecommenderConfig, rows: Callable[[Path], Rows]) -> Callable[..., Rows]:
    def serve(share: float, rules: list[Rule] = (), dismissed: list[tuple[str, str]] = (), **settings: Any) -> Rows:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        products = {f"p{p:03d}": {"title": f"T{p}", "text": f"{KINDS[p % 2]} number {p}", "category": "c"} for p in range(30)}
        customers = {"c900": {}, "c901": {"consent": False}}
        features = write_snapshot(folder / "features", two_tastes(), products | NEW, customers, rules=rules, dismissed=dismissed)
        model = Recommender(config.model_copy(update={"exploration_share": share} | settings))
        model.fit(features, tmp_path / "cache")
        model.predict(features, folder / "out", tmp_path / "cache")
        return rows(folder / "out" / "recommendations.parquet")

    return serve


def drawn(rows: Rows) -> Rows:
    return [row for row in rows if row["strategy"] == "exploration"]


def lists(rows: Rows) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["customer_id"], []).append(row["product_id"])
    return found


def test_without_a_share_nothing_is_left_to_chance(serve) -> None:
    rows = serve(0)
    assert drawn(rows) == [] and {row["propensity"] for row in rows} == {1.0}


def test_one_place_of_every_list_goes_to_a_new_product_and_the_others_stay_as_they_were(serve) -> None:
    usual, rows = lists(serve(0)), serve(0.2)
    explored = {row["customer_id"]: row for row in drawn(rows)}
    assert set(explored) == set(usual) - {"c901"}, "without consent there is no personal draw"
    for customer, products in lists(rows).items():
        if customer in explored:
            row = explored[customer]
            assert row["rank"] == 3 and row["product_id"] in NEW and 0 < row["propensity"] < 1
            assert row["reason"] == "New in New" and row["because_product_id"] is None
            others = [product for product in products if product != row["product_id"]]
            assert others == usual[customer][:4]
        else:
            assert products == usual[customer]
    assert all(row["propensity"] == 1 for row in rows if row["strategy"] != "exploration")
    assert len(Counter(row["product_id"] for row in explored.values())) == len(NEW), "chance reaches all of them"
    alike = [int(row["product_id"][1:]) % 2 == int(name[1:]) % 2 for name, row in explored.items() if name != "c900"]
    assert np.mean(alike) > 0.7, "texts like those of the customer's own products are likelier"


def test_draws_keep_the_rules_and_do_not_depend_on_the_blocks(serve) -> None:
    rules: list[Rule] = [("b", "block", "n0", "occasional", None), ("m", "minimum_age", "n1", None, 18)]
    rules += [("l", "limit", f"n{p}", None, 1) for p in range(6)] + [("p", "pin", "p029", "occasional", 2)]
    rows = serve(0.4, rules, [("c000", f"n{p}") for p in range(6)])
    assert drawn(rows) and {"n0", "n1"}.isdisjoint(row["product_id"] for row in rows)
    assert "c000" not in {row["customer_id"] for row in drawn(rows)}
    for products in lists(rows).values():
        assert len(products) == 5 == len(set(products)) and sum(product in NEW for product in products) <= 1
    pieces = serve(0.4, rules, [("c000", f"n{p}") for p in range(6)], score_chunk_rows=7)
    assert [row | {"score": 0} for row in pieces] == [row | {"score": 0} for row in rows]
    assert drawn(serve(0.4, rules, seed=21)) != drawn(rows)


def test_a_product_is_new_for_some_days_or_until_somebody_knows_it(serve) -> None:
    assert {row["product_id"] for row in drawn(serve(0.4))} <= set(NEW)
    every_product_is_new = (END - END.replace(month=1, day=1)).days + 1  # the snapshot's products came on 1 January
    assert {row["product_id"] for row in drawn(serve(0.4, new_product_days=every_product_is_new))} - set(NEW)


def test_propensities_are_the_frequencies() -> None:
    n = 40_000
    rng = np.random.default_rng(5)
    liking = np.tile(np.array([0.4, 0.2, 0.1, -0.3]), (n, 1))
    chance = rng.integers(0, 2**63, n, dtype=np.uint64) * np.uint64(2) + rng.integers(0, 2, n, dtype=np.uint64)
    draws = Draws(np.array([1, 3]), np.array([7, 8, 9, 10]), liking, chance, np.arange(n) > 0)
    allowed = np.tile(np.array([True, True, False, True]), (n, 1))
    place, propensity = draws.draw(0, allowed)
    assert place[0] == -1 and set(place[1:]) == {0, 1, 3}
    for product in (0, 1, 3):
        (told,) = set(propensity[1:][place[1:] == product])
        assert abs((place[1:] == product).mean() - told) < 4 * np.sqrt(told / n)
        assert told >= 0.2 / 3
    first, second = _uniform(chance, 0), _uniform(chance, 1)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02 and first.min() >= 0 and first.max() < 1 and abs(first.mean() - 0.5) < 0.01


def test_nothing_new_leaves_the_list_full(serve) -> None:
    rows = serve(0.4, [("b", "block", name, "occasional", None) for name in NEW])
    assert drawn(rows) == [] and {len(products) for products in lists(rows).values()} == {5}
