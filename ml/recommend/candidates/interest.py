"""Interest: what a customer looked at, wished for, put in the cart or bought; often and recent counts most."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from ml.recommend.candidates.contract import Arrays, Training
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.histories import History

DAY = 86_400_000_000


class Interest:
    """Damped evidence, which halves with every half-life after the last event. The caller leaves out what is not bought twice."""

    name: ClassVar[str] = "interest"
    strategy: ClassVar[str] = "interest"

    def __init__(self, config: RecommenderConfig) -> None:
        self.config = config

    def suits(self, catalogue: Catalogue, history: History) -> bool:
        del catalogue
        return history.products_seen > 1

    def fit(self, training: Training) -> None:
        del training

    def score(self, asked: History) -> np.ndarray:
        days = (asked.moment - asked.last_at) / DAY
        return asked.matrix(np.log1p(asked.evidence) * 0.5 ** (days / self.config.interest_half_life_days)).toarray()

    def affinity(self, asked: History, customers: np.ndarray, picks: np.ndarray, past: np.ndarray) -> np.ndarray | None:
        del asked, customers
        return (past == picks[:, None]).astype(np.float32)

    def arrays(self) -> Arrays:
        return {}

    def restore(self, arrays: Arrays) -> None:
        del arrays

    def align(self, fitted: np.ndarray, catalogue: Catalogue, cache: Path) -> None:
        del fitted, catalogue, cache
