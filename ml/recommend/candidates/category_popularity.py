"""What is wanted lately within the categories a customer likes."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from ml.recommend.candidates.contract import Arrays, Training
from ml.recommend.candidates.popularity import Popularity
from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.histories import History


class CategoryPopularity(Popularity):
    """A product's share of its category's popularity, times the category's share of the customer's decayed history."""

    name: ClassVar[str] = "category_popularity"
    strategy: ClassVar[str] = "popular_in_category"
    category: np.ndarray

    def suits(self, catalogue: Catalogue, history: History) -> bool:
        del history
        return len(np.unique(catalogue.category[catalogue.category >= 0])) > 1

    def fit(self, training: Training) -> None:
        super().fit(training)
        self.category = training.catalogue.category

    def score(self, asked: History) -> np.ndarray:
        categories = int(self.category.max(initial=-1)) + 1
        known = self.category >= 0
        totals = np.bincount(self.category[known], weights=self.worth[known], minlength=categories)
        share = np.where(known, self.worth / np.maximum(totals, 1e-12)[self.category], 0).astype(np.float32)
        past = self.category[asked.product]
        kept = past >= 0
        liking = np.bincount(
            asked.customer[kept] * categories + past[kept],
            weights=(self.config.fade**asked.steps * np.log1p(asked.evidence))[kept],
            minlength=asked.customers * categories,
        ).reshape(asked.customers, categories)
        liking = np.concatenate([liking, np.zeros((asked.customers, 1))], axis=1).astype(np.float32)  # column -1: no category
        return liking[:, self.category] * share

    def align(self, fitted: np.ndarray, catalogue: Catalogue, cache: Path) -> None:
        super().align(fitted, catalogue, cache)
        self.category = catalogue.category

    def arrays(self) -> Arrays:
        return super().arrays() | {"category": self.category}

    def restore(self, arrays: Arrays) -> None:
        super().restore(arrays)
        self.category = arrays["category"]
