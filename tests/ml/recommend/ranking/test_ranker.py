"""The ranker: learned from later days than its generators, the same on any number of threads, and used only where it helps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_snapshots import DAY, START, TEST, VALIDATION, Event, write_snapshot

from ml.recommend.candidates.fitting import fit_generators
from ml.recommend.candidates.popularity import Popularity
from ml.recommend.candidates.repeat import Repeat
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.holdouts import earlier_holdouts, first_interaction_at, selection_holdout
from ml.recommend.data.product_statistics import ProductStatistics
from ml.recommend.data.snapshot import Snapshot
from ml.recommend.ranking.ranker import Ranker, Rows
from ml.recommend.recommender import Recommender
from ml.recommend.selection.backtest import backtest
from ml.recommend.selection.validation import try_ranker

pytestmark = pytest.mark.slow

COFFEE = [f"coffee{n}" for n in range(6)]
BOOKS = [f"book{n:02d}" for n in range(40)]


def habits(customers: int = 160, seed: int = 3) -> list[Event]:
    """Everybody buys one coffee every nine days or so, always the same, and any other thing now and then."""
    rng = np.random.default_rng(seed)
    events: list[Event] = []
    for c in range(customers):
        coffee, day = COFFEE[c % len(COFFEE)], float(rng.uniform(0, 9))
        while day < 79.9:
            events.append((f"c{c:03d}", coffee, "purchase", START + day * DAY))
            day += float(rng.normal(9, 0.7))
        books = rng.choice(len(BOOKS), size=8, replace=False)
        events += [(f"c{c:03d}", BOOKS[book], "purchase", START + float(rng.uniform(0, 79.9)) * DAY) for book in books]
    return events


def habit_shop(folder: Path, events: list[Event]) -> Path:
    products = {name: {"title": name, "category": "Coffee", "repeatable": True} for name in COFFEE}
    products |= {name: {"title": name, "category": "Books"} for name in BOOKS}
    return write_snapshot(folder, events, products)


@pytest.fixture
def features(tmp_path: Path) -> Path:
    return habit_shop(tmp_path / "features", habits())


@pytest.fixture
def learning(config: RecommenderConfig) -> RecommenderConfig:
    return config.model_copy(update={"ranker_min_customers": 30, "ranker_rounds": 20, "ranker_windows": 2})


def test_the_ranker_is_chosen_on_customers_held_out_and_written_down(features, tmp_path, learning):
    model = Recommender(learning)
    model.fit(features, tmp_path)
    assert model.choice.held_out > 0
    assert model.choice.second_stage == (model.ranker is not None)
    assert model.choice.held_out_ndcg > model.choice.held_out_blend_ndcg or not model.choice.second_stage
    metrics = {metric.name: metric for metric in model.evaluate(features, "test", tmp_path).metrics}
    assert metrics["validation_ndcg@10"].value == model.choice.held_out_ndcg
    assert metrics["validation_ndcg@10"].baseline_value == model.choice.held_out_blend_ndcg
    assert metrics["second_stage"].value == model.choice.second_stage


def test_a_small_shop_stays_with_the_blend(features, tmp_path, learning):
    model = Recommender(learning.model_copy(update={"ranker_min_customers": 1000}))
    model.fit(features, tmp_path)
    assert model.ranker is None and not model.choice.second_stage and model.choice.held_out == 0 and model.choice.weights


def whole(rows: Rows) -> np.ndarray:
    return np.concatenate(rows.tables)


def rows_of(features: Path, config: RecommenderConfig) -> Rows:
    """What the ranker learns from on the validation days."""
    snapshot = Snapshot(features, config)
    holdout = selection_holdout(snapshot)
    generators = fit_generators(snapshot, features.parent, holdout.starts_at, 30.0, config, {Popularity.name, Repeat.name})
    return backtest(snapshot, holdout, generators, config)[1]


def test_features_know_nothing_of_the_days_of_the_answers(tmp_path, config):
    events = habits()
    features = habit_shop(tmp_path / "one", events)
    other = [e if e[3] < VALIDATION else (e[0], COFFEE[0], e[2], e[3]) for e in events]
    changed = habit_shop(tmp_path / "two", other)
    one, two = rows_of(features, config), rows_of(changed, config)
    both = np.intersect1d(one.customers, two.customers)
    one, two = one.only(np.isin(one.customers, both)), two.only(np.isin(two.customers, both))
    np.testing.assert_array_equal(whole(one), whole(two))
    assert (one.wanted != two.wanted).any()


def test_earlier_days_are_as_long_and_leave_as_much_before_them(features, config):
    snapshot = Snapshot(features, config)
    holdouts = list(earlier_holdouts(snapshot, selection_holdout(snapshot)))
    assert holdouts[0].ends_at == VALIDATION and holdouts[0].starts_at == VALIDATION - (TEST - VALIDATION)
    assert holdouts[-1].starts_at - first_interaction_at(snapshot) >= TEST - VALIDATION


def test_the_trees_order_better_than_what_they_were_given(features, config):
    rows = rows_of(features, config)
    ranker = Ranker.fit(rows, config.model_copy(update={"ranker_rounds": 40}))
    scores = ranker.predict(rows.names, whole(rows), 1)
    assert rows.ndcg(scores, 10).mean() > rows.ndcg(whole(rows)[:, list(rows.names).index("score_repeat")], 10).mean()


def test_threads_change_nothing(features, config):
    rows = rows_of(features, config)
    one, two = (Ranker.fit(rows, config.model_copy(update={"threads": threads})) for threads in (1, 2))
    np.testing.assert_array_equal(one.predict(rows.names, whole(rows), 1), two.predict(rows.names, whole(rows), 2))


def test_kept_trees_say_the_same_and_do_without_unknown_features(features, config, tmp_path):
    rows = rows_of(features, config)
    ranker = Ranker.fit(rows, config)
    ranker.save(tmp_path)
    kept = Ranker.load(tmp_path)
    np.testing.assert_array_equal(ranker.predict(rows.names, whole(rows), 1), kept.predict(rows.names, whole(rows), 1))
    turned = kept.predict(list(rows.names)[::-1], whole(rows)[:, ::-1], 1)
    np.testing.assert_array_equal(turned, kept.predict(rows.names, whole(rows), 1))
    assert np.isfinite(kept.predict(list(rows.names)[1:], whole(rows)[:, 1:], 1)).all()


def test_rows_of_a_time_with_other_generators_are_joined_by_the_features_names(features, config):
    rows = rows_of(features, config)
    other = replace(rows, names=[*list(rows.names)[:0:-1], "only_then"], tables=[table[:, ::-1] for table in rows.tables])
    joined = Rows.joined([rows, other])
    assert joined.names == rows.names and len(joined.sizes) == 2 * len(rows.sizes)
    before, after = np.split(whole(joined), 2)
    np.testing.assert_array_equal(before, whole(rows))
    np.testing.assert_array_equal(after[:, 1:], whole(rows)[:, 1:])
    assert np.isnan(after[:, 0]).all()


def test_what_is_no_model_is_refused(tmp_path):
    (tmp_path / "ranker_wishes.txt").write_text("tree\nnonsense=1\n")
    with pytest.raises(Exception, match=r"Model|format|parse|Unknown"):
        Ranker.load(tmp_path)


def test_one_product_is_enough(tmp_path, learning, rows):
    events = [(f"c{c:03d}", "only", "purchase", START + float(d) * DAY) for c in range(60) for d in (c % 50, 62 + c % 7, 72 + c % 7)]
    features = write_snapshot(tmp_path / "features", events, {"only": {"title": "Only", "repeatable": True}})
    evaluated, model = Recommender(learning), Recommender(learning)
    evaluated.fit(features, tmp_path)
    model.refit(features, tmp_path, evaluated)
    model.predict(features, tmp_path / "out", tmp_path)
    assert {row["product_id"] for row in rows(tmp_path / "out" / "recommendations.parquet")} == {"only"}


def test_a_customer_with_ten_thousand_events(tmp_path, learning, rows):
    rng = np.random.default_rng(1)
    looked, days = rng.integers(len(BOOKS), size=10_000), rng.uniform(0, 79, 10_000)
    many = [("busy", BOOKS[book], "view", START + float(day) * DAY) for book, day in zip(looked, days, strict=True)]
    features = habit_shop(tmp_path / "features", habits() + many)
    evaluated, model = Recommender(learning), Recommender(learning)
    evaluated.fit(features, tmp_path)
    model.refit(features, tmp_path, evaluated)
    model.predict(features, tmp_path / "out", tmp_path)
    assert len([row for row in rows(tmp_path / "out" / "recommendations.parquet") if row["customer_id"] == "busy"]) == 5


def test_gaps_are_drawn_to_the_shops_where_there_are_few(features, config):
    snapshot = Snapshot(features, config)
    statistics = ProductStatistics.read(snapshot, TEST)
    coffee = np.array([name in COFFEE for name in snapshot.catalogue.ids.to_pylist()])
    assert statistics.gap_days[coffee] == pytest.approx(9, abs=0.6)
    assert (statistics.again[coffee] > 0.9).all() and (statistics.again[~coffee] < 0.1).all()
    assert (statistics.wanted >= statistics.wanted_30).all() and (statistics.wanted_30 >= statistics.wanted_7).all()


def made_up(customers: range, likes: int, seed: int) -> Rows:
    """Pools of 20 products, of which each customer goes on to want the one with the most (`likes` 1) or the least (-1) of feature x."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(len(customers), 20)).astype(np.float32)
    wanted = np.zeros(x.shape, bool)
    wanted[np.arange(len(x)), (likes * x).argmax(axis=1)] = True
    ids = np.array([f"c{c:03d}" for c in customers], dtype=object)
    return Rows(["x"], [x.reshape(-1, 1)], wanted.ravel(), np.full(len(x), 20), np.ones(len(x), int), ids)


def test_earlier_windows_are_learned_from_unless_they_are_outdated(learning):
    latest, held = made_up(range(90), 1, 1), np.arange(90) % 3 == 0
    for likes, windows in ((1, 2), (-1, 1)):
        trial = try_ranker(latest, [made_up(range(100, 280), likes, 2)], held, np.full(30, 0.1), learning)
        assert trial.figures["stretches"] == windows == len(trial.learned)
        assert trial.evaluated is not None and trial.ranker is not None
        assert trial.figures["second_stage"] and trial.figures["held_out"] == 30


def test_customers_held_out_teach_nothing_on_earlier_days_either(learning):
    latest, held = made_up(range(90), 1, 1), np.arange(90) % 3 == 0
    same_customers = made_up(range(0, 90, 3), -1, 3)  # would turn the order round
    trial = try_ranker(latest, [same_customers], held, np.full(30, 0.1), learning).evaluated
    alone = try_ranker(latest, [], held, np.full(30, 0.1), learning).evaluated
    np.testing.assert_array_equal(trial.predict_rows(latest, 1), alone.predict_rows(latest, 1))


def test_lists_and_choices_are_the_same_on_any_number_of_threads(features, tmp_path, learning, rows):
    made = []
    for threads in (1, 2):
        config = learning.model_copy(update={"threads": threads, "score_chunk_rows": 7})
        evaluated, served, out = Recommender(config), Recommender(config), tmp_path / str(threads)
        evaluated.fit(features, tmp_path)
        units = evaluated.evaluate(features, "test", tmp_path).unit_scores
        served.refit(features, tmp_path, evaluated)
        served.predict(features, out, tmp_path)
        made.append((evaluated.choice, units.tolist(), *(rows(out / f"recommendations{of}.parquet") for of in ("", "_by_category"))))
    assert made[0] == made[1] and made[0][2]
