"""Which products share words in their texts, so that a model can transfer what it learned about one product to others."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

from ml.recommend.data.catalogue import Catalogue

MAX_WORDS = 4096
# a Chinese character is a word of its own
WORD = r"[\u3400-\u9fff]|[^\W_]+"


def word_weights(catalogue: Catalogue) -> sp.csr_matrix:
    """(P, v) weights of the catalogue's most frequent words, rows of length 1. Words of one product or of more than half are left out.

    The weight is the inverse document frequency (Spärck Jones 1972), however often a word occurs in the text.
    """
    texts = catalogue.texts.to_pylist()
    vectorizer = TfidfVectorizer(
        token_pattern=WORD, min_df=2, max_df=max(2, len(texts) // 2), max_features=MAX_WORDS, binary=True, dtype=np.float32
    )
    try:
        return vectorizer.fit_transform(texts).tocsr()
    except ValueError:  # no word occurs in two products
        return sp.csr_matrix((len(texts), 0), dtype=np.float32)


def precision(words: sp.csr_matrix, trust: float) -> torch.Tensor:
    """(P, P) inverse of I + trust * words @ words.T, by way of the (v, v) matrix (Woodbury's identity)."""
    inner = torch.from_numpy((words.T @ words).toarray()).mul_(trust)
    inner.diagonal().add_(1)
    half = torch.linalg.solve_triangular(torch.linalg.cholesky(inner), torch.from_numpy(words.T.toarray()), upper=False)
    inverse = (half.T @ half).mul_(-trust)
    inverse.diagonal().add_(1)
    return inverse
