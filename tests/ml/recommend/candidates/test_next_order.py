"""Generators for the next order: customers alike, taste, follow-ups by category; and which are left out where habits prevail."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_snapshots import DAY, END, START, Event, bought, write_snapshot

from ml.recommend.candidates.contract import Training
from ml.recommend.candidates.fitting import fit_generators
from ml.recommend.candidates.follow_up import FollowUp
from ml.recommend.candidates.sequence import SequenceModel
from ml.recommend.candidates.taste import Taste
from ml.recommend.candidates.transitions import Transitions
from ml.recommend.candidates.user_knn import UserKnn
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.customers import active_customers
from ml.recommend.data.histories import History, read_history
from ml.recommend.data.popularity import read_popularity
from ml.recommend.data.snapshot import Snapshot


def read(folder: Path, config: RecommenderConfig) -> tuple[Snapshot, History]:
    snapshot = Snapshot(folder, config)
    return snapshot, read_history(snapshot, active_customers(snapshot))


def training(snapshot: Snapshot, history: History, cache: Path) -> Training:
    return Training(snapshot.catalogue, history, read_popularity(snapshot, 60)["all"], cache)


def test_customers_alike_bring_their_habits(tmp_path, config):
    events = [e for c in range(6) for e in bought(f"a{c}", "milk", 1, 3) + bought(f"a{c}", "bread", 1, 3) + bought(f"a{c}", "jam", 3)]
    events += [e for c in range(6) for e in bought(f"b{c}", "nails", 1) + bought(f"b{c}", "screws", 2)]
    events += bought("new", "milk", 2) + bought("new", "bread", 2)
    names = ("bread", "jam", "milk", "nails", "screws")
    snapshot, history = read(write_snapshot(tmp_path / "features", events, {name: {} for name in names}), config)
    model = UserKnn(config.model_copy(update={"user_knn_neighbours": 6}))
    model.fit(training(snapshot, history, tmp_path))
    scores = dict(zip(names, model.score(history)[-1], strict=True))
    assert scores["jam"] > 0 == scores["nails"] == scores["screws"] and scores["milk"] > scores["jam"]


def worded_shop(folder: Path) -> Path:
    """Two categories; every customer keeps to the oaken or to the steel products of the one that is looked at most."""
    products = {
        f"{kind}{n:02d}": {"category": kind, "text": f"{'oak' if n % 2 else 'steel'} {kind} number{n}"}
        for kind in ("lamp", "table")
        for n in range(12)
    }
    rng = np.random.default_rng(5)
    events: list[Event] = []
    for c in range(40):
        kind = "lamp" if c < 30 else "table"
        looked = [f"{kind}{2 * n + c % 2:02d}" for n in rng.choice(6, size=3, replace=False)]
        events += [(f"c{c:02d}", product, "view", START + float(rng.uniform(0, 79)) * DAY) for product in looked]
    return write_snapshot(folder, events, products)


def test_taste_is_a_category_and_within_it_the_words_of_the_past(tmp_path, config):
    snapshot, history = read(worded_shop(tmp_path / "features"), config)
    model = Taste(config)
    model.fit(training(snapshot, history, tmp_path))
    assert model.strength > 0
    scores = model.score(history)
    oak = np.arange(24) % 2 == 1
    lamp = np.arange(24) < 12
    odd = np.arange(40) % 2 == 1
    assert (scores[:30][:, lamp].sum(1) > scores[:30][:, ~lamp].sum(1)).all()
    assert (scores[odd][:, oak].sum(1) > scores[odd][:, ~oak].sum(1)).all()
    assert (scores[~odd][:, oak].sum(1) < scores[~odd][:, ~oak].sum(1)).all()


def test_kept_models_score_the_same(tmp_path, config):
    snapshot, history = read(worded_shop(tmp_path / "features"), config)
    for kind in (Taste, UserKnn, FollowUp):
        model, kept = kind(config), kind(config)
        model.fit(training(snapshot, history, tmp_path))
        kept.restore(model.arrays())
        np.testing.assert_array_equal(kept.score(history), model.score(history))
        model.align(np.arange(24), snapshot.catalogue, tmp_path)
        np.testing.assert_allclose(model.score(history), kept.score(history), atol=1e-6)


def test_what_follows_is_believed_more_where_the_categories_follow_each_other(tmp_path, config):
    """One guitar is followed once by a strap and once by a book; straps follow guitars, books follow nothing in particular."""
    products = {f"guitar{n}": {"category": "Guitars"} for n in range(6)} | {f"strap{n}": {"category": "Straps"} for n in range(6)}
    products |= {f"book{n}": {"category": "Books"} for n in range(6)}
    events: list[Event] = []
    for n in range(1, 6):
        events += bought(f"c{n}", f"guitar{n}", 1) + bought(f"c{n}", f"strap{n}", 4) + bought(f"d{n}", f"book{n}", 4)
        events += bought(f"d{n}", f"book{(n + 1) % 6}", 1)
    events += bought("c", "guitar0", 1) + bought("c", "strap0", 3) + bought("c", "book0", 3) + bought("asked", "guitar0", 79)
    snapshot, history = read(write_snapshot(tmp_path / "features", events, products), config)
    model = FollowUp(config)
    model.fit(training(snapshot, history, tmp_path))
    number = {name: place for place, name in enumerate(snapshot.catalogue.ids.to_pylist())}
    asked = list(active_customers(snapshot).ids.to_pylist()).index("asked")
    scores = model.score(history)[asked]
    assert scores[number["strap0"]] > scores[number["book0"]]
    assert history.moment == snapshot.moment(END)


@pytest.mark.parametrize(("orders", "fitted"), [((5,), True), ((5, 14, 23, 32, 41), False)])
def test_where_habits_prevail_the_slow_models_are_left_out(tmp_path, config, orders, fitted):
    events = [e for c in range(30) for p in range(4) for e in bought(f"c{c:02d}", f"p{(c + p) % 8}", *(day + p for day in orders))]
    snapshot = Snapshot(write_snapshot(tmp_path / "features", events, {f"p{p}": {"repeatable": True} for p in range(8)}), config)
    names = {generator.name for generator in fit_generators(snapshot, tmp_path, None, 60, config)}
    assert (Transitions.name in names) == (SequenceModel.name in names) == fitted and UserKnn.name in names
