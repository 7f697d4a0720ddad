"""Logistic regression over TF-IDF weights of word and character n-grams: fast, and good in every language.

N-grams are weighted by how much their shares inside and outside of a class differ (Wang and Manning, "Baselines and bigrams: simple, good
sentiment and topic classification", 2012). Each class is fitted against the others by dual coordinate descent (Yu, Huang and Lin, "Dual
coordinate descent methods for logistic regression and maximum entropy models", 2011), which takes seconds where there are more n-grams
than reviews.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from safetensors.numpy import save as to_bytes
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from ml.text.calibration import held_out_probabilities, log_loss
from ml.text.ngrams import BUCKETS, count_in_parts, count_ngrams
from ml.text.reviews import LABELS, Reviews

log = logging.getLogger(__name__)

STRENGTHS = (1.0, 4.0, 16.0, 64.0)  # inverse strengths of regularisation, tried until validation gets worse
USUAL_STRENGTH = 4.0
TOLERANCE = 0.05
SMOOTHING = 0.1
MIN_TEXTS = 2  # training texts that must have an n-gram
UNSEEN_LOGIT = -1e4
FILE = "linear.safetensors"


class LinearClassifier:
    """Logistic regressions over sublinear TF-IDF weights of hashed n-grams; texts are scaled to length 1.

    Attributes:
        columns: (m,) int32, the buckets of n-grams that at least two training texts have, ascending.
        idf: (m,) float32, log((1 + texts) / (1 + texts with the n-gram)) + 1.
        coefficients: (classes, m) float32, in the order of LABELS.
        intercepts: (classes,) float32; -1e4 for a class without training texts.
        strength: inverse strength of regularisation that it was fitted with.
    """

    columns: np.ndarray
    idf: np.ndarray
    coefficients: np.ndarray
    intercepts: np.ndarray
    strength: float

    @classmethod
    def fit(cls, texts: Sequence[str], labels: np.ndarray, weights: np.ndarray, strength: float) -> LinearClassifier:
        """Fit on n texts, their (n,) labels (indices into LABELS, of at least two classes) and the (n,) weights of the texts."""
        return cls._fit(count_ngrams(texts), labels, weights, strength)

    @classmethod
    def _fit(cls, counts: sparse.csr_matrix, labels: np.ndarray, text_weights: np.ndarray, strength: float) -> LinearClassifier:
        """The same from (n, BUCKETS) counts."""
        model = cls()
        texts_with = np.bincount(counts.indices, minlength=BUCKETS)
        model.columns = np.flatnonzero(texts_with >= min(MIN_TEXTS, counts.shape[0])).astype(np.int32)
        model.idf = (np.log((1 + counts.shape[0]) / (1 + texts_with[model.columns])) + 1).astype(np.float32)
        model.coefficients = np.zeros((len(LABELS), len(model.columns)), np.float32)
        model.intercepts = np.full(len(LABELS), UNSEEN_LOGIT, np.float32)
        model.strength = strength
        weights, shown = model._weights_of(counts), np.unique(labels)
        for label in shown if len(shown) > 2 else shown[1:]:
            speaks = np.abs(_log_count_ratio(weights, labels == label, text_weights))
            one = LogisticRegression(C=strength, solver="liblinear", dual=True, tol=TOLERANCE, random_state=0)
            one.fit(weights @ sparse.diags_array(speaks), labels == label, sample_weight=text_weights)
            model.coefficients[label], model.intercepts[label] = one.coef_[0] * speaks, one.intercept_[0]
        if len(shown) == 2:  # what is evidence for the one is evidence against the other
            model.intercepts[shown[0]] = 0.0
        return model

    @property
    def shown(self) -> np.ndarray:
        """(classes,) whether a class had training texts."""
        return np.asarray(self.intercepts > UNSEEN_LOGIT)

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        """(n, classes) float64 logits over LABELS, before calibration; about -1e4 for a class without training texts."""
        return np.concatenate([np.zeros((0, len(LABELS))), *(self._logits_of(part) for part in count_in_parts(texts))])

    def _logits_of(self, counts: sparse.csr_matrix) -> np.ndarray:
        return np.asarray(self._weights_of(counts) @ self.coefficients.T, dtype=np.float64) + self.intercepts

    def _weights_of(self, counts: sparse.csr_matrix) -> sparse.csr_matrix:
        """(n, BUCKETS) counts to (n, m) TF-IDF weights, rows of length 1."""
        place = np.full(BUCKETS, -1, np.int32)
        place[self.columns] = np.arange(len(self.columns), dtype=np.int32)
        column = place[counts.indices]
        kept = column >= 0
        bounds = np.concatenate([[0], np.cumsum(kept)])[counts.indptr]
        column = column[kept]
        values = (1 + np.log(counts.data[kept])) * self.idf[column]
        row = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
        lengths = np.sqrt(np.bincount(row, weights=values.astype(np.float64) ** 2, minlength=len(bounds) - 1))
        values = (values / lengths[row]).astype(np.float32)
        return sparse.csr_matrix((values, column, bounds), shape=(len(bounds) - 1, len(self.columns)))

    def save(self, folder: Path) -> None:
        """Write linear.safetensors and linear.json."""
        save_file(self._tensors(), folder / FILE)
        (folder / "linear.json").write_text(json.dumps({"strength": self.strength}))

    def weights(self) -> bytes:
        """The whole model as one safetensors document."""
        return to_bytes(self._tensors())

    def _tensors(self) -> dict[str, np.ndarray]:
        return {"columns": self.columns, "idf": self.idf, "coefficients": self.coefficients, "intercepts": self.intercepts}

    @classmethod
    def load(cls, folder: Path) -> LinearClassifier:
        """The model as `save` left it."""
        model = cls()
        for name, tensor in load_file(folder / FILE).items():
            setattr(model, name, tensor)
        model.strength = float(json.loads((folder / "linear.json").read_text())["strength"])
        return model


def _log_count_ratio(weights: sparse.csr_matrix, is_class: np.ndarray, text_weights: np.ndarray) -> np.ndarray:
    """(m,) float32 log of an n-gram's share among the texts of a class over its share among the others, with weighted texts."""
    inside, outside = (weights.T @ np.where(rows, text_weights, 0.0) + SMOOTHING for rows in (is_class, ~is_class))
    return (np.log(inside / inside.sum()) - np.log(outside / outside.sum())).astype(np.float32)


def fit_best(train: Reviews, validation: Reviews) -> LinearClassifier:
    """The linear model of the training reviews with the strength of the lowest calibrated log loss on the validation reviews."""
    counts = count_ngrams(train.texts)
    if not len(validation):
        return LinearClassifier._fit(counts, train.labels, train.weights, USUAL_STRENGTH)
    asked, losses = count_ngrams(validation.texts), [np.inf]
    for strength in STRENGTHS:
        model = LinearClassifier._fit(counts, train.labels, train.weights, strength)
        read = held_out_probabilities(model._logits_of(asked)[None], validation.labels, np.array([True]), model.shown)
        losses.append(log_loss(read, validation.labels))
        if losses[-1] > min(losses):
            break
        best = model
    tried_losses = ", ".join(f"{loss:.4f} at {strength:g}" for strength, loss in zip(STRENGTHS, losses[1:], strict=False))
    log.info("linear model of %d reviews, %d n-grams: log loss on validation %s", len(train), len(best.columns), tried_losses)
    return best
