"""Popularity: what everybody wants lately. Older events count less."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from ml.recommend.candidates.contract import Arrays, Training
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.histories import History


class Popularity:
    """The same scores for everybody: decayed sums of event weights."""

    name: ClassVar[str] = "popularity"
    strategy: ClassVar[str] = "popular"
    worth: np.ndarray

    def __init__(self, config: RecommenderConfig) -> None:
        self.config = config

    def suits(self, catalogue: Catalogue, history: History) -> bool:
        del catalogue, history
        return True

    def fit(self, training: Training) -> None:
        self.worth = training.popularity.astype(np.float32)

    def score(self, asked: History) -> np.ndarray:
        return np.broadcast_to(self.worth, (asked.customers, len(self.worth)))

    def affinity(self, asked: History, customers: np.ndarray, picks: np.ndarray, past: np.ndarray) -> np.ndarray | None:
        del asked, customers, picks, past
        return None

    def arrays(self) -> Arrays:
        return {"worth": self.worth}

    def restore(self, arrays: Arrays) -> None:
        self.worth = arrays["worth"]

    def align(self, fitted: np.ndarray, catalogue: Catalogue, cache: Path) -> None:
        del catalogue, cache
        self.worth = np.where(fitted >= 0, self.worth[fitted], 0).astype(np.float32)
