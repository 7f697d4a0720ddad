"""Content: products with texts like those of what the customer liked. New products enter the lists this way."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from ml.recommend.candidates.als import vector_affinity
from ml.recommend.candidates.contract import Arrays, Training
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.histories import History
from ml.text.encoder.text_encoder import TextEncoder


class Content:
    """Cosine between a product's text vector and the decayed mean of the vectors in the customer's history."""

    name: ClassVar[str] = "content"
    strategy: ClassVar[str] = "content"
    vectors: np.ndarray

    def __init__(self, config: RecommenderConfig) -> None:
        self.config = config

    def suits(self, catalogue: Catalogue, history: History) -> bool:
        del history
        texts = catalogue.texts.unique()
        return len(texts) > 2 or (len(texts) == 2 and "" not in texts.to_pylist())

    def fit(self, training: Training) -> None:
        self._read(training.catalogue, training.cache)

    def score(self, asked: History) -> np.ndarray:
        decayed = asked.matrix(self.config.fade**asked.steps * np.log1p(asked.evidence))
        profile = decayed @ self.vectors
        length = np.linalg.norm(profile, axis=1, keepdims=True)
        return (profile / np.where(length > 0, length, 1)) @ self.vectors.T

    def affinity(self, asked: History, customers: np.ndarray, picks: np.ndarray, past: np.ndarray) -> np.ndarray | None:
        del asked, customers
        return vector_affinity(self.vectors, picks, past, self.config.fade)

    def arrays(self) -> Arrays:
        return {"vectors": self.vectors}

    def restore(self, arrays: Arrays) -> None:
        self.vectors = arrays["vectors"]

    def align(self, fitted: np.ndarray, catalogue: Catalogue, cache: Path) -> None:
        del fitted
        self._read(catalogue, cache)

    def _read(self, catalogue: Catalogue, cache: Path) -> None:
        encoder = TextEncoder(self.config.encoder, cache, self.config.threads)
        self.vectors = encoder.encode(catalogue.texts.to_pylist())
