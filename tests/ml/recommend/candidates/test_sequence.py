"""The sequence model: its gradients, what it learns, that threads change nothing, and how it follows a catalogue."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ml.recommend.candidates.contract import Training
from ml.recommend.candidates.sequence import SequenceModel, Sequences
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.histories import History
from tests.ml.recommend.candidates.test_methods import catalogue

SMALL = RecommenderConfig(
    sequence_min_customers=50, sequence_factors=16, sequence_negatives=8, sequence_dropout=0.1, sequence_epochs=200, sequence_rate=0.02
)
DAY = 86_400_000_000


def ring(customers: int = 200, products: int = 12) -> History:
    """Customers who walk round a ring of products, some of them long since; a few have one product or none."""
    rng = np.random.default_rng(7)
    lengths = np.concatenate([[0, 1], rng.integers(2, 9, customers - 2)])
    steps = np.concatenate([np.arange(length) for length in lengths])
    start = np.repeat(rng.integers(0, products, customers), lengths)
    at = (1000 - steps) * DAY
    number = ((start - steps) % products).astype(np.int32)
    return history_of(customers, products, np.concatenate([[0], np.cumsum(lengths)]), number, steps, at)


def history_of(customers: int, products: int, indptr: np.ndarray, number: np.ndarray, steps: np.ndarray, at: np.ndarray) -> History:
    """Of which only the products and the times of the purchases matter."""
    ones = np.ones(len(steps))
    of = {"evidence": ones, "targets": ones, "target_days": ones, "event": ones.astype(np.int8)}
    of |= {"habit": ones, "orders_ago": ones, "orders_since": ones}
    times = dict.fromkeys(("first_at", "last_at", "first_target_at", "last_target_at"), at)
    of |= times | {"repeatable": np.zeros(products, bool)}
    return History(customers=customers, products=products, moment=1000 * DAY, indptr=indptr, product=number, steps=steps, **of)


def learned(config: RecommenderConfig, cache: Path) -> SequenceModel:
    model = SequenceModel(config)
    model.fit(Training(catalogue([""] * 12), ring(), np.ones(12), cache))
    return model


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> SequenceModel:
    return learned(SMALL, tmp_path_factory.mktemp("cache"))


def test_what_comes_next_is_likeliest(model):
    history = ring()
    scores = model.score(history)
    assert (scores[0] == 0).all(), "nothing is expected of a customer without a history"
    asked = np.flatnonzero(np.diff(history.indptr))
    expected = (history.product[history.indptr[asked]] + 1) % 12
    assert (scores[asked].argmax(1) == expected).mean() > 0.9
    assert scores.min() >= 0 and (scores[asked].max(1) == 1).all()


def test_the_gradient_is_that_of_the_corrected_sampled_softmax():
    model, history = SequenceModel(SMALL.model_copy(update={"sequence_dropout": 0.0})), ring()
    model.weights = {name: weight.requires_grad_() for name, weight in model._start(12).items()}
    model.weights["products"].data.mul_(20)
    negatives, correction = torch.tensor([0, 3, 3, 5, 11]), torch.linspace(-1, 1, 5)
    customers = np.flatnonzero(np.diff(history.indptr) > 1)
    found = model._gradients(history, negatives, correction, customers, 1)
    asked = Sequences.of(history, customers, 50)
    known, wanted = asked.inside[:, 1:], asked.products[:, 1:][asked.inside[:, 1:]]
    hidden = model._hidden(asked)[:, :-1][known]
    right = (hidden * model.weights["products"][wanted]).sum(1, keepdim=True)
    wrong = (hidden @ model.weights["products"][negatives].T - correction).masked_fill(wanted[:, None] == negatives, -math.inf)
    loss = (torch.cat([right, wrong], 1).logsumexp(1) - right[:, 0]).sum()
    for mine, theirs in zip(found, torch.autograd.grad(loss, list(model.weights.values())), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)


def test_threads_change_no_bit(model, tmp_path):
    other = learned(SMALL.model_copy(update={"threads": 1}), tmp_path)
    for name, array in model.arrays().items():
        np.testing.assert_array_equal(array, other.arrays()[name])
    np.testing.assert_array_equal(model.score(ring()), other.score(ring()))


def test_it_is_taken_up_as_it_was_left_and_follows_the_catalogue(model, tmp_path):
    other = SequenceModel(SMALL)
    other.restore({name: array.copy() for name, array in model.arrays().items()})
    history = ring()
    before = other.score(history)
    np.testing.assert_array_equal(before, model.score(history))
    # product 4 is gone, one is new in front, and its text is that of product 0
    fitted = np.array([-1, 0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11])
    texts = ["red apple", "red apple", "green pear", "blue plum", *(f"thing {i}" for i in range(8))]
    other.align(fitted, catalogue(texts), tmp_path)
    place = np.full(12, -1)
    place[fitted[1:]] = np.arange(1, 12)
    kept = place[history.product] >= 0
    counts = np.bincount(history.customer[kept], minlength=history.customers)
    steps = np.concatenate([np.arange(count) for count in counts])
    indptr = np.concatenate([[0], np.cumsum(counts)])
    moved = history_of(history.customers, 12, indptr, place[history.product[kept]].astype(np.int32), steps, history.last_at[kept])
    after = other.score(moved)
    same = np.flatnonzero((counts == np.diff(history.indptr)) & (counts > 0))
    order = np.argsort(before[same][:, fitted[1:]], axis=1)
    np.testing.assert_array_equal(np.take_along_axis(after[same][:, 1:], order, 1), np.sort(after[same][:, 1:], axis=1))
    new, old = other.weights["products"][0], other.weights["products"][1]
    assert torch.cosine_similarity(new, old, dim=0) > 0.8, "a new product is expected where products of its words are"


def test_a_fit_may_go_on_from_one_that_was_kept(model, tmp_path):
    kept = SequenceModel(SMALL)
    kept.restore({name: array.copy() for name, array in sorted(model.arrays().items())})
    found = []
    for earlier in (model, kept):
        other = SequenceModel(SMALL)
        other.fit(Training(catalogue([""] * 12), ring(), np.ones(12), tmp_path, [earlier]))
        found.append(other.score(ring()))
    np.testing.assert_array_equal(found[0], found[1])
    asked = np.flatnonzero(np.diff(ring().indptr))
    assert (found[0][asked].argmax(1) == (ring().product[ring().indptr[asked]] + 1) % 12).mean() > 0.9


def test_a_fit_goes_on_from_the_latest_that_knows_nothing_later(model, tmp_path):
    def fitted(*earlier: SequenceModel) -> dict[str, np.ndarray]:
        other = SequenceModel(SMALL)
        other.fit(Training(catalogue([""] * 12), ring(), np.ones(12), tmp_path, earlier))
        return other.arrays()

    def kept(until: int, scale: float = 1.0) -> SequenceModel:
        other = SequenceModel(SMALL)
        other.restore({name: scale * array for name, array in model.arrays().items()} | {"until": np.array([until])})
        return other

    moment = ring().moment
    unknown = {name: array.copy() for name, array in model.arrays().items() if name != "until"}
    silent, later, other_size = SequenceModel(SMALL), kept(moment + 1), kept(moment)
    silent.restore(unknown)
    other_size.weights["places"] = other_size.weights["places"][:10]
    cold, warm = fitted(), fitted(kept(moment))
    for name, array in fitted(later, silent, other_size).items():
        np.testing.assert_array_equal(array, cold[name], err_msg="weights that saw what is to be judged were gone on from")
    for name, array in fitted(kept(moment - 1, scale=0.5), kept(moment), later).items():
        np.testing.assert_array_equal(array, warm[name])
    assert not np.array_equal(cold["products"], warm["products"])


def test_few_customers_teach_nothing(tmp_path):
    model = learned(SMALL.model_copy(update={"sequence_min_customers": 1000}), tmp_path)
    assert not model.score(ring()).any()


def test_a_shop_without_texts_expects_nothing_of_new_products(model, tmp_path):
    other = SequenceModel(SMALL)
    other.restore({name: array.copy() for name, array in model.arrays().items()})
    other.align(np.array([*range(12), -1]), catalogue([""] * 13), tmp_path)
    history = ring()
    wider = replace(history, products=13)
    scores = other.score(wider)
    assert (scores[:, 12] == 0).all() and (scores.max(1)[1:] == 1).all()
