"""The shop's rules in the lists: each rule alone, all against a plain reading of them, and in whole nights' snapshots."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from tiny_snapshots import DAY, START, Rule, two_tastes, write_snapshot

from ml.recommend.config import RecommenderConfig
from ml.recommend.data.snapshot import Snapshot
from ml.recommend.lists.rules import NO_LIMIT, Rules
from ml.recommend.recommender import Recommender

pytestmark = pytest.mark.slow

Lists = dict[str, list[str]]


@pytest.fixture
def serve(tmp_path: Path, config: RecommenderConfig, rows):
    """Lists of a shop of two tastes under some rules: serve(rules, ...) gives products by customer, and by segment for visitors."""

    def serve(rules: list[Rule], customers: dict[str, Any] | None = None, dismissed: list[tuple[str, str]] = (), **settings: Any):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        products = {f"p{p:03d}": {"title": f"Thing {p}", "category": "Even" if p % 2 == 0 else "Odd"} for p in range(30)}
        features = write_snapshot(folder / "features", two_tastes(), products, customers, rules=rules, dismissed=dismissed)
        model = Recommender(config.model_copy(update=settings))
        model.fit(features, tmp_path / "cache")
        model.predict(features, folder / "out", tmp_path / "cache")
        found: list[dict[str, Any]] = rows(folder / "out" / "recommendations.parquet")
        defaults = rows(folder / "out" / "recommendations_default.parquet")
        return found, lists_of(found, "customer_id"), lists_of(defaults, "segment")

    return serve


def lists_of(rows: list[dict[str, Any]], owner: str) -> Lists:
    lists: Lists = defaultdict(list)
    for row in rows:
        lists[row[owner]].append(row["product_id"])
        assert row["rank"] == len(lists[row[owner]])
    return lists


def shown(lists: Lists) -> set[str]:
    return {product for products in lists.values() for product in products}


def test_a_blocked_product_is_in_no_list_of_its_segment(serve):
    _, before, defaults_before = serve([])
    assert "p011" in shown(before) & shown(defaults_before)
    _, after, defaults = serve([("b", "block", "p011", "occasional", None)], {"c900": {"segment": "new"}})
    assert all(len(products) == 5 for products in [*after.values(), *defaults.values()])
    assert "p011" not in shown({name: products for name, products in after.items() if name != "c900"})
    assert "p011" in after["c900"] and "p011" in defaults["new"] and "p011" in defaults["all"]
    assert "p011" not in defaults["occasional"]
    _, after, defaults = serve([("b", "block", "p011", None, None)])
    assert "p011" not in shown(after) | shown(defaults)


def test_a_product_with_a_minimum_age_is_shown_to_those_known_to_have_reached_it(serve):
    ages: list[Rule] = [("a", "minimum_age", f"p{p:03d}", None, 18) for p in range(0, 12)]
    ages.append(("b", "minimum_age", "p011", None, 21))
    people = {"c900": {"segment": "occasional", "reached_age": 21}, "c901": {"reached_age": 18}, "c902": {"reached_age": 0}}
    people |= {"c903": {"reached_age": 21, "consent": False}}
    _, lists, defaults = serve(ages, people)
    limited = {f"p{p:03d}" for p in range(0, 12)}
    assert "p011" in lists["c900"] and "p011" in lists["c903"]
    assert "p011" not in lists["c901"] and "p008" in lists["c901"]
    assert not limited & set(lists["c902"])
    assert not limited & shown(defaults), "visitors nobody knows have no age"
    assert all(len(products) == 5 for products in [*lists.values(), *defaults.values()])


def test_what_a_customer_took_off_the_lists_does_not_come_back(serve):
    _, before, _ = serve([], {"c900": {"consent": False}})
    taken_off = [("c000", before["c000"][0]), ("c000", before["c000"][2]), ("c900", before["c900"][0])]
    _, after, _ = serve([], {"c900": {"consent": False}}, dismissed=taken_off)
    for customer, product in taken_off:
        assert product not in after[customer] and len(after[customer]) == 5
    kept = [product for product in before["c000"] if ("c000", product) not in taken_off]
    assert after["c000"][:3] == kept
    assert {name: lists for name, lists in after.items() if name not in ("c000", "c900")} == {
        name: lists for name, lists in before.items() if name not in ("c000", "c900")
    }


def test_no_list_holds_more_of_a_kind_than_the_limit_says(serve):
    even = [("even", "limit", f"p{p:03d}", None, 2) for p in range(0, 30, 2)]
    _, lists, defaults = serve(even)
    for products in [*lists.values(), *defaults.values()]:
        assert len(products) == 5
        assert sum(int(product[1:]) % 2 == 0 for product in products) <= 2
    _, lists, defaults = serve([("even", "limit", f"p{p:03d}", "new", 0) for p in range(0, 30, 2)], {"c900": {"segment": "new"}})
    assert not any(int(product[1:]) % 2 == 0 for product in lists["c900"] + defaults["new"])
    assert any(int(product[1:]) % 2 == 0 for product in defaults["all"] + lists["c000"])


def test_a_list_is_short_only_where_nothing_is_left_within_the_limits(serve):
    everything = [("even" if p % 2 == 0 else "odd", "limit", f"p{p:03d}", None, 2 if p % 2 == 0 else 1) for p in range(30)]
    _, lists, defaults = serve(everything)
    assert {len(products) for products in lists.values()} == {3} == {len(products) for products in defaults.values()}


def test_pinned_products_stand_at_their_places(serve):
    owner_of = {"c900": {"segment": "new"}, "c901": {"segment": "new", "consent": False}}
    pins: list[Rule] = [("a", "pin", "p029", segment, 2) for segment in ("all", "new", "occasional")]
    pins += [("b", "pin", "p028", "new", 1), ("far", "pin", "p020", "new", 6)]
    rows, lists, defaults = serve(pins, owner_of)
    _, before, _ = serve([], owner_of)
    owns = {name for name in lists if (name, "p029") in {(e[0], e[1]) for e in two_tastes()}}
    assert 0 < len(owns) < len(lists)
    for customer, products in lists.items():
        assert len(products) == 5 == len(set(products))
        assert (products[1] == "p029") == (customer not in owns)
    for customer in ("c900", "c901"):
        assert lists[customer] == ["p028", "p029", *before[customer][:3]]
    assert defaults["all"][1] == "p029" and defaults["new"][:2] == ["p028", "p029"]
    pinned = [row for row in rows if row["strategy"] == "pinned"]
    assert {row["product_id"] for row in pinned} == {"p028", "p029"}
    assert {row["reason"] for row in pinned} == {"Recommended by the shop"} and {row["because_product_id"] for row in pinned} == {None}
    for one, other in pairwise(rows):
        assert one["customer_id"] != other["customer_id"] or one["score"] >= other["score"]


def test_a_pin_gives_way_to_what_may_not_be_shown(serve):
    pins: list[Rule] = [("a", "pin", "p029", segment, 1) for segment in ("all", "occasional")]
    adults = [("b", "minimum_age", "p029", None, 18)]
    _, lists, defaults = serve(pins + adults, {"c900": {"reached_age": 18}, "c901": {}, "c902": {"reached_age": 18}}, [("c902", "p029")])
    assert lists["c900"][0] == "p029"
    assert "p029" not in lists["c901"] + lists["c902"] + defaults["all"]
    _, lists, _ = serve([*pins, ("b", "block", "p029", "occasional", None)])
    assert "p029" not in shown(lists)


def test_a_product_page_shows_nothing_of_a_higher_age_beside_it(tmp_path, config, rows):
    products = {f"p{p}": {"text": f"red wine number {p}"} for p in range(8)}
    rules = [("a", "minimum_age", f"p{p}", None, 18) for p in range(4)]
    features = write_snapshot(tmp_path / "features", two_tastes(20, 8), products, rules=rules)
    model = Recommender(config)
    model.fit(features, tmp_path / "cache")
    model.predict(features, tmp_path / "out", tmp_path / "cache")
    pairs = [
        (int(row["product_id"][1:]), int(row["similar_product_id"][1:])) for row in rows(tmp_path / "out" / "similar_products.parquet")
    ]
    assert not [pair for pair in pairs if pair[0] >= 4 > pair[1]]
    assert [pair for pair in pairs if pair[0] < 4 <= pair[1]] and [pair for pair in pairs if max(pair) < 4]


# ---- against a plain reading -----------------------------------------------------------------------------------------
def test_what_reviews_dislike_is_blocked_beside_the_shop_s_own_rules(tmp_path, config):
    products = {f"p{p}": {"title": f"Thing {p}"} for p in range(4)}
    features = write_snapshot(tmp_path / "features", [], products, rules=[("b", "block", "p1", None, None)])
    select = "SELECT 'least_sentiment' AS rule_id, 'block' AS kind, 'p2' AS product_id, NULL::VARCHAR AS segment, NULL::INTEGER AS value"
    duckdb.sql(select).write_parquet(str(features / "sentiment_rules.parquet"))
    assert Rules.of(Snapshot(features, config)).blocked[-1].tolist() == [False, True, True, False]


def plainly(rules: Rules, scores: np.ndarray, k: int, segment: int, age: int) -> list[int]:
    """One customer's list, product by product."""
    order = [int(p) for p in np.lexsort((np.arange(len(scores)), -scores)) if np.isfinite(scores[p])]
    order = [p for p in order if not rules.blocked[segment, p] and rules.minimum_age[p] <= age]
    held = np.zeros(rules.most.shape[1], int)
    pins = {place: int(p) for place, p in enumerate(rules.pins[segment]) if p in order}
    for product in pins.values():
        held[rules.limits[product]] += 1
    rest: list[int] = []
    for product in order:
        groups = rules.limits[product]
        fits = (held[groups] < rules.most[segment][groups]).all()
        if product not in pins.values() and fits and len(rest) + len(pins) < min(k, len(scores)):
            rest.append(product)
            held[groups] += 1
    chosen: list[int] = []
    for place in range(max(k, len(rules.pins[segment]))):
        if place in pins:
            chosen.append(pins[place])
        elif rest:
            chosen.append(rest.pop(0))
    return chosen


@pytest.mark.parametrize("seed", range(12))
def test_arrays_say_what_a_plain_reading_says(seed):
    rng = np.random.default_rng(seed)
    n, products, k, limits = 60, int(rng.integers(3, 90)), 8, 7
    pins = np.full((2, k), -1)
    for segment in range(2):
        places = rng.choice(k, 2, replace=False)
        pins[segment, places] = rng.choice(products, 2, replace=False)
    most = rng.integers(0, 4, (2, limits + 1))
    most[:, -1] = NO_LIMIT
    groups = np.stack([rng.integers(0, 4, products), rng.integers(4, limits + 1, products)], axis=1)
    rules = Rules(
        ["new", "all"], rng.random((2, products)) < 0.1, np.where(rng.random(products) < 0.2, 18, 0).astype(np.int32), pins, groups, most
    )
    scores = np.round(rng.random((n, products)), 1).astype(np.float32)  # with many ties
    scores[rng.random(scores.shape) < 0.1] = -np.inf
    segment, age = rng.integers(0, 2, n), rng.choice([0, 18], n)
    total = scores.copy()
    rules.hide(total, segment, age)
    chosen, worth, _ = rules.choose(total, k, segment)
    assert (np.diff(np.where(np.isfinite(worth), worth, -9)) <= 0).all()
    for row in range(n):
        found = chosen[row][np.isfinite(worth[row])].tolist()
        assert found == plainly(rules, scores[row], k, int(segment[row]), int(age[row]))


def test_a_catalogue_of_one_pinned_product(tmp_path, config, rows):
    events = [("c0", "p0", "view", START + DAY)]
    rules = [("a", "pin", "p0", "occasional", 4), ("b", "limit", "p0", None, 1)]
    features = write_snapshot(tmp_path / "features", events, {"p0": {}}, rules=rules)
    model = Recommender(config)
    model.fit(features, tmp_path / "cache")
    model.predict(features, tmp_path / "out", tmp_path / "cache")
    (row,) = rows(tmp_path / "out" / "recommendations.parquet")
    assert (row["rank"], row["product_id"], row["strategy"]) == (1, "p0", "pinned")
