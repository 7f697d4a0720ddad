"""Repeat purchases: what a customer bought before; often and recent counts most."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from ml.recommend.candidates.contract import Arrays, Training
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.histories import History


class Repeat:
    """Personal frequency with recency, for repeatable products: times bought x 0.5^(days before the latest product / half-life)."""

    name: ClassVar[str] = "repeat"
    strategy: ClassVar[str] = "buy_again"

    def __init__(self, config: RecommenderConfig) -> None:
        self.config = config

    def suits(self, catalogue: Catalogue, history: History) -> bool:
        del catalogue
        return bool(history.repeatable.any())

    def fit(self, training: Training) -> None:
        del training

    def score(self, asked: History) -> np.ndarray:
        half_life = self.config.repeat_half_life_days * 86_400e6
        latest = asked.last_at[asked.indptr[asked.customer]]  # of this customer alone
        recency = 0.5 ** ((latest - asked.last_at) / half_life)
        return asked.matrix(asked.targets * recency * asked.repeatable[asked.product]).toarray()

    def affinity(self, asked: History, customers: np.ndarray, picks: np.ndarray, past: np.ndarray) -> np.ndarray | None:
        del asked, customers
        return (past == picks[:, None]).astype(np.float32)

    def arrays(self) -> Arrays:
        return {}

    def restore(self, arrays: Arrays) -> None:
        del arrays

    def align(self, fitted: np.ndarray, catalogue: Catalogue, cache: Path) -> None:
        del fitted, catalogue, cache
