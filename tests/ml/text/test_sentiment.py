"""The sentiment model on a few real reviews: what it refuses, reuses, repeats and withstands."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, get_args

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from scipy.special import softmax
from transformers import pipeline

from ml.nightly_model import BEFORE_TEST, EVERYTHING
from ml.text import ngrams
from ml.text.budget import affordable_tokens, plan_epochs
from ml.text.calibration import calibrate, calibration_error_by_chance, expected_calibration_error, macro_f1
from ml.text.choice import NEVER_SURE, choose
from ml.text.encoder_classifier import EncoderClassifier, for_scoring, shuffled_batches
from ml.text.languages import Reader, Reading
from ml.text.linear import LinearClassifier
from ml.text.ngrams import count_ngrams
from ml.text.pretrained import load_tokenizer
from ml.text.regimes import Regime
from ml.text.reviews import LABELS, class_log_probabilities, read_labelled, share_out
from ml.text.sentiment import SentimentModel
from ml.text.sentiment_config import CANDIDATES, SentimentConfig
from tests.ml.text.review_snapshot import review, write

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
    assert refitted.seen.num_rows == 60 and refitted.choices == model.choices
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


def test_what_the_encoder_cannot_read_goes_to_the_linear_model_and_saves_its_training(tmp_path: Path) -> None:
    features = write(tmp_path / "features", shop(CHINESE))
    config = CONFIG.model_copy(update={"candidates": CANDIDATES})
    model = SentimentModel(config)
    model.fit(features, BEFORE_TEST, tmp_path)
    assert model.encoder is None and model.chosen == "linear"
    assert model.evaluate(features, "test", tmp_path).metrics[0].value == 1.0
    refitted = SentimentModel(config)
    refitted.fit(features, EVERYTHING, tmp_path, warm_start=model)
    folder = tmp_path / "kept"
    folder.mkdir()
    refitted.save(folder)
    loaded = SentimentModel.load(folder)
    assert loaded.version == refitted.version
    np.testing.assert_array_equal(loaded.score(list(CHINESE.values()))[1], [0, 1, 2])


def test_one_shop_of_two_languages_asks_each_who_can_read_it(tmp_path: Path) -> None:
    both = [row | {"review_id": f"zh{row['review_id']}"} for row in shop(CHINESE)] + shop()
    model = SentimentModel(CONFIG)
    model.fit(write(tmp_path, both), BEFORE_TEST, tmp_path)
    assert model.encoder is not None and model.seen.num_rows == 36, "the encoder learned from the English half alone"
    assert {reading: choice.candidate for reading, choice in model.choices.items()} == {
        Reading.UNREAD: "linear",
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
    assert [Reading(reading).name for reading in reader.readings(texts, pieces)] == ["FLUENT", "FOREIGN", "UNREAD", "UNREAD", "UNREAD"]
    assert reader.is_known(texts).tolist() == [True, True, False, False, False]


@pytest.mark.parametrize("regime", get_args(Regime))
def test_every_regime_trains_few_or_many_weights_goes_on_and_is_kept(regime: Regime, tmp_path: Path) -> None:
    features = write(tmp_path / "features", shop())
    config = CONFIG.model_copy(update={"regime": regime, "epochs": 12, "batch_size": 8})
    model = SentimentModel(config)
    model.fit(features, BEFORE_TEST, tmp_path)
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
    later.fit(features, EVERYTHING, tmp_path, warm_start=loaded)
    assert later.encoder is not None and later.seen.num_rows == 60 and later.version != model.version
    if regime not in ("full", "head"):
        with safe_open(folder / "adapter_model.safetensors", "np") as weights:
            assert "word_embeddings" not in " ".join(weights.keys())


def test_the_head_reads_the_mean_of_a_texts_own_tokens_as_transformers_pipeline_does() -> None:
    classifier = EncoderClassifier.pretrained("", 16, seed=1)
    model, texts = classifier.model, ["short", "a somewhat longer text about strings"]
    short, long = classifier.tokenize(texts)
    ids = torch.tensor([short + [0] * (len(long) - len(short)), long])
    with torch.inference_mode():
        batch = model(input_ids=ids, attention_mask=(ids > 0).long()).logits
        alone = [model.classifier(model.encoder(torch.tensor([row]))[0].mean(dim=1))[0] for row in (short, long)]
    torch.testing.assert_close(batch, torch.stack(alone), atol=1e-5, rtol=1e-4)
    answers = pipeline("text-classification", model=model, tokenizer=classifier.tokenizer)(texts, top_k=None, function_to_apply="none")
    scores = [[next(one["score"] for one in answer if one["label"] == label) for label in LABELS] for answer in answers]
    np.testing.assert_allclose(scores, batch.numpy(), atol=1e-5)


@pytest.mark.parametrize("regime", ["full", "prefix"])
def test_what_is_asked_for_scores_answers_as_the_model_does(regime: Regime, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = EncoderClassifier.pretrained("", 64, seed=1, regime=regime)
    texts = ["", "short", "a somewhat longer text about strings, frets and a neck that is too thick", "long " * 100]
    rounded = for_scoring(classifier.model, regime)
    monkeypatch.setattr("ml.text.encoder_classifier.scores_in_int8", lambda: False)
    exact = for_scoring(classifier.model, regime)
    with torch.inference_mode():
        for row in classifier.tokenize(texts):
            tokens = torch.tensor([row])
            answer = classifier.model(input_ids=tokens).logits
            torch.testing.assert_close(exact(tokens), answer, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(rounded(tokens), answer, atol=0.2, rtol=0.1)


def test_adapters_are_loaded_from_safetensors_alone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"adapter_model\.safetensors"):
        EncoderClassifier.load(tmp_path, "", 16, "lora", stars=False)


def test_a_night_trains_on_no_more_tokens_than_it_can_afford() -> None:
    rng = np.random.default_rng(3)
    classes, lengths = rng.choice(3, size=5000, p=[0.04, 0.06, 0.9]), rng.integers(5, 129, size=5000)
    counts = np.bincount(classes)
    plan = plan_epochs(classes, lengths, 4, 10**9, seed=1)
    assert all(np.isin(np.flatnonzero(classes == 0), rows).all() for rows in plan), "the rarest class is in every epoch"
    shares = np.bincount(classes[plan[0]]) / np.bincount(classes[plan[0]]).sum()
    assert shares[2] / shares[0] == pytest.approx(np.sqrt(counts[2] / counts[0]), rel=0.02)
    assert shares[1] / shares[0] == pytest.approx(counts[1] / counts[0], rel=0.02), "a class not twice as large is there as a whole too"
    positives = np.concatenate([rows[classes[rows] == 2] for rows in plan])
    assert len(np.unique(positives)) == min(len(positives), counts[2]), "another part of the largest class in every epoch"
    short = plan_epochs(classes, lengths, 4, 60_000, seed=1)
    assert 0.9 * 60_000 < sum(lengths[rows].sum() for rows in short) < 1.1 * 60_000
    assert all(np.array_equal(*pair) for pair in zip(short, plan_epochs(classes, lengths, 4, 60_000, seed=1), strict=True))
    assert affordable_tokens(10, 2, 1000.0) == 1_200_000


def test_stars_are_learned_where_they_agree_with_the_labels(tmp_path: Path) -> None:
    stars = {"negative": 2, "neutral": 3, "positive": 4}
    rows = [{**row, "rating": stars[row["label"]]} for row in shop()]
    features = write(tmp_path, rows)
    read = read_labelled(features, ["train"], **READ)
    assert read.stars.tolist() == [stars[LABELS[label]] - 1 for label in read.labels]
    assert read.targets(of_stars=True).tolist() == read.stars.tolist()
    model = SentimentModel(CONFIG)
    model.fit(features, BEFORE_TEST, tmp_path)
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


def test_classes_are_as_probable_as_their_stars() -> None:
    stars = np.log([[0.1, 0.2, 0.3, 0.15, 0.25]])
    np.testing.assert_allclose(np.exp(class_log_probabilities(stars)), [[0.3, 0.3, 0.4]])


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
    # good, strings, good strings; pieces of 3 to 5 of ' good ' and ' strings '
    assert counts[1].sum() == 3 + (4 + 3 + 2) + (7 + 6 + 5)


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


def world(reviews: int = 6000) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a linear and of a better classifier that err independently, and the truth, one class frequent."""
    rng = np.random.default_rng(5)
    truth = rng.choice(3, size=reviews, p=[0.1, 0.1, 0.8])
    seen = [rng.normal(size=(reviews, 3)) + strength * np.eye(3)[truth] for strength in (1.2, 1.8)]
    return np.stack([strength * each + np.log([0.1, 0.1, 0.8]) for strength, each in zip((1.2, 1.8), seen, strict=True)]), truth


def test_calibration_mends_overconfidence_and_rare_classes() -> None:
    logits, truth = world()
    overconfident = 4 * logits[1:] + np.array([0.0, 1.0, 0.0])
    one, shown = np.array([True]), np.ones(3, dtype=bool)
    calibration = calibrate(overconfident[:, :3000], truth[:3000], one, shown)
    probabilities = calibration.probabilities(overconfident[:, 3000:])
    before = softmax(overconfident[0, 3000:], axis=1)
    assert expected_calibration_error(before, truth[3000:]) > 0.06 > 4 * expected_calibration_error(probabilities, truth[3000:])
    decided, plain = calibration.decide(probabilities), probabilities.argmax(axis=1)
    assert macro_f1(decided, truth[3000:], 3) > macro_f1(plain, truth[3000:], 3)


def test_few_reviews_have_a_calibration_error_even_where_probabilities_are_right() -> None:
    rng = np.random.default_rng(2)
    probabilities = rng.dirichlet([1, 0.3, 2], size=20_000)
    labels = (rng.random((20_000, 1)) > probabilities.cumsum(axis=1)[:, :-1]).sum(axis=1)
    by_chance = [calibration_error_by_chance(probabilities[:reviews], 1) for reviews in (200, 800, 20_000)]
    assert by_chance[0] > 1.7 * by_chance[1] > 1.7 * 0.015 and by_chance[2] < 0.01
    assert expected_calibration_error(probabilities, labels) < 2 * by_chance[2]


def test_a_class_that_training_did_not_show_is_never_decided_for() -> None:
    logits, truth = world()
    two = np.where(truth == 1, 2, truth)
    calibration = calibrate(logits, two, np.array([True, True]), np.array([True, False, True]))
    probabilities = calibration.probabilities(logits)
    assert probabilities[:, 1].max() == 0 and set(calibration.decide(probabilities)) == {0, 2}


def test_validation_chooses_the_blend_where_two_know_more_and_the_cheapest_where_one_is_blind() -> None:
    logits, truth = world()
    shown, half = np.ones(3, dtype=bool), slice(0, 3000)
    choice, losses = choose(logits[:, half], truth[half], shown, CANDIDATES, 0.002)
    assert choice.candidate == "blend" and losses["blend"] < losses["encoder"] < losses["linear"]
    blind = np.stack([logits[0], np.random.default_rng(1).normal(size=logits[1].shape)])
    assert choose(blind[:, half], truth[half], shown, ("encoder", "linear"), 0.002)[0].candidate == "linear"
    assert choose(logits[:, :0], truth[:0], shown, CANDIDATES, 0.002)[0].candidate == "blend"


def test_the_cascade_leaves_the_encoder_what_is_not_sure_and_costs_little() -> None:
    logits, truth = world()
    shown = np.ones(3, dtype=bool)
    choice, _ = choose(logits[:, :3000], truth[:3000], shown, CANDIDATES, 0.01)
    linear, encoder, labels = logits[0, 3000:], logits[1, 3000:], truth[3000:]
    settled = choice.is_sure(linear)
    always, _ = choose(logits[:, :3000], truth[:3000], shown, CANDIDATES, 0.0)
    assert 0.1 < settled.mean() < 1 and always.is_sure(linear).mean() <= settled.mean()
    with_cascade, without = (choice.read(linear, encoder, rows)[1] for rows in (settled, np.zeros(3000, dtype=bool)))
    assert macro_f1(with_cascade, labels, 3) > macro_f1(without, labels, 3) - 0.02
    garbage = np.where(settled[:, None], np.nan, encoder)
    np.testing.assert_array_equal(choice.read(linear, garbage, settled)[1], with_cascade)
    assert choose(logits[:, :200], truth[:200], shown, ("blend",), 1.0)[0].bound == NEVER_SURE, "too few to know where it is sure"


def test_batches_hold_every_row_once_and_little_padding() -> None:
    lengths = np.random.default_rng(1).integers(3, 128, size=1000)
    batches = list(shuffled_batches(lengths, 16, np.random.default_rng(2)))
    assert sorted(np.concatenate(batches).tolist()) == list(range(1000))
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.06 * lengths.sum()


def test_a_text_has_the_same_score_whatever_is_scored_beside_it() -> None:
    classifier = EncoderClassifier.pretrained("", 16, seed=1)
    texts = ["short", "a somewhat longer text about strings", "mid length text"]
    together = classifier.logits(texts, threads=2)
    for row, text in enumerate(texts):
        np.testing.assert_array_equal(together[row], classifier.logits([text], threads=1)[0])
