"""Evaluations of whole recommenders: by segment, by the age of products, and beyond accuracy."""

from __future__ import annotations

import numpy as np
from test_recommender import by_customer, fitted
from tiny_snapshots import DAY, START, TEST, VALIDATION, two_tastes, write_snapshot

from ml.recommend.recommender import Recommender


def test_more_variety_for_less_accuracy(taste_shop, tmp_path, config):
    found = {}
    for alpha in (0.0, 0.6):
        model = Recommender(config.model_copy(update={"diversity": alpha}))
        model.fit(taste_shop, tmp_path / "cache")
        found[alpha] = {metric.name: metric for metric in model.evaluate(taste_shop, "test", tmp_path / "cache").metrics}
    assert found[0.6]["diversity@10"].value > found[0.0]["diversity@10"].value
    assert found[0.6]["diversity@10"].baseline_value == found[0.0]["diversity@10"].baseline_value, "popularity stays as it is"
    assert found[0.0]["miscalibration@10"].value < found[0.0]["miscalibration@10"].baseline_value
    assert found[0.0]["popularity_bias@10"].value < found[0.0]["popularity_bias@10"].baseline_value


def newcomers_want_what_everybody_wants():
    """Customers with a taste, and as many who came once and then buy the two most popular products, whatever they came for."""
    rng = np.random.default_rng(2)
    events = two_tastes()
    for n in range(60):
        events.append((f"n{n:03d}", f"p{rng.integers(4, 30):03d}", "purchase", START + float(rng.uniform(1, 50)) * DAY))
        later = VALIDATION if n % 2 == 0 else TEST
        events += [(f"n{n:03d}", p, "purchase", later + float(rng.uniform(1, 8)) * DAY) for p in ("p000", "p001")]
    return events


def test_a_segment_that_popularity_serves_better_gets_popularity(tmp_path, config, rows):
    products = {f"p{p:03d}": {"category": "Even" if p % 2 == 0 else "Odd"} for p in range(30)}
    events = newcomers_want_what_everybody_wants()
    segments = {c: {"segment": "new" if c.startswith("n") else "occasional"} for c, *_ in events}
    features = write_snapshot(tmp_path / "features", events, products, segments)
    model = fitted(features, tmp_path / "cache", config)
    assert list(model.choice.popular_segments) == ["new"]
    evaluated = {metric.name: metric for metric in model.evaluate(features, "test", tmp_path / "cache").metrics}
    of_new, of_others = evaluated["ndcg@10.segment=new"], evaluated["ndcg@10.segment=occasional"]
    assert of_new.value == of_new.baseline_value > 0 and of_others.value > of_others.baseline_value
    assert (
        evaluated["judged_customers.segment=new"].value + evaluated["judged_customers.segment=occasional"].value
        == evaluated["judged_customers"].value
    )
    assert evaluated["serves_popularity.segment=new"].value == 1 and "serves_popularity.segment=occasional" not in evaluated
    (tmp_path / "kept").mkdir()
    model.save(tmp_path / "kept")
    kept = Recommender.load(tmp_path / "kept")
    kept.predict(features, tmp_path / "out", tmp_path / "cache")
    lists = by_customer(rows(tmp_path / "out" / "recommendations.parquet"))
    assert {row["strategy"] for c, entries in lists.items() if c.startswith("n") for row in entries} == {"popular"}
    assert {row["strategy"] for c, entries in lists.items() if c.startswith("c") for row in entries} != {"popular"}


def test_answers_about_new_products_are_counted_by_themselves(tmp_path, config):
    products = {f"p{p:03d}": {"text": f"thing {p % 2}"} for p in range(30)} | {"p900": {"text": "thing 0", "created_at": VALIDATION}}
    events = [*two_tastes(), *((f"c{c:03d}", "p900", "purchase", TEST + DAY) for c in range(0, 60, 2))]
    features = write_snapshot(tmp_path / "features", events, products)
    model = Recommender(config)
    model.fit(features, tmp_path / "cache")
    evaluated = {metric.name: metric.value for metric in model.evaluate(features, "test", tmp_path / "cache").metrics}
    assert evaluated["judged_customers.product_age=new"] == 30
    assert 0 <= evaluated["ndcg@10.product_age=new"] <= 1 and evaluated["ndcg@10.product_age=old"] > 0
