"""Figures beyond being right, by hand; the variety of lists; segments that popularity serves."""

from __future__ import annotations

import numpy as np
import pytest
from test_recommender import by_customer, fitted, predicted
from tiny_snapshots import DAY, START, TEST, VALIDATION, two_tastes, write_snapshot

from ml.nightly_model import BEFORE_TEST
from ml.recommend.data.holdouts import evaluated_users, holdout_of
from ml.recommend.data.snapshot import Snapshot
from ml.recommend.evaluation import beyond_accuracy
from ml.recommend.lists.diversity import diversify
from ml.recommend.ranking.scoring import ListScorer
from ml.recommend.recommender import Recommender
from ml.recommend.selection.variety import best_variety


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


def test_more_variety_for_less_accuracy(taste_shop, tmp_path, config):
    found = {}
    for alpha in (0.0, 0.6):
        model = Recommender(config.model_copy(update={"diversity": alpha}))
        model.fit(taste_shop, BEFORE_TEST, tmp_path / "cache")
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
    model.fit(features, BEFORE_TEST, tmp_path / "cache")
    evaluated = {metric.name: metric.value for metric in model.evaluate(features, "test", tmp_path / "cache").metrics}
    assert evaluated["judged_customers.product_age=new"] == 30
    assert 0 <= evaluated["ndcg@10.product_age=new"] <= 1 and evaluated["ndcg@10.product_age=old"] > 0


def test_a_list_keeps_its_order_with_variety(taste_shop, tmp_path, config, rows):
    lists = by_customer(rows(predicted(taste_shop, tmp_path, config.model_copy(update={"diversity": 0.5})) / "recommendations.parquet"))
    for entries in lists.values():
        assert [row["rank"] for row in entries] == [1, 2, 3, 4, 5]
        scores = [row["score"] for row in entries]
        assert scores == sorted(scores, reverse=True)


class OneCategoryFirst:
    """A candidate that knows no better than to put one category before the other."""

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
