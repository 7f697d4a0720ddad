"""From classifiers' logits to calibrated probabilities, and to decisions that do not neglect rare classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.metrics import recall_score

from ml.text.reviews import LABELS

BINS = 15
CHANCES = 100
HANDICAPS = np.linspace(0.0, 2.5, 26)
HANDICAP_ROUNDS = 5
MIN_PROBABILITY = 1e-12
NEVER = -1e4  # the bias of a class without training reviews
FOLDS = 5


@dataclass(frozen=True)
class Calibration:
    """How the logits of one or two classifiers become probabilities and decisions.

    Probabilities are softmax(sum over classifiers of weight * log_softmax(logits) + biases). For one classifier this is temperature scaling
    with a bias a class (Guo et al., "On Calibration of Modern Neural Networks", 2017), for two a logarithmic opinion pool with few
    parameters. The decided class is the one with the largest log-probability + handicap, so that rare classes are decided for often
    enough for macro-F1. It can therefore differ from the most probable class.

    Attributes:
        weights: (classifiers,), below 1 softens; 0 means that a classifier is not used.
        biases: (classes,), of mean 0 over the classes with training reviews, NEVER for others.
        handicaps: (classes,) at least 0, chosen for the macro-F1 expected from the validation reviews' own probabilities.
    """

    weights: np.ndarray
    biases: np.ndarray
    handicaps: np.ndarray

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """(classifiers, n, classes) logits to (n, classes) probabilities."""
        return softmax(_pooled(logits, self.weights) + self.biases, axis=1)

    def decide(self, probabilities: np.ndarray) -> np.ndarray:
        """(n, classes) probabilities to (n,) classes; ties go to the first."""
        return np.argmax(np.log(np.maximum(probabilities, MIN_PROBABILITY)) + self.handicaps, axis=1)

    def to_json(self) -> dict[str, object]:
        return {
            "weights": self.weights.tolist(),
            "biases": self.biases.tolist(),
            "handicaps": self.handicaps.tolist(),
        }

    @classmethod
    def from_json(cls, fields: dict[str, object]) -> Calibration:
        return cls(*(np.asarray(fields[name], dtype=float) for name in ("weights", "biases", "handicaps")))


def calibrate(logits: np.ndarray, labels: np.ndarray, asked: np.ndarray, shown: np.ndarray) -> Calibration:
    """Fit a calibration to (classifiers, n, classes) logits and (n,) labels of reviews that the classifiers were not trained on.

    Without such reviews the classifiers have equal weights, and the decision is the most probable class.

    Args:
        asked: (classifiers,) bool, which of them may have a weight.
        shown: (classes,) bool, which classes have training reviews.
    """
    classes = logits.shape[2]
    start = np.where(asked, 1.0 / asked.sum(), 0.0)
    unbiased = np.where(shown, 0.0, NEVER)
    if len(labels) == 0:
        return Calibration(start, unbiased, np.zeros(classes))
    own = log_softmax(logits, axis=2)

    def parts(parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return parameters[: len(asked)], parameters[len(asked) :] + unbiased

    def loss(parameters: np.ndarray) -> float:
        """Mean log loss, with a light penalty on the distance from the start, which matters where there are few reviews."""
        weights, biases = parts(parameters)
        scaled = log_softmax(np.tensordot(weights, own, axes=1) + biases, axis=1)
        pull = np.square(weights - start).sum() + np.square(parameters[len(asked) :]).sum()
        return float(-scaled[np.arange(len(labels)), labels].mean() + pull / len(labels))

    bounds = [(0.0, 5.0) if may else (0.0, 0.0) for may in asked] + [(-5.0, 5.0) if seen else (0.0, 0.0) for seen in shown]
    best = minimize(loss, np.concatenate([start, np.zeros(classes)]), method="L-BFGS-B", bounds=bounds).x
    weights, biases = parts(best)
    biases = np.where(shown, biases - biases[shown].mean(), NEVER)
    plain = Calibration(weights, biases, np.zeros(classes))
    return Calibration(weights, biases, _best_handicaps(plain.probabilities(logits), shown))


def held_out_probabilities(logits: np.ndarray, labels: np.ndarray, asked: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """(n, classes) probabilities of each review, by a calibration fitted to four fifths of the reviews without it."""
    fold = np.arange(len(labels)) % FOLDS
    result = np.empty(logits.shape[1:])
    for held in range(FOLDS):
        others = calibrate(logits[:, fold != held], labels[fold != held], asked, shown)
        result[fold == held] = others.probabilities(logits[:, fold == held])
    return result


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-probability of the labels."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], MIN_PROBABILITY)).mean())


def _pooled(logits: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.tensordot(weights, log_softmax(logits, axis=2), axes=1)


def _best_handicaps(probabilities: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """(classes,) handicaps of the best expected macro-F1, optimised one class after the other on a grid until none changes.

    The expected F1 of a class uses probabilities instead of labels (Ye et al., "Optimizing F-measures: a tale of two approaches", 2012):
    with a few dozen reviews of a rare class, counted labels would be too noisy. The most frequent class has handicap 0.
    """
    own = np.log(np.maximum(probabilities, MIN_PROBABILITY))
    frequent = int(probabilities.sum(axis=0).argmax())
    handicaps = np.zeros(len(shown))
    for _ in range(HANDICAP_ROUNDS):
        before = handicaps.copy()
        for label in np.flatnonzero(shown & (np.arange(len(shown)) != frequent)):
            tried = np.repeat(handicaps[None], len(HANDICAPS), axis=0)
            tried[:, label] = HANDICAPS
            handicaps = tried[int(np.argmax([expected_macro_f1(probabilities, (own + each).argmax(axis=1), shown) for each in tried]))]
        if np.array_equal(before, handicaps):
            break
    return handicaps


def expected_macro_f1(probabilities: np.ndarray, decided: np.ndarray, shown: np.ndarray) -> float:
    """Expected macro-F1 of (n,) decisions over the classes `shown`, if labels follow the (n, classes) probabilities."""
    rows, classes = np.arange(len(decided)), len(shown)
    hits = np.bincount(decided, weights=probabilities[rows, decided], minlength=classes)
    support = np.bincount(decided, minlength=classes) + probabilities.sum(axis=0)
    return float((2 * hits / np.maximum(support, MIN_PROBABILITY))[shown].mean())


def class_f1(decided: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """(classes,) F1 of each class; NaN for a class that neither occurs nor is decided for."""
    confusion = np.bincount(labels * classes + decided, minlength=classes * classes).reshape(classes, classes)
    support = confusion.sum(axis=0) + confusion.sum(axis=1)
    return np.where(support > 0, 2 * np.diag(confusion) / np.maximum(support, 1), np.nan)


def macro_f1(decided: np.ndarray, labels: np.ndarray, classes: int) -> float:
    """Mean F1 over the classes that occur or are decided for."""
    return float(np.nanmean(class_f1(decided, labels, classes)))


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean distance between confidence and accuracy of the most probable class, over 15 equal bins by size (Naeini et al., 2015)."""
    confidence, hit = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=confidence - hit, minlength=BINS)
    return float(np.abs(gaps).sum() / max(len(labels), 1))


def calibration_error_by_chance(probabilities: np.ndarray, seed: int) -> float:
    """Mean expected calibration error of (n, classes) probabilities if labels were drawn from exactly these.

    It is never 0 for finitely many reviews. Only a measured error well above it shows that probabilities are not calibrated (Vaicenavicius
    et al., "Evaluating model calibration in classification", 2019).
    """
    rng, bounds = np.random.default_rng(seed), probabilities.cumsum(axis=1)[:, :-1]
    drawn = [(rng.random((len(bounds), 1)) > bounds).sum(axis=1) for _ in range(CHANCES)]
    return float(np.mean([expected_calibration_error(probabilities, labels) for labels in drawn]))


def figures(probabilities: np.ndarray, decided: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The metrics of (n, classes) probabilities over LABELS and (n,) decisions; f1_<class> for classes that occur or are decided for."""
    by_class = class_f1(decided, labels, len(LABELS))
    overall = {
        "macro_f1": macro_f1(decided, labels, len(LABELS)),
        "balanced_accuracy": float(recall_score(labels, decided, labels=np.unique(labels), average="macro", zero_division=0)),
        "accuracy": float(np.mean(decided == labels)),
        "ece": expected_calibration_error(probabilities, labels),
    }
    return overall | {f"f1_{label}": float(value) for label, value in zip(LABELS, by_class, strict=True) if not np.isnan(value)}
