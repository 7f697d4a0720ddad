"""The network over characters: what it learns from a few hundred texts, repeats, keeps and withstands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ml.text import character_network
from ml.text.character_network import MAX_CHARS, CharacterNetwork, read_pieces
from ml.text.languages import Reading
from ml.text.reviews import LABELS
from ml.text.sentiment import SentimentModel
from ml.text.sentiment_config import SentimentConfig
from tests.ml.text.review_snapshot import review, write

pytestmark = pytest.mark.slow

GOODS = ("手机", "衣服", "苹果", "书", "酒店")
PRAISE, BLAME = ("很好用", "非常喜欢", "质量不错"), ("太差了", "要退货", "很失望")


def opinions(count: int, between: str = "") -> tuple[list[str], np.ndarray]:
    """Texts of one praise or blame, turned round where '不是' (not so) comes before it, and something between."""
    rng = np.random.default_rng(3)
    texts, labels = [], []
    for number in range(count):
        is_good, is_turned = rng.integers(2, size=2)
        words = PRAISE if is_good != is_turned else BLAME
        texts.append(f"这个{rng.choice(GOODS)}{'不是' if is_turned else '真的'}{between}{rng.choice(words)}{number}")
        labels.append(2 if is_good else 0)
    return texts, np.array(labels)


@pytest.fixture(scope="module")
def learned() -> CharacterNetwork:
    return CharacterNetwork.fit(*opinions(500), np.ones(500), chars=10**9, seed=1)


def test_what_turns_an_opinion_round_is_learned(learned: CharacterNetwork) -> None:
    texts = ["这个酒店真的很失望", "这个酒店不是很失望", "这个书真的很好用", "这个书不是很好用"]
    assert learned.logits(texts, threads=1).argmax(axis=1).tolist() == [0, 2, 2, 0]


def test_the_same_seed_gives_the_same_weights_and_saving_loses_nothing(tmp_path: Path) -> None:
    texts, labels = opinions(80)
    before, fitted = torch.get_num_threads(), []
    for seed, threads in ((1, 1), (1, 3), (2, 3)):
        torch.set_num_threads(threads)
        fitted.append(CharacterNetwork.fit(texts, labels, np.ones(len(labels)), chars=10**9, seed=seed))
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    first, again, other = fitted
    assert first.weights() == again.weights() != other.weights()
    first.save(tmp_path)
    loaded = CharacterNetwork.load(tmp_path)
    assert loaded.weights() == first.weights() and [file.suffix for file in tmp_path.iterdir()] == [".safetensors"]
    np.testing.assert_array_equal(loaded.logits(texts, 1), first.logits(texts, 1))


def test_a_text_has_the_same_logits_whatever_is_asked_beside_it(learned: CharacterNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    texts, _ = opinions(50)
    alone = np.concatenate([learned.logits([text], threads=1) for text in texts])
    np.testing.assert_array_equal(learned.logits(texts, threads=2), alone)
    monkeypatch.setattr(character_network, "TEXTS_A_TURN", 7)
    np.testing.assert_array_equal(learned.logits(texts, threads=2), alone)
    assert learned.logits([], threads=2).shape == (0, len(LABELS))


def test_pieces_of_a_text_depend_on_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["质量很好", "", "Ok", "İ", "\ud800 x", "很" * 10_000]
    pieces, bounds = read_pieces(texts)
    assert np.diff(bounds).tolist() == [5, 1, 3, 3, 4, MAX_CHARS + 2]
    for row, text in enumerate(texts):
        np.testing.assert_array_equal(pieces[bounds[row] : bounds[row + 1]], read_pieces([text])[0])
    monkeypatch.setattr(character_network, "TEXTS_AT_ONCE", 2)
    np.testing.assert_array_equal(read_pieces(texts)[0], pieces)
    np.testing.assert_array_equal(read_pieces(["OK"])[0], read_pieces(["ok"])[0])
    assert read_pieces([])[0].shape == (0, 3) and read_pieces([])[1].tolist() == [0]


def test_hostile_texts_have_logits(learned: CharacterNetwork) -> None:
    texts = ["", "\x00\x07\x1b[31m\u202e", "\ud800", "差" * 1_000_000, "👍🏽" * 500, "\t\n\t", "'; drop table reviews; --"]
    assert np.isfinite(learned.logits(texts, threads=2)).all()


def test_a_night_shows_no_more_characters_than_it_can_afford(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, labels = opinions(400)
    shown: list[int] = []
    train = character_network._train

    def counted(*given: Any) -> None:
        bounds, batches = given[2], given[-1]
        shown.append(sum(int(np.diff(bounds)[rows].sum()) for rows in batches))
        train(*given)

    monkeypatch.setattr(character_network, "_train", counted)
    CharacterNetwork.fit(texts, labels, np.ones(len(labels)), chars=12_000, seed=1)
    assert 0.8 * 12_000 < sum(shown) < 1.2 * 12_000


def test_validation_gives_unsupported_scripts_to_the_network_where_it_knows_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(character_network, "MEMBERS", 1)
    texts, labels = opinions(1250, between="我觉得")  # longer than the pieces that the linear model sees: none gives a class away
    splits = ["train"] * 900 + ["validation"] * 200 + ["test"] * 150
    rows = [review(n, text, LABELS[label], split) for n, (text, label, split) in enumerate(zip(texts, labels, splits, strict=True))]
    features = write(tmp_path / "features", rows)
    config = SentimentConfig(min_reviews=10, threads=1, network_min_reviews=100)
    model = SentimentModel(config)
    model.fit(features, tmp_path)
    assert model.encoder is None and model.network is not None and model.chosen in ("network", "blend")
    assert model.choices[Reading.FLUENT].candidate == "linear"
    assert model.evaluate(features, "test", tmp_path).metrics[0].value > 0.95
    later = SentimentModel(config)
    later.refit(features, tmp_path, model)
    assert later.network is not None and later.version != model.version and later.choices == model.choices
    folder = tmp_path / "kept"
    folder.mkdir()
    later.save(folder)
    loaded = SentimentModel.load(folder)
    assert loaded.version == later.version
    asked = [*texts[:20], "fine"]
    np.testing.assert_array_equal(loaded.score(asked)[0], later.score(asked)[0])


def test_few_texts_in_unsupported_scripts_or_few_candidates_cost_no_network(tmp_path: Path) -> None:
    texts, labels = opinions(60)
    splits = ["train"] * 40 + ["validation"] * 10 + ["test"] * 10
    rows = [review(n, text, LABELS[label], split) for n, (text, label, split) in enumerate(zip(texts, labels, splits, strict=True))]
    features = write(tmp_path / "features", rows)
    for changed in ({}, {"network_min_reviews": 1, "candidates": ("linear",)}):
        model = SentimentModel(SentimentConfig(min_reviews=10, threads=1).model_copy(update=changed))
        model.fit(features, tmp_path)
        assert model.network is None and model.chosen == "linear"
    folder = tmp_path / "kept"
    folder.mkdir()
    model.save(folder)
    kept = (folder / "sentiment.json").read_text()
    (folder / "sentiment.json").write_text(kept.replace('"has_network": false,', ""))
    assert SentimentModel.load(folder).version == model.version, "models kept by versions without a network are read"
