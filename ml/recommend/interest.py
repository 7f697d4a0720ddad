"""Unfinished business: what a customer looked at, wished for or put in the cart, and did not get yet."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from ml.recommend.candidates import Arrays, Training
from ml.recommend.config import RecommenderConfig
from ml.recommend.snapshot import Catalogue, History

DAY = 86_400_000_000


class Interest:
    """Evidence since the last purchase of the product, fading with the days since the last event."""

    name: ClassVar[str] = "interest"
    strategy: ClassVar[str] = "interest"

    def __init__(self, config: RecommenderConfig) -> None:
        self.config = config

    def suits(self, catalogue: Catalogue, products_seen: int) -> bool:
        del catalogue
        return products_seen > 1

    def fit(self, training: Training) -> None:
        del training

    def score(self, asked: History) -> np.ndarray:
        days = (asked.moment - asked.last_at) / DAY
        open_ = asked.last_at > asked.last_target_at
        worth = np.log1p(asked.evidence) * 0.5 ** (days / self.config.interest_half_life_days)
        return asked.matrix(worth * open_).toarray()

    def affinity(self, asked: History, customers: np.ndarray, picks: np.ndarray, past: np.ndarray) -> np.ndarray | None:
        del asked, customers
        return (past == picks[:, None]).astype(np.float32)

    def arrays(self) -> Arrays:
        return {}

    def restore(self, arrays: Arrays) -> None:
        del arrays

    def align(self, fitted: np.ndarray, catalogue: Catalogue, cache: Path) -> None:
        del fitted, catalogue, cache
