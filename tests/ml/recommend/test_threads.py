"""Pieces of work side by side: in order, few ahead of whoever takes the results, each on one thread. And that neither threads nor, but
for products of vectors, the size of the pieces change a bit."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from tiny_snapshots import two_tastes, write_snapshot

from ml.recommend.candidates.als import Als
from ml.recommend.candidates.content import Content
from ml.recommend.candidates.fitting import GENERATORS, fit_generators
from ml.recommend.candidates.sequence import SequenceModel
from ml.recommend.data.customers import active_customers
from ml.recommend.data.histories import read_history
from ml.recommend.data.snapshot import Snapshot
from ml.recommend.threads import AHEAD, side_by_side


def test_results_come_in_the_order_of_the_pieces_whichever_is_done_first():
    second_is_done = threading.Event()

    def work(piece: int) -> int:
        if piece == 0:
            assert second_is_done.wait(30)
        if piece == 1:
            second_is_done.set()
        return 10 * piece

    assert list(side_by_side(work, range(9), 2)) == [10 * piece for piece in range(9)]
    assert list(side_by_side(work, [], 2)) == []


def test_few_pieces_are_begun_before_their_turn():
    begun: list[int] = []
    results = side_by_side(lambda piece: begun.append(piece) or piece, range(1000), 2)
    assert next(results) == 0
    assert len(begun) <= 1 + 2 * AHEAD
    results.close()
    assert len(begun) <= 1 + 2 * AHEAD


def test_torch_has_one_thread_within_and_its_own_number_again_afterwards():
    before = torch.get_num_threads()
    assert set(side_by_side(lambda _: torch.get_num_threads(), range(8), 2)) == {1}
    assert torch.get_num_threads() == before


def test_what_goes_wrong_in_a_piece_is_raised():
    with pytest.raises(ZeroDivisionError):
        list(side_by_side(lambda piece: 1 // piece, [2, 1, 0, 1], 2))


def test_no_generator_depends_on_threads_nor_most_on_who_else_is_asked(tmp_path, config):
    """Every kind of generator; their products of vectors are BLAS's, whose last digits depend on the number of rows."""
    products = {
        f"p{p:03d}": {
            "title": f"Thing {p}",
            "category": f"Kind {p % 3}",
            "text": f"thing of kind {p % 3} and {p}",
            "repeatable": p % 2 == 0,
        }
        for p in range(30)
    }
    features = write_snapshot(tmp_path / "features", two_tastes(), products)
    config = config.model_copy(update={"sequence_min_customers": 20, "sequence_factors": 8, "sequence_epochs": 2, "als_factors": 8})
    before, seen, kept = torch.get_num_threads(), set(), []
    for most in (config.ease_max_products, 10):  # beyond it ALS stands in for EASE
        of_threads = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            told = config.model_copy(update={"threads": threads, "ease_max_products": most})
            snapshot = Snapshot(features, told)
            kept = fit_generators(snapshot, tmp_path, None, 60.0, told)
            of_threads.append({c.name: {name: array.tobytes() for name, array in c.arrays().items()} for c in kept})
        assert of_threads[0] == of_threads[1]
        seen |= {type(generator) for generator in kept}
        asked = read_history(snapshot, active_customers(snapshot))
        for generator in kept:
            if not isinstance(generator, Als | Content | SequenceModel):
                alone = [generator.score(asked.rows(row, row + 1)) for row in range(asked.customers)]
                np.testing.assert_array_equal(np.concatenate(alone), generator.score(asked), generator.name)
    torch.set_num_threads(before)
    assert seen == set(GENERATORS)
