"""The sentiment model on a few real reviews: what it refuses, reuses, repeats and withstands."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, get_args

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open

from ml.text.encoder.classifier import EncoderClassifier
from ml.text.encoder.pretrained import load_tokenizer
from ml.text.encoder.regimes import Regime
from ml.text.languages import Reader, Reading
from ml.text.linear import LinearClassifier
from ml.text.reviews import LABELS, read_labelled
from ml.text.sentiment import SentimentModel
from ml.text.sentiment_config import CANDIDATES, SentimentConfig
from tests.ml.text.review_snapshot import review, write

pytestmark = pytest.mark.slow

CONFIG = SentimentConfig(min_reviews=10, epochs=1, max_tokens=16, threads=1, candidates=("encoder",))
WORDS = {"negative": "broke at once, terrible", "neutral": "okay, nothing special", "positive": "wonderful, love it"}
CHINESE = {"negative": "质量太差了，退货", "neutral": "一般般，还可以", "positive": "非常好，很喜欢"}
READ: dict[str, Any] = {"max_chars": 512, "threads": 1, "seed": 20}


def shop(words: dict[str, str] = WORDS, upto: int = 60) -> list[dict[str, Any]]:
    splits = ["train"] * 36 + ["validation"] * 12 + ["test"] * 12
    return [review(n, f"{words[LABELS[n % 3]]} {n}", LABELS[n % 3], splits[n]) for n in range(upto)]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SentimentModel]:
    features = write(tmp_path_factory.mktemp("features"), shop())
    model = SentimentModel(CONFIG)
    model.fit(features, features)
    return features, model


def scores(folder: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(folder / "review_sentiment.parquet").to_pylist())


def test_a_shop_with_too_few_reviews_or_one_class_is_told_why(tmp_path: Path) -> None:
    few = write(tmp_path / "few", shop(upto=9))
    assert SentimentModel.unavailable_reason(few, CONFIG) == "9 rated reviews with text to train on, 10 are needed"
    happy = write(tmp_path / "happy", [row | {"label": "positive"} for row in shop()])
    assert SentimentModel.unavailable_reason(happy, CONFIG) == "all 36 rated reviews to train on are positive: nothing to tell apart"
    assert SentimentModel.unavailable_reason(write(tmp_path / "none", []), CONFIG) == "0 rated reviews with text to train on, 10 are needed"
    assert SentimentModel.unavailable_reason(write(tmp_path / "fine", shop()), CONFIG) is None


def test_the_same_seed_gives_the_same_model_and_saving_loses_nothing(fitted: tuple[Path, SentimentModel], tmp_path: Path) -> None:
    features, model = fitted
    again = SentimentModel(CONFIG.model_copy(update={"threads": 2}))
    again.fit(features, features)
    assert again.version == model.version and again.encoder and model.encoder
    assert again.encoder.weights() == model.encoder.weights() and again.linear.weights() == model.linear.weights()
    np.testing.assert_array_equal(again.score(["fine", "bad"])[0], model.score(["fine", "bad"])[0])
    folder = tmp_path / "kept"
    folder.mkdir()
    model.save(folder)
    loaded = SentimentModel.load(folder)
    assert loaded.version == model.version and loaded.seen.equals(model.seen)
    np.testing.assert_array_equal(loaded.score(["fine", "bad"])[0], model.score(["fine", "bad"])[0])
    with safe_open(folder / "model.safetensors", "np") as weights:
        assert len(list(weights.keys())) > 100
    assert {file.suffix for file in folder.iterdir()} <= {".json", ".safetensors", ".parquet", ".txt"}


def test_judging_counts_every_review_and_weighs_classes_alike(fitted: tuple[Path, SentimentModel]) -> None:
    features, model = fitted
    evaluation = model.evaluate(features, "test", features)
    figures = {metric.name: metric for metric in evaluation.metrics}
    assert evaluation.metrics[0].name == "macro_f1" and figures["macro_f1"].baseline == "tfidf"
    assert list(evaluation.unit_ids) == [f"r{n:03d}" for n in range(48, 60)]
    assert evaluation.unit_scores.mean() == pytest.approx(figures["balanced_accuracy"].value)
    assert evaluation.baselines["tfidf"].mean() == pytest.approx(figures["balanced_accuracy"].baseline_value)
    assert figures["macro_f1"].baseline_value == 1.0, "the words give the class away, which a linear model sees at once"


def test_going_on_learns_only_what_is_new_and_repeats_exactly(fitted: tuple[Path, SentimentModel]) -> None:
    features, model = fitted
    assert model.seen.num_rows == 36, "validation and test reviews were not trained on"
    refitted, again = SentimentModel(CONFIG), SentimentModel(CONFIG)
    for other in (refitted, again):
        other.refit(features, features, model)
    assert refitted.version == again.version != model.version
    assert refitted.seen.num_rows == 60 and refitted.choices == model.choices
    idle = SentimentModel(CONFIG)
    idle.fit(features, features, warm_start=model)
    assert idle.version == model.version, "nothing new to learn leaves the model as it was"


def test_only_new_and_changed_reviews_are_scored(fitted: tuple[Path, SentimentModel], tmp_path: Path) -> None:
    features, model = fitted
    assert model.predict(features, tmp_path / "first", tmp_path) == {"review_sentiment": 60, "scored": 60}
    assert model.predict(features, tmp_path / "second", tmp_path, previous=tmp_path / "first") == {"review_sentiment": 60, "scored": 0}
    assert scores(tmp_path / "second") == scores(tmp_path / "first")
    changed = [*shop(), review(60, "new and unrated", None, None)]
    changed[3] |= {"text": "another text", "text_hash": "another"}
    later = write(tmp_path / "later", changed)
    assert model.predict(later, tmp_path / "third", tmp_path, previous=tmp_path / "first") == {"review_sentiment": 61, "scored": 2}
    other = SentimentModel(CONFIG)
    other.refit(features, tmp_path, model)
    assert other.predict(features, tmp_path / "fourth", tmp_path, previous=tmp_path / "first")["scored"] == 60


def test_another_models_scores_are_made_anew_product_by_product(fitted: tuple[Path, SentimentModel], tmp_path: Path) -> None:
    features, model = fitted
    model.predict(features, tmp_path / "0", tmp_path)
    other = SentimentModel(CONFIG.model_copy(update={"rescored_reviews": 13}))
    other.refit(features, tmp_path, model)
    for night, (scored, older) in enumerate([(24, 36), (24, 12), (12, 0), (0, 0)], 1):
        assert other.predict(features, tmp_path / str(night), tmp_path, previous=tmp_path / str(night - 1))["scored"] == scored
        rows = scores(tmp_path / str(night))
        left = [row for row in rows if row["model_version"] == model.version]
        assert len(left) == older and {row["nights_since"] for row in left} == ({night} if left else set())
        assert len({row["product_id"] for row in left}) == older // 12, "whole products, as long as fewer than 13 are scored"
    assert other.predict(features, tmp_path / "anew", tmp_path)["scored"] == 60 and scores(tmp_path / "anew") == rows
    assert SentimentModel(CONFIG).config.rescored_reviews > 60, "a small shop's reviews are all scored by one model"


def test_tickets_are_read_by_the_same_model(fitted: tuple[Path, SentimentModel], tmp_path: Path) -> None:
    features, model = fitted
    asked = tmp_path / "asked"
    shutil.copytree(features, asked)
    duckdb.sql("""
        SELECT 't' || n AS ticket_id, NULL::VARCHAR AS product_id, text, sha256(text) AS text_hash, TIMESTAMP '2026-01-01' AS opened_at
        FROM (VALUES (1, 'terrible, broke at once'), (2, 'love it, wonderful'), (3, '')) t(n, text)""").write_parquet(
        str(asked / "tickets.parquet")
    )
    rows = {"review_sentiment": 60, "ticket_sentiment": 2}
    assert model.predict(asked, tmp_path / "first", tmp_path) == rows | {"scored": 62}
    assert model.predict(asked, tmp_path / "second", tmp_path, previous=tmp_path / "first") == rows | {"scored": 0}
    first, second = pq.read_table(tmp_path / "second" / "ticket_sentiment.parquet").to_pylist()
    assert (first["ticket_id"], first["sentiment"]) == ("t1", "negative")
    assert (second["ticket_id"], second["sentiment"]) == ("t2", "positive")


def test_tickets_about_no_product_take_their_turn_one_by_one(fitted: tuple[Path, SentimentModel], tmp_path: Path) -> None:
    features, model = fitted
    asked = tmp_path / "asked"
    shutil.copytree(features, asked)
    duckdb.sql("""
        SELECT 't' || n AS ticket_id, NULL::VARCHAR AS product_id, 'where is it ' || n AS text, 'h' || n AS text_hash
        FROM range(20) t(n)""").write_parquet(str(asked / "tickets.parquet"))
    model.predict(asked, tmp_path / "0", tmp_path)
    other = SentimentModel(CONFIG.model_copy(update={"rescored_reviews": 13}))
    other.refit(features, tmp_path, model)
    other.predict(asked, tmp_path / "1", tmp_path, previous=tmp_path / "0")
    versions = pq.read_table(tmp_path / "1" / "ticket_sentiment.parquet")["model_version"].to_pylist()
    assert (versions.count(other.version), versions.count(model.version)) == (13, 7)


def test_probabilities_are_probabilities(fitted: tuple[Path, SentimentModel], tmp_path: Path) -> None:
    features, model = fitted
    model.predict(features, tmp_path, tmp_path)
    rows = scores(tmp_path)
    assert [row["review_id"] for row in rows] == sorted(row["review_id"] for row in rows)
    for row in rows:
        assert row["p_negative"] + row["p_neutral"] + row["p_positive"] == pytest.approx(1, abs=1e-5)
        assert row["score"] == pytest.approx(row["p_positive"] - row["p_negative"], abs=2e-6)
        assert row["sentiment"] in LABELS and row["model_version"] == model.version


def test_hostile_texts_are_scored_or_left_out_and_break_nothing(fitted: tuple[Path, SentimentModel], tmp_path: Path) -> None:
    _, model = fitted
    texts = {
        1: "love it " * 12_500,
        2: "\u4e00" * 100_000,
        3: "x" * 100_000,
        4: "\x00\x07love\x1b[31m it\u202e",
        5: "👍🏽" * 500,
        6: "'; drop table reviews; --",
        7: "[CLS] [SEP] [MASK] [PAD]",
        8: "",
        9: None,
        10: "\u200b\u202e \t\x00",
    }
    features = write(tmp_path / "hostile", [review(n, text, None, None) for n, text in texts.items()])
    assert model.predict(features, tmp_path / "out", tmp_path) == {"review_sentiment": 7, "scored": 7}
    assert all(np.isfinite(row["score"]) for row in scores(tmp_path / "out"))


def test_what_the_encoder_cannot_read_goes_to_the_linear_model_and_saves_its_training(tmp_path: Path) -> None:
    features = write(tmp_path / "features", shop(CHINESE))
    config = CONFIG.model_copy(update={"candidates": CANDIDATES})
    model = SentimentModel(config)
    model.fit(features, tmp_path)
    assert model.encoder is None and model.chosen == "linear"
    assert model.evaluate(features, "test", tmp_path).metrics[0].value == 1.0
    refitted = SentimentModel(config)
    refitted.refit(features, tmp_path, model)
    folder = tmp_path / "kept"
    folder.mkdir()
    refitted.save(folder)
    loaded = SentimentModel.load(folder)
    assert loaded.version == refitted.version
    np.testing.assert_array_equal(loaded.score(list(CHINESE.values()))[1], [0, 1, 2])


def test_one_shop_of_two_languages_asks_each_who_can_read_it(tmp_path: Path) -> None:
    both = [row | {"review_id": f"zh{row['review_id']}"} for row in shop(CHINESE)] + shop()
    model = SentimentModel(CONFIG)
    model.fit(write(tmp_path, both), tmp_path)
    assert model.encoder is not None and model.seen.num_rows == 36, "the encoder learned from the English half alone"
    assert {reading: choice.candidate for reading, choice in model.choices.items()} == {
        Reading.UNSUPPORTED: "linear",
        Reading.FOREIGN: "encoder",
        Reading.FLUENT: "encoder",
    }
    assert model.score(list(CHINESE.values()))[1].tolist() == [0, 1, 2]
    asked = ["love it", *CHINESE.values(), "broke"]
    np.testing.assert_array_equal(model.score(asked)[0][[0, 4]], model.score(["love it", "broke"])[0])


def test_readings_of_a_text() -> None:
    tokenizer = load_tokenizer("")
    reader = Reader(tokenizer)
    texts = [
        "I have used these strings for years and they sound wonderful.",
        "Produto chegou rapidamente, embalagem muito caprichada, recomendo.",
        "质量太差了，退货",
        "Очень доволен покупкой",
        "👍👍 10/10 !!!",
    ]
    pieces = np.array([len(row) for row in tokenizer(texts)["input_ids"]])
    assert reader.scripts == {"LATIN"}
    assert [Reading(reading).name for reading in reader.readings(texts, pieces)] == ["FLUENT", "FOREIGN", *["UNSUPPORTED"] * 3]
    assert reader.is_known(texts).tolist() == [True, True, False, False, False]


@pytest.mark.parametrize("regime", get_args(Regime))
def test_every_regime_trains_few_or_many_weights_goes_on_and_is_kept(regime: Regime, tmp_path: Path) -> None:
    features = write(tmp_path / "features", shop())
    config = CONFIG.model_copy(update={"regime": regime, "epochs": 12, "batch_size": 8})
    model = SentimentModel(config)
    model.fit(features, tmp_path)
    fresh = EncoderClassifier.pretrained("", 16, config.seed, regime=regime)
    assert model.encoder is not None and model.encoder.weights() != fresh.weights()
    texts = ["love it, wonderful", "terrible, broke at once"]
    folder = tmp_path / "kept"
    folder.mkdir()
    model.save(folder)
    assert {file.suffix for file in folder.iterdir()} <= {".json", ".safetensors", ".parquet", ".txt", ".md"}
    loaded = SentimentModel.load(folder)
    assert loaded.version == model.version
    np.testing.assert_array_equal(loaded.score(texts)[0], model.score(texts)[0])
    later = SentimentModel(config)
    later.refit(features, tmp_path, loaded)
    assert later.encoder is not None and later.seen.num_rows == 60 and later.version != model.version
    if regime not in ("full", "head"):
        with safe_open(folder / "adapter_model.safetensors", "np") as weights:
            assert "word_embeddings" not in " ".join(weights.keys())


def test_stars_are_learned_where_they_agree_with_the_labels(tmp_path: Path) -> None:
    stars = {"negative": 2, "neutral": 3, "positive": 4}
    rows = [{**row, "rating": stars[row["label"]]} for row in shop()]
    features = write(tmp_path, rows)
    read = read_labelled(features, ["train"], **READ)
    assert read.stars.tolist() == [stars[LABELS[label]] - 1 for label in read.labels]
    assert read.targets(of_stars=True).tolist() == read.stars.tolist()
    model = SentimentModel(CONFIG)
    model.fit(features, tmp_path)
    assert model.encoder is not None and model.encoder.of_stars
    contradicted = write(tmp_path / "contradicted", [{**row, "rating": 5} for row in rows])
    assert set(read_labelled(contradicted, ["train"], **READ).stars.tolist()) == {-1, 4}


@pytest.mark.parametrize("suspect", ["negative", "positive"])
def test_a_suspect_review_pulls_less(suspect: str, tmp_path: Path) -> None:
    """Half of the reviews that praise a finish contradict the other half: who is not suspect decides what the word means."""
    words, trusted = "gleaming finish", 2 if suspect == "negative" else 0
    rows = [review(100 + n, f"{words} {n}", "positive" if n % 2 else "negative", "train") for n in range(12)]
    features = write(tmp_path, [row | {"weight": 0.25 if row["label"] == suspect else 1.0} for row in rows])
    read = read_labelled(features, ["train"], **READ)
    assert read.rows(np.flatnonzero(read.labels == trusted)).weights.tolist() == [1.0] * 6 and (read + read).weights.sum() == 15
    linear = LinearClassifier.fit(read.texts, read.labels, read.weights, 4.0)
    encoder = EncoderClassifier.pretrained("", 16, seed=1, regime="head")
    epochs = [np.arange(12)] * 30
    encoder.train(encoder.tokenize(read.texts), read.labels, read.weights, epochs, learning_rate=1e-4, batch_size=12, seed=1)
    for logits in (linear.logits([words])[0], encoder.logits([words], 1)[0]):
        assert logits[trusted] > logits[2 - trusted] + 0.2
