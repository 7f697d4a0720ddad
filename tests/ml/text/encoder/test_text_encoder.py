"""Text vectors: what they mean, and that no text is encoded twice."""

from __future__ import annotations

import os

import numpy as np
import pytest

from ml.text.encoder.text_encoder import TextEncoder, encoder_id

TEXTS = [
    "A steel-string acoustic guitar",
    "espresso machine with milk frother",
    "",
    "Guitar, acoustic, six strings",
    "A steel-string acoustic guitar",
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def vectors(cache):
    return TextEncoder("", cache, threads=1).encode(TEXTS)


def test_vectors_have_length_one_and_meaning(vectors):
    assert vectors.shape == (5, 384) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors[[0, 1, 3, 4]], axis=1), 1, rtol=1e-5)
    assert not vectors[2].any()
    assert vectors[0] @ vectors[3] > 0.6 > 0.3 > vectors[0] @ vectors[1]
    np.testing.assert_array_equal(vectors[0], vectors[4])


def test_a_vector_does_not_depend_on_what_is_encoded_beside_it_or_by_how_many_threads(tmp_path, vectors):
    alone = TextEncoder("", tmp_path, threads=2).encode([TEXTS[3]])
    np.testing.assert_array_equal(alone[0], vectors[3])


def test_a_known_text_is_read_from_the_cache_bit_for_bit(cache, vectors, monkeypatch):
    encoder = TextEncoder("", cache, threads=1)
    monkeypatch.setattr(encoder, "_encode", lambda texts: pytest.fail(f"encoded again: {texts}"))
    np.testing.assert_array_equal(encoder.encode(list(reversed(TEXTS))), vectors[::-1])


def test_only_new_texts_are_encoded(cache, vectors, monkeypatch):
    encoder = TextEncoder("", cache, threads=1)
    seen = []
    encode = encoder._encode
    monkeypatch.setattr(encoder, "_encode", lambda texts: seen.extend(texts) or encode(texts))
    found = encoder.encode([*TEXTS, "吉他 🎸 '; drop table", "long " * 20_000])
    assert sorted(seen) == sorted(["吉他 🎸 '; drop table", "long " * 20_000])
    np.testing.assert_array_equal(found[:5], vectors)
    assert np.isfinite(found).all()


def test_fewer_layers_say_something_else_and_are_kept_apart(cache, vectors):
    early = TextEncoder("", cache, threads=1, max_tokens=64, layers=3)
    assert early.folder != TextEncoder("", cache, threads=1).folder
    np.testing.assert_allclose(np.linalg.norm(early.encode(TEXTS[:2]), axis=1), 1, rtol=1e-5)
    assert abs(early.encode(TEXTS[:1])[0] @ vectors[0]) < 0.9


def test_vectors_that_nobody_asked_for_in_two_months_are_deleted(tmp_path):
    encoder = TextEncoder("", tmp_path, threads=1)
    encoder.encode(["unused"])
    (unused,) = encoder.folder.glob("*.parquet")
    os.utime(unused, (0, 0))
    encoder.encode(["used"])
    (used,) = encoder.folder.glob("*.parquet")
    assert used != unused
    os.utime(used, (0, 0))
    encoder.encode(["used", "new"])
    assert used in encoder.folder.glob("*.parquet")


def test_nothing_to_encode_needs_no_encoder(tmp_path):
    assert not TextEncoder("", tmp_path, threads=1).encode(["", " "]).any()


def test_another_encoder_has_another_cache(tmp_path):
    assert encoder_id("") != encoder_id("somebody/another-encoder") and len(encoder_id("")) == 16
