"""The baseline of sentiment: TF-IDF and a balanced logistic regression.

Its terms are words and pairs of words, or one to three characters in scripts without blanks between words (Chinese, Japanese, Thai).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from ml.text.reviews import LABELS

MAX_TERMS = 100_000
UNSEEN_LOGIT = -1e4

_WRITTEN_WITHOUT_BLANKS = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")


def tfidf_logits(texts: Sequence[str], labels: np.ndarray, asked: Sequence[str]) -> np.ndarray:
    """(m, classes) scores of m texts after fitting n texts and their (n,) labels, indices into LABELS, of at least two classes.

    Softmax makes them probabilities. A class without texts has -1e4.
    """
    by_characters = _written_without_blanks(texts)
    vectorizer = TfidfVectorizer(
        analyzer="char" if by_characters else "word",
        ngram_range=(1, 3) if by_characters else (1, 2),
        max_features=MAX_TERMS,
        sublinear_tf=True,
    )
    regression = LogisticRegression(class_weight="balanced", max_iter=300, C=4.0).fit(vectorizer.fit_transform(texts), labels)
    scores = regression.decision_function(vectorizer.transform(asked))
    logits = np.full((len(asked), len(LABELS)), UNSEEN_LOGIT)
    logits[:, regression.classes_] = scores if scores.ndim == 2 else np.stack([np.zeros_like(scores), scores], axis=1)
    return logits


def _written_without_blanks(texts: Sequence[str]) -> bool:
    """Whether a fifth of the letters of the first thousand texts belong to scripts without blanks between words."""
    sample = "".join(texts[:1000])
    letters = sum(1 for character in sample if character.isalpha())
    return len(_WRITTEN_WITHOUT_BLANKS.findall(sample)) > 0.2 * max(letters, 1)
