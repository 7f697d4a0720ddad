"""The sentiment model on a few real reviews: what it refuses, reuses, repeats and withstands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open

from ml.nightly_model import BEFORE_TEST, EVERYTHING
from ml.text.calibration import calibrate, expected_calibration_error, macro_f1
from ml.text.encoder_classifier import EncoderClassifier, shuffled_batches
from ml.text.linear import LinearClassifier
from ml.text.reviews import LABELS, read_labelled, share_out
from ml.text.sentiment import SentimentModel, square_root_weights
from ml.text.sentiment_config import SentimentConfig

CONFIG = SentimentConfig(min_reviews=10, epochs=1, max_tokens=16, threads=1, linear_margin=1.0)
WORDS = {"negative": "broke at once, terrible", "neutral": "okay, nothing special", "positive": "wonderful, love it"}
CHINESE = {"negative": "质量太差了，退货", "neutral": "一般般，还可以", "positive": "非常好，很喜欢"}
READ: dict[str, Any] = {"max_chars": 512, "threads": 1, "seed": 20}


def review(number: int, text: str | None, label: str | None, split: str | None) -> dict[str, Any]:
    return {
        "review_id": f"r{number:03d}",
        "product_id": f"p{number % 5}",
        "text": text,
        "text_hash": f"h{number}",
        "label": label,
        "split": split,
        "reviewed_at": f"2026-01-{1 + number % 28:02d} {number % 24:02d}:00:00",
    }


def write(folder: Path, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    columns = "review_id varchar, product_id varchar, text varchar, text_hash varchar, label varchar, split varchar, reviewed_at timestamp"
    with duckdb.connect() as connection:
        connection.execute(f"create table reviews ({columns})")
        for row in rows:
            connection.execute("insert into reviews values (?, ?, ?, ?, ?, ?, ?)", list(row.values()))
        connection.execute(f"copy (select * from reviews order by review_id) to '{folder / 'reviews.parquet'}' (format parquet)")
    return folder


def shop(words: dict[str, str] = WORDS, upto: int = 60) -> list[dict[str, Any]]:
    splits = ["train"] * 36 + ["validation"] * 12 + ["test"] * 12
    return [review(n, f"{words[LABELS[n % 3]]} {n}", LABELS[n % 3], splits[n]) for n in range(upto)]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SentimentModel]:
    features = write(tmp_path_factory.mktemp("features"), shop())
    model = SentimentModel(CONFIG)
    model.fit(features, BEFORE_TEST, features)
    return features, model


def scores(folder: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(folder / "review_sentiment.parquet").to_pylist())


def test_a_shop_with_too_few_reviews_or_one_class_is_told_why(tmp_path: Path) -> None:
    few = write(tmp_path / "few", shop(upto=9))
    assert SentimentModel.why_not(few, CONFIG) == "9 rated reviews with text to train on, 10 are needed"
    happy = write(tmp_path / "happy", [row | {"label": "positive"} for row in shop()])
    assert SentimentModel.why_not(happy, CONFIG) == "all 36 rated reviews to train on are positive: nothing to tell apart"
    assert SentimentModel.why_not(write(tmp_path / "none", []), CONFIG) == "0 rated reviews with text to train on, 10 are needed"
    assert SentimentModel.why_not(write(tmp_path / "fine", shop()), CONFIG) is None


def test_the_same_seed_gives_the_same_model_and_saving_loses_nothing(fitted: tuple[Path, SentimentModel], tmp_path: Path) -> None:
    features, model = fitted
    again = SentimentModel(CONFIG)
    again.fit(features, BEFORE_TEST, features)
    assert again.version == model.version
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
        other.fit(features, EVERYTHING, features, warm_start=model)
    assert refitted.version == again.version != model.version
    assert refitted.seen.num_rows == 60 and refitted.calibration == model.calibration
    idle = SentimentModel(CONFIG)
    idle.fit(features, BEFORE_TEST, features, warm_start=model)
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
    other.fit(features, EVERYTHING, tmp_path, warm_start=model)
    assert other.predict(features, tmp_path / "fourth", tmp_path, previous=tmp_path / "first")["scored"] == 60


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


def test_text_is_cleaned_before_it_is_read(tmp_path: Path) -> None:
    features = write(tmp_path, [review(1, "\x00a\u202eb\n\n c" + "d" * 1000, "positive", "train")])
    assert read_labelled(features, ["train"], max_chars=9, threads=1, seed=1).texts == ["a b cd"]


def test_where_the_encoder_is_blind_the_linear_model_stands_in(tmp_path: Path) -> None:
    features = write(tmp_path / "features", shop(CHINESE))
    config = CONFIG.model_copy(update={"linear_margin": 0.02})
    model = SentimentModel(config)
    model.fit(features, BEFORE_TEST, tmp_path)
    assert isinstance(model.classifier, LinearClassifier) and model.classifier.vectorizer.analyzer == "char"
    assert model.evaluate(features, "test", tmp_path).metrics[0].value == 1.0
    refitted = SentimentModel(config)
    refitted.fit(features, EVERYTHING, tmp_path, warm_start=model)
    folder = tmp_path / "kept"
    folder.mkdir()
    refitted.save(folder)
    loaded = SentimentModel.load(folder)
    assert loaded.version == refitted.version
    np.testing.assert_array_equal(loaded.score(list(CHINESE.values()))[1], [0, 1, 2])


def test_two_classes_are_enough_for_the_linear_model() -> None:
    model = LinearClassifier.fit(["bad bad", "awful bad", "good", "very good"], np.array([0, 0, 2, 2]), 100)
    assert model.logits(["bad", "good"]).argmax(axis=1).tolist() == [0, 2]


def test_a_large_shop_is_sampled_by_class_and_by_age(tmp_path: Path) -> None:
    rows = [review(n, f"text {n}", "negative" if n % 10 == 0 else "positive", "train") for n in range(200)]
    for number, row in enumerate(rows):
        row["reviewed_at"] = f"2026-01-01 00:{number // 60:02d}:{number % 60:02d}"
    features = write(tmp_path, rows)
    sample = read_labelled(features, ["train"], limit=40, **READ)
    assert sample.class_counts.tolist() == [10, 0, 30]
    ids = sample.keys["review_id"].to_pylist()
    newest = [row["review_id"] for row in rows if row["label"] == "positive"][-15:]
    assert set(newest) <= set(ids) and ids == sorted(ids)
    assert read_labelled(features, ["train"], limit=40, **READ).keys.equals(sample.keys)
    rest = read_labelled(features, ["train"], seen=sample.keys, **READ)
    again = read_labelled(features, ["train"], seen=sample.keys, only_seen=True, **READ)
    assert len(rest) == 160 and again.keys.equals(sample.keys)


def test_shares_fill_up() -> None:
    assert share_out({"negative": 3, "neutral": 4, "positive": 5}, 100) == {"negative": 3, "neutral": 4, "positive": 5}
    shares = share_out({"negative": 100, "neutral": 0, "positive": 10_000}, 1_000)
    assert shares == {"negative": 91, "neutral": 0, "positive": 909}
    assert share_out({"negative": 2, "neutral": 10_000, "positive": 10_000}, 100) == {"negative": 1, "neutral": 50, "positive": 49}


def test_weights_are_of_mean_one_and_follow_square_roots() -> None:
    weights = square_root_weights(np.array([100, 400, 1600]))
    assert weights[0] / weights[1] == pytest.approx(2) and weights[1] / weights[2] == pytest.approx(2)
    assert (weights * [100, 400, 1600]).sum() / 2100 == pytest.approx(1)


def test_calibration_mends_overconfidence_and_rare_classes() -> None:
    rng = np.random.default_rng(5)
    truth = rng.choice(3, size=6000, p=[0.1, 0.1, 0.8])
    evidence = rng.normal(size=(6000, 3)) + 1.5 * np.eye(3)[truth]
    logits = 1.5 * evidence + np.log([0.1, 0.1, 0.8])  # the Bayes-optimal log-odds of this world
    overconfident = 4 * logits + np.array([0.0, 1.0, 0.0])
    calibration = calibrate(overconfident[:3000], truth[:3000])
    probabilities = calibration.probabilities(overconfident[3000:])
    before = np.exp(overconfident[3000:] - np.logaddexp.reduce(overconfident[3000:], axis=1)[:, None])
    assert expected_calibration_error(before, truth[3000:]) > 0.1 > 4 * expected_calibration_error(probabilities, truth[3000:])
    decided, plain = calibration.decide(probabilities), probabilities.argmax(axis=1)
    assert macro_f1(decided, truth[3000:], 3) > macro_f1(plain, truth[3000:], 3)


def test_batches_hold_every_row_once_and_little_padding() -> None:
    lengths = np.random.default_rng(1).integers(3, 128, size=1000)
    batches = list(shuffled_batches(lengths, 16, np.random.default_rng(2)))
    assert sorted(np.concatenate(batches).tolist()) == list(range(1000))
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.06 * lengths.sum()


def test_scores_do_not_depend_on_the_order_of_texts() -> None:
    classifier = EncoderClassifier.pretrained("", 16, seed=1)
    texts = ["short", "a somewhat longer text about strings", "mid length text"]
    np.testing.assert_array_equal(classifier.logits(texts, 8)[::-1], classifier.logits(texts[::-1], 8))
