"""TF-IDF and logistic regression over reviews: the baseline of the sentiment model, and its stand-in where the encoder fails.

Words and pairs of words where words are written apart, one to three characters where they are not (Chinese, Japanese, Thai).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from safetensors.numpy import save as to_bytes
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from ml.text.reviews import LABELS

_WRITTEN_WITHOUT_BLANKS = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")

UNSEEN_LOGIT = -1e4


class LinearClassifier:
    """Balanced logistic regression over sublinear TF-IDF weights of n-grams.

    Attributes:
        vectorizer: texts to a sparse (n, terms) matrix.
        coefficients: (classes, terms) float64.
        intercepts: (classes,) float64; -1e4 for a class that training did not show.
    """

    vectorizer: TfidfVectorizer
    coefficients: np.ndarray
    intercepts: np.ndarray

    @classmethod
    def fit(cls, texts: Sequence[str], labels: np.ndarray, max_words: int) -> LinearClassifier:
        """Fit on n texts and their (n,) labels, indices into LABELS, of at least two classes."""
        model = cls()
        model.vectorizer = _vectorizer(_analyzer(texts), max_words)
        regression = LogisticRegression(class_weight="balanced", max_iter=300, C=4.0)
        regression.fit(model.vectorizer.fit_transform(texts), labels)
        coefficients, intercepts = regression.coef_, regression.intercept_
        if len(regression.classes_) == 2:  # scikit-learn keeps one row for two classes
            coefficients, intercepts = np.vstack([np.zeros_like(coefficients), coefficients]), np.concatenate([[0.0], intercepts])
        model.coefficients = np.zeros((len(LABELS), coefficients.shape[1]))
        model.intercepts = np.full(len(LABELS), UNSEEN_LOGIT)
        model.coefficients[regression.classes_] = coefficients
        model.intercepts[regression.classes_] = intercepts
        return model

    def logits(self, texts: Sequence[str], batch_size: int = 0) -> np.ndarray:  # noqa: ARG002 - the encoder's signature
        """(n, classes) float64 scores, whose softmax are the probabilities; -1e4 for a class that training did not show."""
        return np.asarray(self.vectorizer.transform(texts) @ self.coefficients.T) + self.intercepts

    def save(self, folder: Path) -> None:
        """Write vocabulary.json and linear.safetensors."""
        terms = self.vectorizer.get_feature_names_out().tolist()
        (folder / "vocabulary.json").write_text(json.dumps({"analyzer": self.vectorizer.analyzer, "terms": terms}, ensure_ascii=False))
        save_file(
            {"idf": self.vectorizer.idf_, "coefficients": self.coefficients, "intercepts": self.intercepts}, folder / "linear.safetensors"
        )

    def weights(self) -> bytes:
        """The weights and terms as one document."""
        return to_bytes(self._tensors()) + "\n".join(self.vectorizer.get_feature_names_out()).encode()

    def _tensors(self) -> dict[str, np.ndarray]:
        return {"idf": self.vectorizer.idf_, "coefficients": self.coefficients, "intercepts": self.intercepts}

    @classmethod
    def load(cls, folder: Path) -> LinearClassifier:
        """The model as `save` left it."""
        vocabulary = json.loads((folder / "vocabulary.json").read_text())
        weights = load_file(folder / "linear.safetensors")
        model = cls()
        model.vectorizer = _vectorizer(vocabulary["analyzer"], None, vocabulary["terms"])
        model.vectorizer.idf_ = weights["idf"]
        model.coefficients, model.intercepts = weights["coefficients"], weights["intercepts"]
        return model


def _vectorizer(analyzer: str, max_words: int | None, terms: list[str] | None = None) -> TfidfVectorizer:
    return TfidfVectorizer(
        analyzer=analyzer,
        ngram_range=(1, 2) if analyzer == "word" else (1, 3),
        max_features=max_words,
        vocabulary=terms,
        sublinear_tf=True,
    )


def _analyzer(texts: Sequence[str]) -> str:
    """'char' where a fifth of the letters belong to scripts without blanks between words, else 'word'; seen on the first thousand texts."""
    sample = "".join(texts[:1000])
    letters = sum(1 for character in sample if character.isalpha())
    return "char" if len(_WRITTEN_WITHOUT_BLANKS.findall(sample)) > 0.2 * max(letters, 1) else "word"
