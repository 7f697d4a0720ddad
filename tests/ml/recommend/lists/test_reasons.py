"""The sentences of the lists: every language has every one of them, and missing titles never leave a hole."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from tiny_snapshots import write_snapshot

from ml.recommend.data.histories import EVENT_TYPES
from ml.recommend.data.snapshot import Snapshot
from ml.recommend.lists.reasons import SENTENCES, Reasons

TITLED, IN_CATEGORY, BARE = range(3)


@pytest.fixture
def reasons(tmp_path, config):
    products = {"p0": {"title": " Long\n" + "x" * 100, "category": "Food > Tea"}, "p1": {"title": " ", "category": "Food > Tea"}, "p2": {}}
    catalogue = Snapshot(write_snapshot(tmp_path / "features", [], products), config).catalogue
    return lambda language="en": Reasons(catalogue, language)


def one(reasons: Reasons, strategy: str, product: int, because: int = -1, event: str = "view") -> str:
    row = [np.array([value]) for value in (product, because, EVENT_TYPES.index(event))]
    (sentence,) = reasons.sentences(pa.array([strategy]), *row).to_pylist()
    return sentence


def test_every_language_has_the_same_keys_and_each_key_a_sentence_without_words() -> None:
    assert set(SENTENCES) == {"en", "zh"}
    for templates in SENTENCES.values():
        assert set(templates) == set(SENTENCES["en"]) >= {"other", "pinned", "exploration", *(f"because.{event}" for event in EVENT_TYPES)}
        for key, sentences in templates.items():
            assert "{" not in sentences[-1], key
            named = {word for sentence in sentences for word in re.findall(r"\{(.*?)\}", sentence)}
            assert named <= {"title", "category", "past_title", "past_category"}, key
    for key, sentences in SENTENCES["en"].items():
        words = [re.findall(r"\{(.*?)\}", sentence) for sentence in sentences]
        assert words == [re.findall(r"\{(.*?)\}", sentence) for sentence in SENTENCES["zh"][key]], key


def test_the_most_telling_sentence_whose_words_are_known(reasons) -> None:
    english = reasons()
    assert one(english, "collaborative", BARE, TITLED) == "Because you looked at Long " + "x" * 74 + "…"
    assert one(english, "content", BARE, IN_CATEGORY, "purchase") == "Because of what you bought in Tea"
    assert one(english, "content", BARE, BARE, "cart") == "Because of what you put in your cart"
    assert one(english, "content", BARE) == "Chosen for you"
    assert one(english, "something new", TITLED) == "Chosen for you"
    assert one(english, "popular_in_category", IN_CATEGORY) == "Popular in Tea"
    assert one(english, "popular_in_category", BARE) == "Popular now"
    assert one(english, "buy_again", IN_CATEGORY, IN_CATEGORY) == "Time to buy again from Tea?"
    assert one(english, "pinned", TITLED, TITLED) == "Recommended by the shop"


def test_chinese_sentences(reasons) -> None:
    chinese = reasons("zh")
    assert one(chinese, "collaborative", BARE, IN_CATEGORY, "purchase") == "因为您买过“Tea”类商品"
    assert one(chinese, "segment_popular", BARE) == "与您相似的顾客都喜欢"


def test_rows_keep_their_order_whatever_their_sentences(reasons) -> None:
    strategies = pa.array(["popular", "pinned", "collaborative", "popular", "segment_popular", "collaborative"])
    products, because = np.zeros(6, np.int64), np.array([-1, -1, IN_CATEGORY, -1, -1, BARE])
    events = np.array([EVENT_TYPES.index(event) for event in ("view", "view", "review", "view", "view", "wishlist")])
    assert reasons().sentences(strategies, products, because, events).to_pylist() == [
        "Popular now",
        "Recommended by the shop",
        "Because of what you reviewed in Tea",
        "Popular now",
        "Popular with shoppers like you",
        "Because of what you wished for",
    ]
    assert reasons().sentences(pa.array([], pa.string()), *(np.empty(0, np.int64),) * 3).to_pylist() == []
