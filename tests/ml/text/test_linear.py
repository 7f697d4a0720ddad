"""The linear model and the n-grams it reads."""

from __future__ import annotations

import numpy as np
import pytest

from ml.text import ngrams
from ml.text.linear import LinearClassifier
from ml.text.ngrams import count_ngrams


def test_two_classes_are_enough_for_the_linear_model() -> None:
    model = LinearClassifier.fit(["bad bad", "awful bad", "good", "very good"], np.array([0, 0, 2, 2]), np.ones(4), 2.0)
    assert model.logits(["bad", "good"]).argmax(axis=1).tolist() == [0, 2]
    assert model.shown.tolist() == [True, False, True]


def test_n_grams_are_counted_text_by_text(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["Good good strings", "good strings", "", "质量好", "a\nb", "\ud800 broken"]
    counts = count_ngrams(texts)
    assert counts.shape[0] == 6 and counts[2].nnz == 0
    for row, text in enumerate(texts):
        assert (counts[row] != count_ngrams([text])).nnz == 0, "a text's features depend on nothing else"
    assert (count_ngrams(["GOOD Strings"]) != counts[1]).nnz == 0
    monkeypatch.setattr(ngrams, "CHARS_AT_ONCE", 20)
    assert (count_ngrams(texts) != counts).nnz == 0 and len(list(ngrams.count_in_parts(texts))) > 1
    assert count_ngrams([]).shape == (0, ngrams.BUCKETS)
    # 质, 量, 好, 质量, 量好, 质量好 and those with a blank before or after
    assert counts[3].sum() >= 6 and counts[3].multiply(counts[0]).nnz == 0
    # good, strings, good strings; pieces of 3 to 5 of ' good ' and ' strings ', all of them the opening too
    assert counts[1].sum() == 2 * (3 + (4 + 3 + 2) + (7 + 6 + 5))


def test_the_opening_is_told_from_what_follows() -> None:
    counts = count_ngrams(["a", "a ! b", "b ! a", "... a ! b", "4.5 b ! a", "word " * 100])
    kinds = counts[0].indices
    assert len(kinds) == 2 * 2, "the word and the piece ' a ', here and in the opening"
    for row, has in ((1, 4), (2, 2), (3, 4), (4, 2)):
        assert np.isin(kinds, counts[row].indices).sum() == has, "the first sentence that has a word; a mark within a number ends none"
    repeated = counts[5].toarray()
    assert set(repeated[repeated > 0].astype(int)) == {100, 99, 16, 15}, "an opening has 80 characters at most"
    texts = ["Bad. Good at first", "Good. Bad at first"] * 4
    model = LinearClassifier.fit(texts, np.array([0, 2] * 4), np.ones(8), 4.0)
    assert model.logits(["Bad. Good as well", "Good. Bad as well"]).argmax(axis=1).tolist() == [0, 2]
