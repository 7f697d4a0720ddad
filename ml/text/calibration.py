"""From a classifier's logits to probabilities that can be believed, and to a decision that serves rare classes too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

BINS = 15
PRIOR_POWERS = np.linspace(0.0, 1.0, 11)


@dataclass(frozen=True)
class Calibration:
    """How logits are read.

    Probabilities are softmax(logits / temperature + biases): temperature scaling with a bias a class (Guo et al., "On Calibration of
    Modern Neural Networks", 2017). The decided class is the one with the largest log-probability - prior_power * log(prior), the
    logit adjustment of Menon et al. ("Long-tail learning via logit adjustment", 2021): at 0 the most probable class, at 1 the one whose
    probability rose most above its share. It can therefore differ from the most probable class.

    Attributes:
        temperature: above 1 softens.
        biases: (classes,), of mean 0.
        priors: (classes,) shares of the classes among the validation reviews.
        prior_power: between 0 and 1, chosen on validation for macro-F1.
    """

    temperature: float
    biases: np.ndarray
    priors: np.ndarray
    prior_power: float

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """(n, classes) logits to (n, classes) probabilities."""
        return softmax(logits / self.temperature + self.biases, axis=1)

    def decide(self, probabilities: np.ndarray) -> np.ndarray:
        """(n, classes) probabilities to (n,) classes; ties go to the first."""
        return np.argmax(np.log(np.maximum(probabilities, 1e-12)) - self.prior_power * np.log(self.priors), axis=1)

    def to_json(self) -> dict[str, object]:
        return {
            "temperature": self.temperature,
            "biases": self.biases.tolist(),
            "priors": self.priors.tolist(),
            "prior_power": self.prior_power,
        }

    @classmethod
    def from_json(cls, fields: dict[str, object]) -> Calibration:
        temperature, prior_power = float(str(fields["temperature"])), float(str(fields["prior_power"]))
        return cls(temperature, np.asarray(fields["biases"], dtype=float), np.asarray(fields["priors"], dtype=float), prior_power)


def calibrate(logits: np.ndarray, labels: np.ndarray) -> Calibration:
    """Fit a calibration to (n, classes) logits and (n,) labels of reviews the classifier was not trained on.

    Without such reviews it changes nothing and decides for the most probable class.
    """
    classes = logits.shape[1]
    priors = (np.bincount(labels, minlength=classes) + 1.0) / (len(labels) + classes)
    if len(labels) == 0:
        return Calibration(1.0, np.zeros(classes), priors, 0.0)

    def loss(parameters: np.ndarray) -> float:
        """Mean log loss, with a light pull to no change, which decides where there are few reviews."""
        scaled = log_softmax(logits * np.exp(-parameters[0]) + parameters[1:], axis=1)
        return float(-scaled[np.arange(len(labels)), labels].mean() + np.square(parameters).sum() / len(labels))

    best = minimize(loss, np.zeros(1 + classes), method="L-BFGS-B", bounds=[(-2.0, 3.0)] + [(-5.0, 5.0)] * classes).x
    plain = Calibration(float(np.exp(best[0])), best[1:] - best[1:].mean(), priors, 0.0)
    return Calibration(plain.temperature, plain.biases, priors, _best_power(plain, plain.probabilities(logits), labels))


def _best_power(plain: Calibration, probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The prior power of the best macro-F1, each averaged with its neighbours' since rare classes make the single values jump."""
    scores = np.array(
        [
            macro_f1(
                Calibration(plain.temperature, plain.biases, plain.priors, float(power)).decide(probabilities), labels, len(plain.priors)
            )
            for power in PRIOR_POWERS
        ]
    )
    padded = np.pad(scores, 1, mode="edge")
    smooth = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    return float(PRIOR_POWERS[int(np.argmax(smooth))])


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
