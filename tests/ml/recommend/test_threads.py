"""Pieces of work side by side: in order, few ahead of whoever takes the results, each on one thread."""

from __future__ import annotations

import threading

import pytest
import torch

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
