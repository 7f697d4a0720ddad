"""The price of a product: the mean of its category, drawn to the shop's mean where a category has few products.

One product in five is left out by its id to evaluate the model on. Measured is the closeness, 1 / (1 + |log(price / expected)|), beside one
price for all.
"""

from __future__ import annotations

import json
import math
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Self

import duckdb
import numpy as np
from ml.pricing.config import PriceConfig

from ml.nightly_model import Evaluation, Metric, NightlyModel, Split

LEFT_OUT = "hash(product_id) % 5 = 0"
PRICED = "FROM read_parquet(?) WHERE price > 0"


class PriceModel(NightlyModel):
    """See the module.

    Attributes:
        mean: mean logarithm of the price, by category; '' is the shop's.
    """

    name: ClassVar[str] = "price"
    deciding: ClassVar[str] = "closeness"

    config: PriceConfig
    mean: dict[str, float]

    @classmethod
    def unavailable_reason(cls, features: Path, config: object) -> str | None:
        del config
        (priced,) = duckdb.execute(f"SELECT count(*) {PRICED}", [_products(features)]).fetchall()[0]
        return None if priced >= 10 else f"{priced} products have a price, 10 are needed"

    @classmethod
    def test_starts_at(cls, features: Path) -> datetime | None:
        query = "SELECT min(starts_at) FROM read_parquet(?) WHERE split = 'test'"
        (moment,) = duckdb.execute(query, [str(features / "splits.parquet")]).fetchall()[0]
        return moment

    def fit(self, features: Path, cache: Path, warm_start: Self | None = None) -> None:
        del cache, warm_start  # the means cost nothing to learn anew
        self._learn(features, f"NOT ({LEFT_OUT})")

    def refit(self, features: Path, cache: Path, evaluated: Self) -> None:
        del cache, evaluated
        self._learn(features, "true")

    def _learn(self, features: Path, which: str) -> None:
        query = f"SELECT coalesce(category, ''), sum(ln(price)), count(*) {PRICED} AND {which} GROUP BY ALL ORDER BY ALL"
        sums = {category: (total, rows) for category, total, rows in duckdb.execute(query, [_products(features)]).fetchall()}
        shop = sum(total for total, _ in sums.values()) / max(1, sum(rows for _, rows in sums.values()))
        doubt = self.config.doubt
        self.mean = {category: (total + doubt * shop) / (rows + doubt) for category, (total, rows) in sums.items()} | {"": shop}

    def evaluate(self, features: Path, split: Split, cache: Path) -> Evaluation:
        del cache
        query = f"SELECT product_id, coalesce(category, ''), price {PRICED} AND {LEFT_OUT} ORDER BY product_id"
        rows = duckdb.execute(query, [_products(features)]).fetchall()
        if not rows:
            return Evaluation(split, [], np.empty(0, dtype=object), np.empty(0), nobody="no product with a price was left out")
        own, shop = (np.array([1 / (1 + abs(math.log(price) - mean(category))) for _, category, price in rows]) for mean in self._means())
        ids = np.array([product_id for product_id, *_ in rows], dtype=object)
        figure = Metric(self.deciding, float(own.mean()), "one_price", float(shop.mean()))
        return Evaluation(split, [figure], ids, own, baselines={"one_price": shop})

    def predict(self, features: Path, out: Path, cache: Path, previous: Path | None = None) -> dict[str, int]:
        del cache, previous
        query = "SELECT product_id, coalesce(category, '') FROM read_parquet(?) ORDER BY product_id"
        mean, _ = self._means()
        rows = [(product, math.exp(mean(category))) for product, category in duckdb.execute(query, [_products(features)]).fetchall()]
        with duckdb.connect() as connection:
            connection.execute("CREATE TABLE expected_prices (product_id VARCHAR, expected_price DOUBLE)")
            connection.executemany("INSERT INTO expected_prices VALUES (?, ?)", rows)
            connection.table("expected_prices").write_parquet(str(out / "expected_prices.parquet"))
        return {"expected_prices": len(rows)}

    def _means(self):
        return (lambda category: self.mean.get(category, self.mean[""])), (lambda _: self.mean[""])

    def save(self, folder: Path) -> None:
        (folder / "price.json").write_text(json.dumps({"config": self.config.model_dump(), "mean": self.mean}))

    @classmethod
    def load(cls, folder: Path) -> Self:
        kept = json.loads((folder / "price.json").read_text())
        model = cls(PriceConfig.model_validate(kept["config"]))
        model.mean = kept["mean"]
        return model


def _products(features: Path) -> str:
    return str(features / "products.parquet")
