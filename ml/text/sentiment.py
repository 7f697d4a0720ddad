"""Sentiment of reviews: negative, neutral or positive, learned from the shop's own stars.

A linear model on n-grams is fitted to all rated reviews, and the pretrained encoder is fine-tuned on the most useful ones that a night
can afford. Where many texts are in scripts that the encoder does not support, a small network over characters is fitted to those. The
validation days decide, for each `Reading` of a text, whether the linear model, the second model (the encoder, or the network for
unsupported scripts) or their calibrated blend decides, and where the linear model is sure enough to decide alone. Later nights continue
from the champion with the reviews it has not seen and a replay of some it has.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Self, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import softmax

from ml.nightly_model import BEFORE_TEST, EVERYTHING, Evaluation, Metric, NightlyModel, Split
from ml.text.baseline import tfidf_logits
from ml.text.budget import affordable_tokens, plan_epochs
from ml.text.calibration import figures
from ml.text.character_network import CharacterNetwork
from ml.text.choice import ClassifierChoice, choose_by_reading
from ml.text.encoder.classifier import EncoderClassifier
from ml.text.encoder.pretrained import load_tokenizer
from ml.text.languages import Reader, Reading
from ml.text.linear import LinearClassifier, fit_best
from ml.text.reviews import LABELS, Reviews, count_labelled, count_seen, first_labelled, most_reviews, read_labelled
from ml.text.scoring import write_scores
from ml.text.sentiment_config import SentimentConfig
from ml.text.unsupported_scripts import fit_network

log = logging.getLogger(__name__)

SPLITS_BEFORE: dict[str, tuple[Split, ...]] = {"validation": ("train",), "test": BEFORE_TEST}
FIRST_FIT_SHARE = 0.7  # of a night's minutes; the rest is for the fit that continues from it over the full history
BASELINE_REVIEWS = 12_000
SAMPLE = 1000


class SentimentModel(NightlyModel):
    """Three classes of sentiment over review texts.

    Attributes:
        linear: the linear model; there always is one.
        encoder: the fine-tuned encoder; None where no choice uses it.
        network: the network for unsupported scripts; None where it does not pay.
        reader: finds how well the encoder reads a text.
        choices: which classifier decides, for each Reading.
        chosen: the candidate that decides most reviews of the validation days.
        seen: keys (review_id, text_hash) of the reviews that the encoder, or without one the linear model, was trained on.
    """

    name: ClassVar[str] = "sentiment"
    deciding: ClassVar[str] = "macro_f1"
    saved_format: ClassVar[int] = 2

    linear: LinearClassifier
    encoder: EncoderClassifier | None
    network: CharacterNetwork | None
    reader: Reader
    choices: dict[Reading, ClassifierChoice]
    chosen: str
    seen: pa.Table

    config: SentimentConfig

    def __init__(self, config: SentimentConfig) -> None:
        self.config = config

    def with_runtime_config(self, config: SentimentConfig) -> None:
        kept = {name: getattr(self.config, name) for name in ("encoder", "max_tokens", "regime")}
        self.config = config.model_copy(update=kept)

    @classmethod
    def unavailable_reason(cls, features: Path, config: object) -> str | None:
        """Why this shop cannot have sentiment: too few labelled training reviews, or all of one class."""
        config = cast(SentimentConfig, config)
        counts = count_labelled(features, ["train"], config.max_chars, config.threads)
        total, shown = sum(counts.values()), [label for label, count in counts.items() if count]
        if total < config.min_reviews:
            return f"{total} rated reviews with text to train on, {config.min_reviews} are needed"
        if len(shown) < 2:
            return f"all {total} rated reviews to train on are {shown[0]}: nothing to tell apart"
        return None

    @classmethod
    def test_starts_at(cls, features: Path) -> datetime | None:
        return first_labelled(features, "test")

    def fit(self, features: Path, cache: Path, warm_start: Self | None = None) -> None:  # noqa: ARG002
        """Learn from labelled reviews before the test days (see `NightlyModel.fit`); reads features/reviews.parquet.

        All classifiers learn from the training rows, and choices are made on the validation rows; then the linear model and the network
        are fitted to both. After an earlier model without an encoder every night tries a new encoder, and every night tries a new network.
        The fit does not continue from an encoder that reads texts differently, nor from one that has seen reviews of the validation or
        test days, which happens when these days moved or history came late.
        """
        earlier = warm_start if warm_start is not None and self._may_continue(features, warm_start) else None
        validation = self._read(features, ["validation"])
        if earlier is None or earlier.encoder is None:  # without an encoder there is nothing to continue from
            self._start(features, validation)
        else:
            self._continue(features, ["train"], earlier)
            self._fit_linear(features, ["train"], earlier.linear.strength)
        self.network = fit_network(features, ["train"], self.config, self.reader)
        self._choose(validation)
        self._fit_linear(features, BEFORE_TEST, self.linear.strength)
        if self.network:
            self.network = fit_network(features, BEFORE_TEST, self.config, self.reader) or self.network

    def refit(self, features: Path, cache: Path, evaluated: Self) -> None:  # noqa: ARG002
        """See NightlyModel. The encoder continues from `evaluated` over the rows it has not seen, the others are fitted from scratch."""
        self._continue(features, EVERYTHING, evaluated)
        self._fit_linear(features, EVERYTHING, evaluated.linear.strength)
        self.network = evaluated.network and (fit_network(features, EVERYTHING, self.config, self.reader) or evaluated.network)
        self.choices, self.chosen = evaluated.choices, evaluated.chosen

    def _may_continue(self, features: Path, earlier: Self) -> bool:
        """Whether a fit may continue from an earlier night's model; if not, the log says why."""
        if any(getattr(earlier.config, name) != getattr(self.config, name) for name in ("encoder", "max_tokens", "regime")):
            log.info("the earlier model reads texts differently (encoder, tokens or regime): starting from scratch")
            return False
        known = count_seen(features, ["validation", "test"], earlier.seen) if earlier.encoder is not None else 0
        if known:
            log.info("the earlier encoder has seen %d reviews of the validation and test days: starting from scratch", known)
        return not known

    def evaluate(self, features: Path, split: Split, cache: Path) -> Evaluation:  # noqa: ARG002
        """Evaluate on the labelled reviews of `split`, beside a balanced TF-IDF logistic regression fitted on all splits before it.

        Metrics: macro_f1 (deciding), balanced_accuracy, accuracy, ece (expected calibration error, lower is better), f1_<class>. Macro-F1
        is not a mean over reviews, so the unit scores are those of balanced accuracy: a review counts n / (classes * reviews of its class)
        if its decision is right and 0 if not. Their mean is balanced accuracy. A split without labelled reviews has no metrics.
        """
        reviews = self._read(features, [split])
        if not len(reviews):
            return Evaluation(split, [], np.empty(0, dtype=object), np.empty(0))
        before = self._read(features, SPLITS_BEFORE[split], limit=BASELINE_REVIEWS)
        baseline = tfidf_logits(before.texts, before.labels, reviews.texts)
        probabilities, decided = self.score(reviews.texts)
        decided_by_baseline = baseline.argmax(axis=1)
        own = figures(probabilities, decided, reviews.labels)
        other = figures(softmax(baseline, axis=1), decided_by_baseline, reviews.labels)
        weights = _inverse_class_shares(reviews)
        return Evaluation(
            split=split,
            metrics=[Metric(name, value, "tfidf", other.get(name)) for name, value in own.items()],
            unit_ids=reviews.keys["review_id"].to_numpy(zero_copy_only=False),
            unit_scores=weights * (decided == reviews.labels),
            baselines={"tfidf": weights * (decided_by_baseline == reviews.labels)},
            unit_metric="balanced_accuracy",
        )

    def predict(self, features: Path, out: Path, cache: Path, previous: Path | None = None) -> dict[str, int]:  # noqa: ARG002
        """Write review_sentiment.parquet for every review with text, and ticket_sentiment.parquet where the snapshot has tickets. Scores of
        the same text by the same model are reused from `previous`.

        The counts include how many of the rows were scored now ('scored').
        """
        return write_scores(self, features, out, previous)

    def save(self, folder: Path) -> None:
        (folder / "sentiment.json").write_text(
            json.dumps(
                {
                    "config": self.config.model_dump(),
                    "of_stars": self.encoder.of_stars if self.encoder else None,
                    "has_network": self.network is not None,
                    "choices": {reading.saved_name: choice.to_json() for reading, choice in self.choices.items()},
                    "chosen": self.chosen,
                    "version": self.version,
                },
                indent=2,
            )
        )
        pq.write_table(self.seen, folder / "seen.parquet")
        self.linear.save(folder)
        if self.encoder:
            self.encoder.save(folder)
        if self.network:
            self.network.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        fields = json.loads((folder / "sentiment.json").read_text())
        model = cls(SentimentConfig(**fields["config"]))
        model.choices = {Reading.of_saved_name(name): ClassifierChoice.from_json(choice) for name, choice in fields["choices"].items()}
        model.chosen = fields["chosen"]
        model.seen = pq.read_table(folder / "seen.parquet")
        model.linear = LinearClassifier.load(folder)
        model.encoder = None
        config = model.config
        if fields["of_stars"] is not None:
            model.encoder = EncoderClassifier.load(folder, config.encoder, config.max_tokens, config.regime, stars=fields["of_stars"])
        model.network = CharacterNetwork.load(folder) if fields.get("has_network") else None  # earlier versions saved none
        model.reader = Reader(model.encoder.tokenizer if model.encoder else load_tokenizer(config.encoder))
        return model

    @property
    def version(self) -> str:
        """Twelve hexadecimal digits that change whenever a score could change: a hash of weights, choices and tokens read."""
        digest = hashlib.sha256(self.linear.weights())
        if self.encoder:
            digest.update(self.encoder.weights())
        if self.network:
            digest.update(self.network.weights())
        choices = {reading.saved_name: choice.to_json() for reading, choice in self.choices.items()}
        digest.update(json.dumps([choices, self.config.encoder, self.config.max_tokens], sort_keys=True).encode())
        return digest.hexdigest()[:12]

    def score(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(n, 3) probabilities in the order of LABELS, and (n,) decided classes, of n cleaned texts.

        Where the linear model is not sure, the encoder scores texts in supported scripts and the network the others. Logits of the rest are
        not used.
        """
        linear = self.linear.logits(texts)
        sure_either_way = np.logical_and(*(self.choices[reading].is_sure(linear) for reading in (Reading.FOREIGN, Reading.FLUENT)))
        readings, tokens = self.readings(texts, ~sure_either_way)
        settled = np.ones(len(texts), dtype=bool)
        for reading, choice in self.choices.items():
            rows = np.flatnonzero(readings == reading)
            settled[rows] = choice.is_sure(linear[rows])
        second = self._second_logits(texts, readings, tokens, ~settled)
        probabilities, decided = np.empty_like(linear), np.empty(len(texts), dtype=np.int64)
        for reading, choice in self.choices.items():
            rows = np.flatnonzero(readings == reading)
            probabilities[rows], decided[rows] = choice.read(linear[rows], second[rows], settled[rows])
        return probabilities, decided

    def _start(self, features: Path, validation: Reviews) -> None:
        """Fit the linear model, and the encoder if it may be chosen and supports enough of the training reviews."""
        config = self.config
        train = self._read(features, ["train"], limit=self._linear_limit(features, ["train"]))
        self.linear = fit_best(train, validation)
        self.encoder, self.seen, self.reader = None, train.keys, Reader(load_tokenizer(config.encoder))
        if set(config.candidates) == {"linear"}:
            return
        sample = train.rows(np.sort(np.random.default_rng(config.seed).permutation(len(train))[:SAMPLE]))
        is_known = self.reader.is_known(sample.texts)
        if is_known.mean() < config.readable_share:
            log.info("the encoder supports the script of %.0f %% of the texts: it is not trained", 100 * is_known.mean())
            return
        of_stars = bool((train.stars >= 0).all())
        encoder = EncoderClassifier.pretrained(config.encoder, config.max_tokens, config.seed, stars=of_stars, regime=config.regime)
        tokens_a_text = np.mean([len(row) for row in encoder.tokenize(sample.rows(np.flatnonzero(is_known)).texts)])
        budget = self._budget(FIRST_FIT_SHARE)
        limit = min(config.max_train_reviews, math.ceil(budget / tokens_a_text))
        known = self._known(train if len(train) <= limit else self._read(features, ["train"], limit=limit))
        log.info("training the encoder on %d reviews (%s)", len(known), _describe(known))
        self._train(encoder, known, config.epochs, config.learning_rate, budget)
        self.encoder, self.seen = encoder, known.keys

    def _continue(self, features: Path, splits: Sequence[Split], earlier: Self) -> None:
        """Continue from `earlier`'s encoder over the reviews of `splits` that it has not seen, with a replay of some that it has."""
        config = self.config
        self.encoder, self.seen, self.reader = earlier.encoder, earlier.seen, earlier.reader
        if self.encoder is None:
            return
        new = self._known(self._read(features, splits, limit=config.max_train_reviews, seen=earlier.seen))
        if not len(new):
            log.info("no review that the earlier encoder has not seen")
            return
        replayed = round(len(new) * config.rehearsal_share)
        old = self._known(self._read(features, splits, limit=replayed, seen=earlier.seen, only_seen=True))
        log.info("continuing with %d new reviews (%s) and a replay of %d", len(new), _describe(new), len(old))
        self.encoder = self.encoder.copy()
        budget = self._budget(1 - FIRST_FIT_SHARE)
        self._train(self.encoder, new + old, config.continuation_epochs, config.continuation_learning_rate, budget)
        self.seen = pa.concat_tables([earlier.seen, new.keys])

    def _choose(self, validation: Reviews) -> None:
        """Choose the classifiers on the validation reviews, and drop those that no choice uses."""
        readings, tokens = self.readings(validation.texts)
        second = self._second_logits(validation.texts, readings, tokens, np.ones(len(validation), dtype=bool))
        logits = np.stack([self.linear.logits(validation.texts), second])
        has_second = {reading: bool(self.network if reading == Reading.UNSUPPORTED else self.encoder) for reading in Reading}
        self.choices = choose_by_reading(logits, validation.labels, readings, has_second, self.linear.shown, self.config)
        most = Reading(int(np.bincount(readings, minlength=len(Reading)).argmax())) if len(readings) else Reading.FLUENT
        self.chosen = self.choices[most].candidate
        if not any(self.choices[reading].asks_second for reading in (Reading.FOREIGN, Reading.FLUENT)):
            self.encoder = None
        if not self.choices[Reading.UNSUPPORTED].asks_second:
            self.network = None

    def _fit_linear(self, features: Path, splits: Sequence[Split], strength: float) -> None:
        reviews = self._read(features, splits, limit=self._linear_limit(features, splits))
        self.linear = LinearClassifier.fit(reviews.texts, reviews.labels, reviews.weights, strength)
        if self.encoder is None:
            self.seen = reviews.keys

    def _train(self, encoder: EncoderClassifier, reviews: Reviews, epochs: int, learning_rate: float, budget: int) -> None:
        tokens = encoder.tokenize(reviews.texts)
        lengths = np.array([len(row) for row in tokens])
        plan = plan_epochs(reviews.labels, lengths, epochs, budget, self.config.seed)
        shown = np.concatenate(plan)
        log.info("%d epochs show %d reviews, %d tokens of %d affordable", epochs, len(shown), lengths[shown].sum(), budget)
        encoder.train(
            tokens,
            reviews.targets(encoder.of_stars),
            reviews.weights,
            plan,
            learning_rate=learning_rate,
            batch_size=self.config.batch_size,
            seed=self.config.seed,
        )

    def _budget(self, share: float) -> int:
        config = self.config
        return affordable_tokens(share * config.train_minutes, config.tokens_per_second)

    def _linear_limit(self, features: Path, splits: Sequence[str]) -> int:
        """The number of reviews with as many characters as the linear model may learn from."""
        return most_reviews(features, splits, self.config.linear_max_chars, self.config.max_chars, self.config.threads)

    def _known(self, reviews: Reviews) -> Reviews:
        """Those in scripts that the encoder supports."""
        return reviews.rows(np.flatnonzero(self.reader.is_known(reviews.texts)))

    def readings(self, texts: Sequence[str], doubted: np.ndarray | None = None) -> tuple[np.ndarray, list[list[int]]]:
        """(n,) Reading of n texts, and the tokens of those in supported scripts, [] for others.

        Texts that are not `doubted`, (n,) bool, are not tokenized; those in supported scripts count as FLUENT. Without an encoder no text
        is tokenized, and without a network too all count as UNSUPPORTED.
        """
        tokens: list[list[int]] = [[] for _ in texts]
        if self.encoder is None:
            known = self.reader.is_known(texts) if self.network else np.zeros(len(texts), dtype=bool)
            return np.where(known, Reading.FLUENT, Reading.UNSUPPORTED), tokens
        known = self.reader.is_known(texts)
        wanted = np.flatnonzero(known if doubted is None else known & doubted).tolist()
        for row, ids in zip(wanted, self.encoder.tokenize([texts[row] for row in wanted]), strict=True):
            tokens[row] = ids
        return self.reader.readings(texts, np.array([len(row) for row in tokens])), tokens

    def _second_logits(self, texts: Sequence[str], readings: np.ndarray, tokens: list[list[int]], asked: np.ndarray) -> np.ndarray:
        """(n, classes) logits of n texts by the encoder, and by the network in unsupported scripts; 0 where a text is not `asked`."""
        logits, threads, is_unsupported = np.zeros((len(texts), len(LABELS))), self.config.threads, readings == Reading.UNSUPPORTED
        read, unsupported = np.flatnonzero(asked & ~is_unsupported), np.flatnonzero(asked & is_unsupported)
        if self.encoder and len(read):
            logits[read] = self.encoder.logits_of_tokens([tokens[row] for row in read], threads)
        if self.network and len(unsupported):
            logits[unsupported] = self.network.logits([texts[row] for row in unsupported.tolist()], threads)
        return logits

    def _read(
        self, features: Path, splits: Sequence[str], limit: int | None = None, seen: pa.Table | None = None, only_seen: bool = False
    ) -> Reviews:
        return read_labelled(
            features,
            splits,
            max_chars=self.config.max_chars,
            threads=self.config.threads,
            seed=self.config.seed,
            limit=limit,
            seen=seen,
            only_seen=only_seen,
        )


def _inverse_class_shares(reviews: Reviews) -> np.ndarray:
    """(n,) n / (classes that occur * reviews of the class), whose mean is 1."""
    counts = reviews.class_counts
    return len(reviews) / (np.count_nonzero(counts) * counts[reviews.labels])


def _describe(reviews: Reviews) -> str:
    return ", ".join(f"{count} {label}" for label, count in zip(LABELS, reviews.class_counts, strict=True))
