"""Repeat purchases: what a customer bought before, the oftener and the more lately the more."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from ml.recommend.candidates import Arrays, Training
from ml.recommend.config import RecommenderConfig
from ml.recommend.shop_arrays import Catalogue, History


class Repeat:
    """Personal frequency with recency, for repeatable products: times bought x fade^(products bought since)."""

    name: ClassVar[str] = "repeat"
    strategy: ClassVar[str] = "buy_again"
    repeatable: np.ndarray

    def __init__(self, config: RecommenderConfig) -> None:
        self.config = config

    def suits(self, catalogue: Catalogue, products_seen: int) -> bool:
        del products_seen
        return bool(catalogue.repeatable.any())

    def fit(self, training: Training) -> None:
        self.repeatable = training.catalogue.repeatable

    def score(self, asked: History) -> np.ndarray:
        half_life = self.config.repeat_half_life_days * 86_400e6
        latest = asked.last_at.max(initial=0)
        recency = 0.5 ** ((latest - asked.last_at) / half_life)
        return asked.matrix(asked.targets * recency * self.repeatable[asked.product]).toarray()

    def affinity(self, asked: History, customers: np.ndarray, picks: np.ndarray, past: np.ndarray) -> np.ndarray | None:
        del asked, customers
        return (past == picks[:, None]).astype(np.float32)

    def arrays(self) -> Arrays:
        return {"repeatable": self.repeatable}

    def restore(self, arrays: Arrays) -> None:
        self.repeatable = arrays["repeatable"]

    def align(self, fitted: np.ndarray, catalogue: Catalogue, cache: Path) -> None:
        del fitted, cache
        self.repeatable = catalogue.repeatable
