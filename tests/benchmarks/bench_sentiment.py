"""Sentiment on a file of reviews, through the nightly's own path: fit and choose, judge on what was held out, score.

    make bench-sentiment REVIEWS=<csv, jsonl or parquet> TEXT=<column> LABEL=<column> [TIME=<column>]
    python -m tests.benchmarks.bench_sentiment FILE --text summary,reviewText --label overall --time unixReviewTime [--speed] [--regimes]

What files and labels may look like says review_files.py. With a time the last fifth is the test and the tenth before it validation, else a
hash of the text holds out a fifth and takes a tenth for validation. Ends with one JSON line: macro-F1, accuracy and calibration error on
the test, beside those of TF-IDF and logistic regression; the calibration error that so many reviews would have if the probabilities were
right; seconds of training; reviews scored in a second; who was chosen.

--speed also measures transformers' own pipeline with the same weights; --regimes compares what of the encoder is trained.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from include.learn.compare import RESAMPLES, paired_difference
from include.settings import load_settings
from ml.nightly_model import BEFORE_TEST
from ml.text.baseline import tfidf_logits
from ml.text.budget import plan_epochs
from ml.text.calibration import calibration_error_by_chance, macro_f1
from ml.text.encoder.classifier import EncoderClassifier
from ml.text.encoder.regimes import Regime, merged
from ml.text.reviews import LABELS, Reviews, class_log_probabilities, read_labelled
from ml.text.sentiment import BASELINE_REVIEWS, SentimentModel
from ml.text.sentiment_config import SentimentConfig
from tests.benchmarks.review_files import UnreadableReviews, add_file_arguments, write_snapshot

PIPELINE_TEXTS = 500
REGIME_REVIEWS = 1000
REGIME_EPOCHS = 4


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_file_arguments(parser)
    parser.add_argument("--minutes", type=float, help="minutes a night may train; default: the setting")
    parser.add_argument("--speed", action="store_true", help="measure transformers' pipeline too")
    parser.add_argument("--regimes", action="store_true", help="compare the tuning regimes on a sample, and nothing else")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    config = load_settings().of_model("sentiment")
    if given.minutes:
        config = config.model_copy(update={"train_minutes": given.minutes})
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        try:
            write_snapshot(given.reviews, given.text, given.label, given.time, scratch)
            if given.regimes:
                for result in compare_regimes(scratch, config):
                    say(result)
                return 0
            say(bench(scratch, config, with_pipeline=given.speed))
        except UnreadableReviews as error:
            sys.stderr.write(f"{error}\n")
            return 2
    return 0


def bench(scratch: Path, config: SentimentConfig, *, with_pipeline: bool) -> dict[str, Any]:
    """Figures of a first night's sentiment over scratch/reviews.parquet."""
    if reason := SentimentModel.unavailable_reason(scratch, config):
        raise UnreadableReviews(f"no sentiment of these reviews: {reason}")
    model, began = SentimentModel(config), time.perf_counter()
    model.fit(scratch, scratch)
    train_seconds = time.perf_counter() - began
    evaluation = model.evaluate(scratch, "test", scratch)
    if not evaluation.metrics:
        raise UnreadableReviews("no labelled review was held out to judge on")
    figures = {metric.name: metric for metric in evaluation.metrics}
    test = read_split(scratch, ["test"], config)
    began = time.perf_counter()
    probabilities, decided = model.score(test.texts)
    pace = len(test) / (time.perf_counter() - began)
    before = read_split(scratch, BEFORE_TEST, config, BASELINE_REVIEWS)
    by_baseline = tfidf_logits(before.texts, before.labels, test.texts).argmax(axis=1)
    result = {
        "macro_f1": round(figures["macro_f1"].value, 4),
        "accuracy": round(figures["accuracy"].value, 4),
        "ece": round(figures["ece"].value, 4),
        "ece_if_calibrated": round(calibration_error_by_chance(probabilities, config.seed), 4),
        "train_seconds": round(train_seconds, 1),
        "reviews_per_second": round(pace, 1),
        "chosen": model.chosen,
        **{f"tfidf_{name}": round(figures[name].baseline_value or 0.0, 4) for name in ("macro_f1", "accuracy")},
        "macro_f1_over_tfidf_95": macro_f1_difference(decided, by_baseline, test.labels, config.seed),
        "accuracy_over_tfidf_95": paired(decided == test.labels, by_baseline == test.labels, config.seed),
        "test_reviews": len(test),
    }
    return result | (pipeline_speed(model, test, decided, pace) if with_pipeline else {})


def macro_f1_difference(decided: np.ndarray, other: np.ndarray, labels: np.ndarray, seed: int) -> list[float]:
    """Percentile bootstrap interval, 95 %, of the difference of two decisions' macro-F1 on the same reviews."""
    rng, differences = np.random.default_rng(seed), []
    for _ in range(RESAMPLES):
        drawn = rng.integers(0, len(labels), len(labels))
        differences.append(np.subtract(*(macro_f1(each[drawn], labels[drawn], len(LABELS)) for each in (decided, other))))
    return [round(float(bound), 4) for bound in np.quantile(differences, [0.025, 0.975])]


def paired(hits: np.ndarray, others: np.ndarray, seed: int) -> list[float]:
    interval = paired_difference(hits.astype(float), others.astype(float), seed)
    return [round(interval.low, 4), round(interval.high, 4)]


def pipeline_speed(model: SentimentModel, test: Reviews, decided: np.ndarray, pace: float) -> dict[str, Any]:
    """Reviews per second of transformers' own pipeline with the same weights and default settings, and what its exact logits decide.

    The reference decides as the model would if it asked the encoder in float32 about every review that it can read.
    """
    from transformers import pipeline

    if model.encoder is None:
        return {"pipeline_reviews_per_second": None}
    encoder = model.encoder
    plain = pipeline("text-classification", model=merged(copy.deepcopy(encoder.model), encoder.regime), tokenizer=encoder.tokenizer)
    torch.set_num_threads(model.config.threads)
    drawn = np.sort(np.random.default_rng(model.config.seed).permutation(len(test))[:PIPELINE_TEXTS])
    texts = [test.texts[row] for row in drawn]
    began = time.perf_counter()
    plain(texts, truncation=True, max_length=encoder.max_tokens)
    plain_pace = len(texts) / (time.perf_counter() - began)
    answers = plain(test.texts, truncation=True, max_length=encoder.max_tokens, batch_size=16, top_k=None, function_to_apply="none")
    place = {name: number for number, name in encoder.model.config.id2label.items()}
    outputs = np.array([[answer["score"] for answer in sorted(each, key=lambda answer: place[answer["label"]])] for each in answers])
    exact, linear = class_log_probabilities(outputs), model.linear.logits(test.texts)
    readings, _ = model.readings(test.texts)
    by_exact = np.empty(len(test), dtype=np.int64)
    for reading, choice in model.choices.items():
        rows = np.flatnonzero(readings == reading)
        by_exact[rows] = choice.read(linear[rows], exact[rows], np.full(len(rows), not choice.asks_second))[1]
    return {
        "pipeline_reviews_per_second": round(plain_pace, 1),
        "times_the_pipeline": round(pace / plain_pace, 1),
        "macro_f1_asking_the_pipeline_always": round(macro_f1(by_exact, test.labels, len(LABELS)), 4),
        "macro_f1_here": round(macro_f1(decided, test.labels, len(LABELS)), 4),
        "decided_alike": round(float(np.mean(by_exact == decided)), 4),
    }


def compare_regimes(scratch: Path, config: SentimentConfig) -> Iterator[dict[str, Any]]:
    """Every tuning regime on the same sample of reviews, each in a process of its own, so that its peak of memory is its own."""
    for regime in get_args(Regime):
        chosen = config.model_copy(update={"regime": regime, "candidates": ("encoder",)})
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as one:
            yield one.submit(judge_regime, scratch, chosen).result()


def judge_regime(scratch: Path, config: SentimentConfig) -> dict[str, Any]:
    torch.set_num_threads(config.threads)
    train, test = read_split(scratch, ["train"], config, REGIME_REVIEWS), read_split(scratch, ["test"], config, REGIME_REVIEWS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    encoder = EncoderClassifier.pretrained(
        config.encoder, config.max_tokens, config.seed, stars=bool((train.stars >= 0).all()), regime=config.regime
    )
    tokens = encoder.tokenize(train.texts)
    plan = plan_epochs(train.labels, np.array([len(row) for row in tokens]), REGIME_EPOCHS, sys.maxsize, config.seed)
    began = time.perf_counter()
    rate, batch = config.learning_rate, config.batch_size
    encoder.train(tokens, train.targets(encoder.of_stars), train.weights, plan, learning_rate=rate, batch_size=batch, seed=config.seed)
    seconds = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        encoder.save(Path(folder))
        stored = sum(file.stat().st_size for file in Path(folder).glob("*.safetensors"))
    decided = encoder.logits(test.texts, config.threads).argmax(axis=1)
    return {
        "regime": config.regime,
        "macro_f1": round(macro_f1(decided, test.labels, len(LABELS)), 4),
        "accuracy": round(float(np.mean(decided == test.labels)), 4),
        "train_seconds": round(seconds, 1),
        "peak_mb_over_start": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024),
        "stored_mb": round(stored / 1e6, 2),
        "trained_weights": sum(weight.numel() for weight in encoder.model.parameters() if weight.requires_grad),
    }


def read_split(scratch: Path, splits: Sequence[str], config: SentimentConfig, limit: int | None = None) -> Reviews:
    return read_labelled(scratch, splits, max_chars=config.max_chars, threads=config.threads, seed=config.seed, limit=limit)


def say(result: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
