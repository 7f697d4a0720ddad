"""Sentiment of reviews: negative, neutral or positive, learned from the shop's own stars.

The pretrained encoder is fine-tuned on the rated reviews, its probabilities are calibrated on the validation days, and it is
compared there with a linear model, which takes its place where it is clearly better (a language the encoder does not know). Later
nights go on from the champion with the reviews it has not seen and a rehearsal of those it has.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from scipy.special import log_softmax
from sklearn.metrics import recall_score

from ml.nightly_model import BEFORE_TEST, EVERYTHING, Evaluation, Metric, NightlyModel, Split
from ml.text.calibration import Calibration, calibrate, class_f1, expected_calibration_error, macro_f1
from ml.text.encoder_classifier import EncoderClassifier
from ml.text.linear import LinearClassifier
from ml.text.reviews import LABELS, Reviews, count_labelled, read_labelled
from ml.text.scoring import write_scores
from ml.text.sentiment_config import SentimentConfig

log = logging.getLogger(__name__)

SPLITS_BEFORE: dict[str, tuple[Split, ...]] = {"validation": ("train",), "test": BEFORE_TEST}


class SentimentModel(NightlyModel):
    """Three classes of sentiment over review texts.

    Attributes:
        classifier: the encoder, or the linear model where validation preferred it.
        calibration: how its logits are read.
        seen: keys (review_id, text_hash) of the reviews it was trained on.
    """

    name: ClassVar[str] = "sentiment"

    classifier: EncoderClassifier | LinearClassifier
    calibration: Calibration
    seen: pa.Table

    config: SentimentConfig

    def __init__(self, config: SentimentConfig) -> None:
        self.config = config

    def serve_under(self, config: SentimentConfig) -> None:
        self.config = config.model_copy(update={"encoder": self.config.encoder, "max_tokens": self.config.max_tokens})

    @classmethod
    def why_not(cls, features: Path, config: object) -> str | None:
        """Why this shop cannot have sentiment: too few labelled training reviews, or all of one class."""
        config = cast(SentimentConfig, config)
        counts = count_labelled(features, ["train"], config.max_chars, config.threads)
        total, shown = sum(counts.values()), [label for label, count in counts.items() if count]
        if total < config.min_reviews:
            return f"{total} rated reviews with text to train on, {config.min_reviews} are needed"
        if len(shown) < 2:
            return f"all {total} rated reviews to train on are {shown[0]}: nothing to tell apart"
        return None

    def fit(self, features: Path, splits: Sequence[Split], cache: Path, warm_start: Self | None = None) -> None:
        """Learn from labelled reviews (see `NightlyModel.fit`); reads features/reviews.parquet.

        For BEFORE_TEST the weights see the training rows and the validation rows decide: the calibration, the decision's prior power, and
        without `warm_start` whether the encoder stays. For EVERYTHING the weights go on from `warm_start` over the rows it has not
        seen, and its decisions stay; without `warm_start`, BEFORE_TEST comes first.
        """
        torch.set_num_threads(self.config.threads)
        if warm_start is not None and (warm_start.config.encoder, warm_start.config.max_tokens) != (
            self.config.encoder,
            self.config.max_tokens,
        ):
            log.info("the earlier model reads texts differently (encoder or tokens): starting anew")
            warm_start = None
        if tuple(splits) == EVERYTHING:
            judged = warm_start
            if judged is None:
                judged = type(self)(self.config)
                judged.fit(features, BEFORE_TEST, cache)
            self._continue(features, EVERYTHING, judged)
            self.calibration = judged.calibration
            return
        validation = self._read(features, ["validation"])
        if warm_start is not None:
            self._continue(features, ["train"], warm_start)
            self.calibration = calibrate(self._logits(validation.texts), validation.labels)
        else:
            self._fit_and_choose(self._read(features, ["train"], limit=self.config.max_train_reviews), validation)

    def evaluate(self, features: Path, split: Split, cache: Path) -> Evaluation:  # noqa: ARG002
        """Judge on the labelled reviews of `split`, beside a balanced TF-IDF logistic regression fitted on all splits before it.

        Metrics: macro_f1 (deciding), balanced_accuracy, accuracy, ece (expected calibration error, lower is better), f1_<class>. Macro-F1
        is not a mean over reviews, so the unit scores are those of balanced accuracy: a review counts n / (classes * reviews of its class)
        if it was decided rightly and 0 if not, whose mean is balanced accuracy.
        A split without labelled reviews gives no metrics.
        """
        torch.set_num_threads(self.config.threads)
        judged = self._read(features, [split])
        if not len(judged):
            return Evaluation(split, [], np.empty(0, dtype=object), np.empty(0))
        before = self._read(features, SPLITS_BEFORE[split], limit=self.config.max_train_reviews)
        baseline = LinearClassifier.fit(before.texts, before.labels, self.config.max_words).logits(judged.texts)
        probabilities = self.calibration.probabilities(self._logits(judged.texts))
        decided, decided_by_baseline = self.calibration.decide(probabilities), baseline.argmax(axis=1)
        own = _figures(probabilities, decided, judged.labels)
        other = _figures(np.exp(log_softmax(baseline, axis=1)), decided_by_baseline, judged.labels)
        weights = _inverse_class_shares(judged)
        return Evaluation(
            split=split,
            metrics=[Metric(name, value, "tfidf", other[name]) for name, value in own.items()],
            unit_ids=judged.keys["review_id"].to_numpy(zero_copy_only=False),
            unit_scores=weights * (decided == judged.labels),
            baselines={"tfidf": weights * (decided_by_baseline == judged.labels)},
            unit_metric="balanced_accuracy",
        )

    def predict(self, features: Path, out: Path, cache: Path, previous: Path | None = None) -> dict[str, int]:  # noqa: ARG002
        """Write review_sentiment.parquet for every review with text; scores of the same text by the same model are taken from `previous`.

        The counts also tell how many of the rows were scored now ('scored').
        """
        torch.set_num_threads(self.config.threads)
        return write_scores(self, features, out, previous)

    def save(self, folder: Path) -> None:
        (folder / "sentiment.json").write_text(
            json.dumps(
                {
                    "config": self.config.model_dump(),
                    "classifier": "encoder" if isinstance(self.classifier, EncoderClassifier) else "linear",
                    "calibration": self.calibration.to_json(),
                    "version": self.version,
                },
                indent=2,
            )
        )
        pq.write_table(self.seen, folder / "seen.parquet")
        self.classifier.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        fields = json.loads((folder / "sentiment.json").read_text())
        model = cls(SentimentConfig(**fields["config"]))
        model.calibration = Calibration.from_json(fields["calibration"])
        model.seen = pq.read_table(folder / "seen.parquet")
        is_encoder = fields["classifier"] == "encoder"
        model.classifier = EncoderClassifier.load(folder, model.config.max_tokens) if is_encoder else LinearClassifier.load(folder)
        return model

    @property
    def version(self) -> str:
        """Twelve hexadecimal digits that change whenever a score could: a hash of weights, calibration and tokens read."""
        digest = hashlib.sha256(self.classifier.weights())
        digest.update(json.dumps([self.calibration.to_json(), self.config.max_tokens], sort_keys=True).encode())
        return digest.hexdigest()[:12]

    def score(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(n, 3) probabilities in the order of LABELS, and (n,) decided classes, of n cleaned texts."""
        probabilities = self.calibration.probabilities(self._logits(texts))
        return probabilities, self.calibration.decide(probabilities)

    def _fit_and_choose(self, train: Reviews, validation: Reviews) -> None:
        """Fit both candidates on the training reviews and keep the encoder unless the linear model is clearly better on validation."""
        log.info("fitting the encoder on %d reviews (%s)", len(train), _describe(train))
        encoder = EncoderClassifier.pretrained(self.config.encoder, self.config.max_tokens, self.config.seed)
        self._train(encoder, train, self.config.epochs, self.config.learning_rate)
        linear = LinearClassifier.fit(train.texts, train.labels, self.config.max_words)
        self.classifier, self.seen = encoder, train.keys
        self.calibration = calibrate(self._logits(validation.texts), validation.labels)
        if not len(validation):
            return
        linear_logits = linear.logits(validation.texts)
        linear_calibration = calibrate(linear_logits, validation.labels)
        figures = [
            macro_f1(calibration.decide(calibration.probabilities(logits)), validation.labels, len(LABELS))
            for calibration, logits in ((self.calibration, self._logits(validation.texts)), (linear_calibration, linear_logits))
        ]
        log.info("macro-F1 on %d validation reviews: encoder %.3f, linear %.3f", len(validation), *figures)
        if figures[1] > figures[0] + self.config.linear_margin:
            self.classifier, self.calibration = linear, linear_calibration

    def _continue(self, features: Path, splits: Sequence[Split], earlier: Self) -> None:
        """Go on from `earlier` over the reviews of `splits` it has not seen, with a rehearsal of those it has."""
        if isinstance(earlier.classifier, LinearClassifier):  # quick enough to fit anew; the choice stays
            reviews = self._read(features, splits, limit=self.config.max_train_reviews)
            self.classifier = LinearClassifier.fit(reviews.texts, reviews.labels, self.config.max_words)
            self.seen = reviews.keys
            return
        self.classifier, self.seen = earlier.classifier, earlier.seen
        new = self._read(features, splits, limit=self.config.max_train_reviews, seen=earlier.seen)
        if not len(new):
            log.info("no review that the earlier model has not seen")
            return
        rehearsal = round(len(new) * self.config.rehearsal_share)
        old = self._read(features, splits, limit=rehearsal, seen=earlier.seen, only_seen=True)
        log.info("going on with %d new reviews (%s) and a rehearsal of %d", len(new), _describe(new), len(old))
        self.classifier = earlier.classifier.copy()
        self._train(self.classifier, new + old, self.config.continuation_epochs, self.config.continuation_learning_rate)
        self.seen = pa.concat_tables([earlier.seen, new.keys])

    def _train(self, encoder: EncoderClassifier, reviews: Reviews, epochs: int, learning_rate: float) -> None:
        encoder.train(
            reviews.texts,
            reviews.labels,
            square_root_weights(reviews.class_counts),
            epochs=epochs,
            learning_rate=learning_rate,
            batch_size=self.config.batch_size,
            seed=self.config.seed,
        )

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

    def _logits(self, texts: Sequence[str]) -> np.ndarray:
        return self.classifier.logits(texts, self.config.score_batch_size)


def square_root_weights(counts: np.ndarray) -> np.ndarray:
    """(classes,) loss weights in proportion to 1 / sqrt(count), of mean 1 over the reviews: half-way to balance, so that rare classes
    are heard and their noisy labels not shouted."""
    weights = 1.0 / np.sqrt(np.maximum(counts, 1))
    return weights * counts.sum() / np.maximum((weights * counts).sum(), 1e-12)


def _inverse_class_shares(reviews: Reviews) -> np.ndarray:
    """(n,) n / (classes that occur * reviews of the class), whose mean is 1."""
    counts = reviews.class_counts
    return len(reviews) / (np.count_nonzero(counts) * counts[reviews.labels])


def _figures(probabilities: np.ndarray, decided: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    by_class = class_f1(decided, labels, len(LABELS))
    figures = {
        "macro_f1": macro_f1(decided, labels, len(LABELS)),
        "balanced_accuracy": float(recall_score(labels, decided, labels=np.unique(labels), average="macro", zero_division=0)),
        "accuracy": float(np.mean(decided == labels)),
        "ece": expected_calibration_error(probabilities, labels),
    }
    return figures | {f"f1_{label}": float(value) for label, value in zip(LABELS, by_class, strict=True) if not np.isnan(value)}


def _describe(reviews: Reviews) -> str:
    return ", ".join(f"{count} {label}" for label, count in zip(LABELS, reviews.class_counts, strict=True))
