"""The recommender as the nightly uses it: fitted, evaluated, asked, kept."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_snapshots import DAY, START, TEST, two_tastes, write_snapshot

from ml.recommend.candidates.fitting import fit_generators
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.snapshot import Snapshot
from ml.recommend.recommender import Recommender

pytestmark = pytest.mark.slow


def fitted(features: Path, cache: Path, config: RecommenderConfig) -> Recommender:
    """A model fitted the way a night fits the one that predicts."""
    evaluated = Recommender(config)
    evaluated.fit(features, cache)
    model = Recommender(config)
    model.refit(features, cache, evaluated)
    return model


def predicted(features: Path, tmp_path: Path, config: RecommenderConfig) -> Path:
    """The folder of predictions for a snapshot."""
    fitted(features, tmp_path / "cache", config).predict(features, tmp_path / "out", tmp_path / "cache")
    return tmp_path / "out"


def by_customer(rows: list[dict]) -> dict[str, list[dict]]:
    lists: dict[str, list[dict]] = defaultdict(list)
    for row in rows:
        lists[row["customer_id"]].append(row)
    return lists


def test_finds_the_tastes_that_popularity_does_not_know(taste_shop, tmp_path, config):
    model = Recommender(config)
    model.fit(taste_shop, tmp_path)
    evaluated = model.evaluate(taste_shop, "test", tmp_path)
    ndcg = evaluated.metrics[0]
    assert ndcg.name == "ndcg@10" and ndcg.baseline == "popularity"
    assert ndcg.value > 1.2 * ndcg.baseline_value
    assert list(evaluated.unit_ids) == sorted(evaluated.unit_ids)
    assert ndcg.value == pytest.approx(evaluated.unit_scores.mean())
    assert ndcg.baseline_value == pytest.approx(evaluated.baselines["popularity"].mean())
    assert evaluated.unit_scores.min() >= 0 and evaluated.unit_scores.max() <= 1


def test_every_customer_gets_a_full_list_of_what_may_be_shown(taste_shop, tmp_path, config, rows):
    out = predicted(taste_shop, tmp_path, config)
    lists = by_customer(rows(out / "recommendations.parquet"))
    assert len(lists) == 62
    owned = {(row["customer_id"], row["product_id"]) for row in rows(taste_shop / "owned.parquet")}
    for customer, entries in lists.items():
        assert [entry["rank"] for entry in entries] == [1, 2, 3, 4, 5]
        assert len({entry["product_id"] for entry in entries}) == 5
        scores = [entry["score"] for entry in entries]
        assert np.isfinite(scores).all() and scores == sorted(scores, reverse=True)
        assert not any((customer, entry["product_id"]) in owned for entry in entries)
        assert all(entry["reason"] and entry["strategy"] for entry in entries)


def test_customers_without_history_or_consent_get_their_segments_list(taste_shop, tmp_path, config, rows):
    lists = by_customer(rows(predicted(taste_shop, tmp_path, config) / "recommendations.parquet"))
    for customer in ("c900", "c901"):
        assert {entry["strategy"] for entry in lists[customer]} <= {"segment_popular", "popular"}
        assert {entry["because_product_id"] for entry in lists[customer]} == {None}
    assert "p000" not in {entry["product_id"] for entry in lists["c901"]}  # owned, though nothing is learned from it


def test_a_reason_names_a_product_of_the_customers_own_history(taste_shop, tmp_path, config, rows):
    entries = rows(predicted(taste_shop, tmp_path, config) / "recommendations.parquet")
    owned = {(row["customer_id"], row["product_id"]) for row in rows(taste_shop / "owned.parquet")}
    argued = [entry for entry in entries if entry["because_product_id"]]
    assert argued
    for entry in argued:
        assert (entry["customer_id"], entry["because_product_id"]) in owned
        assert entry["reason"] == f"Because you bought Thing {int(entry['because_product_id'][1:])}"


def test_unavailable_products_are_never_shown_and_new_ones_enter_by_their_texts(tmp_path, config, rows):
    kinds = ["acoustic guitar with steel strings", "espresso coffee machine"]
    products = {f"p{p:03d}": {"title": f"T{p}", "text": f"{kinds[p % 2]} number {p}", "category": "c"} for p in range(20)}
    products["p004"]["available"] = False
    products["p999"] = {"title": "New", "text": "guitar strings, steel, for acoustic guitars"}
    features = write_snapshot(tmp_path / "features", two_tastes(40, 20), products)
    out = predicted(features, tmp_path, config)
    shown = rows(out / "recommendations.parquet") + rows(out / "recommendations_default.parquet")
    assert "p004" not in {row["product_id"] for row in shown}
    similar = rows(out / "similar_products.parquet")
    assert "p004" not in {row["similar_product_id"] for row in similar}
    of_new = [row for row in similar if row["product_id"] == "p999"]
    assert [row["rank"] for row in of_new] == [1, 2, 3]
    assert all(int(row["similar_product_id"][1:]) % 2 == 0 and row["strategy"] == "content" for row in of_new)


def test_default_lists_exist_for_all_and_for_every_segment(taste_shop, tmp_path, config, rows):
    entries = rows(predicted(taste_shop, tmp_path, config) / "recommendations_default.parquet")
    counts = defaultdict(int)
    for entry in entries:
        counts[entry["segment"]] += 1
    assert counts == {"all": 5, "loyal": 5, "new": 5, "occasional": 5}


def test_the_same_night_gives_the_same_bytes(taste_shop, tmp_path, config):
    digests = []
    for run in ("one", "two"):
        out = predicted(taste_shop, tmp_path / run, config)
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.iterdir())])
    assert digests[0] == digests[1]


def test_a_small_memory_gives_the_same_lists(taste_shop, tmp_path, config, rows):
    whole = rows(predicted(taste_shop, tmp_path / "a", config) / "recommendations.parquet")
    pieces = rows(predicted(taste_shop, tmp_path / "b", config.model_copy(update={"score_chunk_rows": 7})) / "recommendations.parquet")
    assert [(r["customer_id"], r["rank"], r["product_id"]) for r in whole] == [
        (r["customer_id"], r["rank"], r["product_id"]) for r in pieces
    ]


def test_a_kept_model_predicts_the_same(taste_shop, tmp_path, config, rows):
    model = fitted(taste_shop, tmp_path / "cache", config)
    (tmp_path / "kept").mkdir()
    model.save(tmp_path / "kept")
    assert {path.suffix for path in (tmp_path / "kept").iterdir()} <= {".json", ".parquet", ".safetensors", ".txt"}
    model.predict(taste_shop, tmp_path / "before", tmp_path / "cache")
    Recommender.load(tmp_path / "kept").predict(taste_shop, tmp_path / "after", tmp_path / "cache")
    for name in ("recommendations", "recommendations_default", "similar_products"):
        assert rows(tmp_path / "before" / f"{name}.parquet") == rows(tmp_path / "after" / f"{name}.parquet")


def test_a_kept_model_serves_a_later_catalogue(taste_shop, tmp_path, config, rows):
    model = fitted(taste_shop, tmp_path / "cache", config)
    products = {f"p{p:03d}": {"title": f"Thing {p}", "category": "Even" if p % 2 == 0 else "Odd"} for p in range(1, 30)}  # one is gone,
    products["a000"] = {"title": "Newcomer", "category": "Even"}  # and another comes first
    later = write_snapshot(tmp_path / "later", [e for e in two_tastes() if e[1] != "p000"], products)
    model.predict(later, tmp_path / "out", tmp_path / "cache")
    lists = by_customer(rows(tmp_path / "out" / "recommendations.parquet"))
    assert all(len(entries) == 5 for entries in lists.values())
    collaborative = [row for entries in lists.values() for row in entries if row["because_product_id"]]
    pairs = [(row["product_id"], row["because_product_id"]) for row in collaborative if row["product_id"] != "a000"]
    same_taste = [int(shown[1:]) % 2 == int(past[1:]) % 2 for shown, past in pairs]
    assert np.mean(same_taste) > 0.9


def test_nothing_is_learned_from_the_test_days(tmp_path, config):
    products = {f"p{p:03d}": {"title": f"Thing {p}"} for p in range(30)}
    events = two_tastes()
    whole = write_snapshot(tmp_path / "whole", events, products)
    without = write_snapshot(tmp_path / "without", [e for e in events if e[3] < TEST], products)
    kept = []
    for features in (whole, without):
        model = Recommender(config)
        model.fit(features, tmp_path / "cache")
        kept.append((model.choice, {c.name: c.arrays() for c in model.generators}))
    assert kept[0][0] == kept[1][0]
    for name, arrays in kept[0][1].items():
        for key, array in arrays.items():
            np.testing.assert_array_equal(array, kept[1][1][name][key])


def test_what_is_bought_again_is_offered_again(tmp_path, config, rows):
    products = {f"p{p:03d}": {"title": f"Coffee {p}", "repeatable": True} for p in range(30)}
    rng = np.random.default_rng(3)
    events = []
    for c in range(60):
        staples = rng.choice(30, 3, replace=False)
        events += [
            (f"c{c:03d}", f"p{p:03d}", "purchase", START + float(d) * DAY) for p in staples for d in np.arange(rng.uniform(0, 9), 79, 9)
        ]
    features = write_snapshot(tmp_path / "features", events, products)
    evaluated, model = Recommender(config), Recommender(config)
    evaluated.fit(features, tmp_path)
    evaluated.choice = replace(evaluated.choice, weights={"repeat": 1.0})  # others find the same here
    model.refit(features, tmp_path, evaluated)
    model.predict(features, tmp_path / "out", tmp_path)
    entries = rows(tmp_path / "out" / "recommendations.parquet")
    again = [entry for entry in entries if entry["strategy"] == "buy_again"]
    bought = {(event[0], event[1]) for event in events}
    assert len(again) > 100
    assert all((entry["customer_id"], entry["product_id"]) in bought for entry in again)
    assert again[0]["reason"] == f"Time to buy Coffee {int(again[0]['product_id'][1:])} again?"
    assert again[0]["because_product_id"] == again[0]["product_id"]


@pytest.mark.parametrize(("customers", "products"), [(1, 1), (1, 3), (10, 3), (3, 1)])
def test_tiny_shops_get_what_there_is(tmp_path, config, rows, customers, products):
    events = [(f"c{c}", f"p{c % products}", "view", START + (c + 1) * DAY) for c in range(customers)]
    features = write_snapshot(tmp_path / "features", events, {f"p{p}": {"title": None} for p in range(products)})
    out = predicted(features, tmp_path, config)
    lists = by_customer(rows(out / "recommendations.parquet"))
    assert {len(entries) for entries in lists.values()} == {min(5, products)} and len(lists) == customers
    evaluated = fitted(features, tmp_path / "cache", config).evaluate(features, "test", tmp_path / "cache")
    assert np.isnan(evaluated.metrics[0].value) and len(evaluated.unit_ids) == 0 and "no customer took anything new" in evaluated.nobody


def test_a_customer_who_owns_everything_gets_nothing_and_hurts_nobody(tmp_path, config, rows):
    events = [("c0", f"p{p}", "purchase", START + DAY) for p in range(3)] + [("c1", "p0", "purchase", START + DAY)]
    features = write_snapshot(tmp_path / "features", events, {f"p{p}": {} for p in range(3)})
    lists = by_customer(rows(predicted(features, tmp_path, config) / "recommendations.parquet"))
    assert [row["product_id"] for row in lists["c1"]] == ["p1", "p2"] and "c0" not in lists


def test_no_interaction_at_all_still_gives_lists(tmp_path, config, rows):
    features = write_snapshot(tmp_path / "features", [], {f"p{p}": {} for p in range(7)}, {"c0": {"segment": "new"}})
    assert Recommender.unavailable_reason(features, config) is None
    entries = rows(predicted(features, tmp_path, config) / "recommendations.parquet")
    assert [entry["product_id"] for entry in entries] == ["p0", "p1", "p2", "p3", "p4"]
    assert {entry["strategy"] for entry in entries} == {"popular"}


def test_a_shop_without_products_is_told_why(tmp_path, config):
    features = write_snapshot(tmp_path / "features", [], {}, {"c0": {}})
    assert Recommender.unavailable_reason(features, config) == "the shop has no products yet"


def test_a_customer_with_ten_thousand_events_is_asked_with_the_latest(tmp_path, config, rows):
    events = [("busy", f"p{e % 700:03d}", "view", START + e / 10_000 * 79 * DAY) for e in range(10_000)]
    products = {f"p{p:03d}": {} for p in range(700)}
    features = write_snapshot(tmp_path / "features", [*two_tastes(40, 30), *events], products)
    lists = by_customer(rows(predicted(features, tmp_path, config) / "recommendations.parquet"))
    assert len(lists["busy"]) == 5


def test_als_serves_where_ease_does_not_fit(taste_shop, tmp_path, config):
    model = Recommender(config.model_copy(update={"ease_max_products": 10, "als_factors": 8}))
    history_kinds = {c.name for c in fit_generators(Snapshot(taste_shop, model.config), tmp_path, None, 60.0, model.config)}
    assert "als" in history_kinds and "ease" not in history_kinds
    model.fit(taste_shop, tmp_path)
    ndcg = model.evaluate(taste_shop, "test", tmp_path).metrics[0]
    assert ndcg.value > ndcg.baseline_value


def test_titles_are_data_whatever_they_say(tmp_path, config, rows):
    nasty = "'; drop table x; -- <script>alert(1)</script> 🎸 吉他 %s {0}"
    products = {f"p{p:03d}": {"title": nasty, "text": nasty, "category": "a'b\"c"} for p in range(30)}
    features = write_snapshot(tmp_path / "fea'tures", two_tastes(), products)
    entries = rows(predicted(features, tmp_path, config) / "recommendations.parquet")
    assert any(entry["reason"] == f"Because you bought {nasty}" for entry in entries)


def test_an_unhappily_reviewed_product_sinks_only_where_that_helps(tmp_path, config):
    """Half of the customers bought the four most wanted products until validation, whence nobody wants them any more."""
    rng, events = np.random.default_rng(2), []
    for c in range(150):
        wanted, days = rng.choice(np.arange(4, 30), 4, replace=False), [*np.sort(rng.uniform(0, 59, 3)), rng.uniform(60.5, 69.5)]
        bought = list(zip(wanted, days, strict=True)) + [(p, rng.uniform(0, 59)) for p in range(4) if c % 2 == 0]
        events += [(f"c{c:03d}", f"p{p:03d}", "purchase", START + float(day) * DAY) for p, day in bought]
    products = {f"p{p:03d}": {} for p in range(30)}
    bad = {f"p{p:03d}": (0.9 if p < 4 else -0.5) for p in range(30)}
    penalties = []
    for name, dissatisfaction in (("bad", bad), ("upside_down", {p: -v for p, v in bad.items()}), ("absent", None)):
        features = write_snapshot(tmp_path / name, events, products, dissatisfaction=dissatisfaction)
        model = Recommender(config)
        model.fit(features, tmp_path / "cache")
        penalties.append(model.choice.penalty)
    assert penalties[0] > 0 and penalties[1:] == [0, 0]


def test_a_later_night_goes_on_from_what_knew_nothing_of_its_validation_days(taste_shop, tmp_path, config):
    config = config.model_copy(update={"sequence_min_customers": 20, "sequence_factors": 8, "sequence_epochs": 20})
    first, later = Recommender(config), Recommender(config)
    first.fit(taste_shop, tmp_path)
    (tmp_path / "kept").mkdir()
    first.save(tmp_path / "kept")
    kept = Recommender.load(tmp_path / "kept")
    snapshot = Snapshot(taste_shop, config)
    assert kept._sequences()[0].until == snapshot.moment(snapshot.end_of(("train",)))
    later.fit(taste_shop, tmp_path, warm_start=kept)
    before, after = (model._sequences()[0].arrays()["products"] for model in (first, later))
    near = (before * after).sum(1) / np.linalg.norm(before, axis=1) / np.linalg.norm(after, axis=1)
    assert np.median(near) > 0.5, "the fit before the validation days did not go on from the one kept"
