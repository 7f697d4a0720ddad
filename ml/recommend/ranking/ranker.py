"""The ranker: gradient-boosted trees (LightGBM: Ke et al., 2017) that order the best candidates of all generators.

It is the sum of two models: one with the binary objective (how likely the customer wants the product) and, with half the weight, one
with the lambdarank objective (where the product belongs in the list; LambdaMART: Burges, 2010). Both together order better than either: see
docs/experiments_recommendations.md.

The ranker learns from days after the history of its generators and never from the rows that they were fitted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import lightgbm as lgb
import numpy as np
from scipy.special import expit

from ml.recommend.config import RecommenderConfig
from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.histories import History
from ml.recommend.data.product_statistics import ProductStatistics
from ml.recommend.evaluation.metrics import discounts
from ml.recommend.ranking.features import feature_table
from ml.recommend.ranking.topk import top_k

# generators whose scores are shares or similarities, comparable between customers and days
COMPARABLE_SCORES = ("follow", "taste", "user_knn", "transitions")
# the file that each booster is kept in, by its objective
FILES = {"binary": "ranker_wishes.txt", "lambdarank": "ranker_places.txt"}
LAMBDARANK_WEIGHT = 0.5  # of its raw score beside the log-odds of the binary objective
TRUNCATION = 30  # pairs without a product among the first so many are not learned from


@dataclass(frozen=True)
class Rows:
    """What the ranker learns from: the candidate pools of some customers, one after the other.

    Attributes:
        names: (f,) features.
        tables: (r, f) float32, in blocks; as one table they would be in memory twice.
        wanted: (r,) whether the customer went on to want the product.
        sizes: (n,) rows of each customer.
        label_counts: (n,) how many products each customer went on to want, in the pool or not.
        customers: (n,) their ids.
    """

    names: Sequence[str]
    tables: Sequence[np.ndarray]
    wanted: np.ndarray
    sizes: np.ndarray
    label_counts: np.ndarray
    customers: np.ndarray

    def only(self, kept: np.ndarray) -> Self:
        """The rows of the (n,) customers kept."""
        rows = np.repeat(kept, self.sizes)
        of_tables = np.split(rows, np.cumsum([len(table) for table in self.tables])[:-1])
        tables = [table[some] for table, some in zip(self.tables, of_tables, strict=True)]
        return type(self)(self.names, tables, self.wanted[rows], self.sizes[kept], self.label_counts[kept], self.customers[kept])

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Several groups of customers as one, with the features of the first. Earlier, a shop may not have had all of its generators."""
        names, arrays = parts[0].names, ("wanted", "sizes", "label_counts", "customers")
        tables = [arranged(part.names, table, names) for part in parts for table in part.tables]
        return cls(names, tables, *(np.concatenate([getattr(part, name) for part in parts]) for name in arrays))

    def ndcg(self, scores: np.ndarray, k: int) -> np.ndarray:
        """(n,) NDCG@k of ordering each customer's rows by (r,) scores; of equal ones the earlier row."""
        starts = np.concatenate([[0], np.cumsum(self.sizes)])[:-1]
        customer = np.repeat(np.arange(len(self.sizes)), self.sizes)
        order = np.lexsort((-scores, customer))
        rank = np.arange(len(order)) - starts[customer]
        gain = np.where((rank < k) & self.wanted[order], 1 / np.log2(np.minimum(rank, k) + 2), 0)
        ideal = np.cumsum(discounts(k))[np.clip(self.label_counts, 1, k) - 1]
        return np.bincount(customer, weights=gain, minlength=len(self.sizes)) / ideal


class Ranker:
    """Two LightGBM models fitted on the same features, one with the binary objective and one with lambdarank."""

    def __init__(self, binary: lgb.Booster, lambdarank: lgb.Booster) -> None:
        self.binary = binary
        self.lambdarank = lambdarank

    @classmethod
    def fit(cls, rows: Rows, config: RecommenderConfig) -> Self | None:
        """A ranker fitted on the pools; None where no pool has anything that was wanted.

        The same rows and seed give the same trees, whatever the number of threads.
        """
        if not rows.wanted.any():
            return None
        settings = {
            "learning_rate": config.ranker_rate,
            "num_leaves": config.ranker_leaves,
            "min_data_in_leaf": 50,
            "lambda_l2": 5.0,
            "feature_fraction": 0.5,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "max_bin": 127,
            "deterministic": True,
            "force_row_wise": True,
            "seed": config.seed,
            "num_threads": config.threads,
            "verbose": -1,
        }
        # between counting each customer once, as NDCG does, and each wanted product once, which varies less
        weight = np.repeat(1 / np.sqrt(np.maximum(rows.label_counts, 1)), rows.sizes)
        tables = [table for table in rows.tables if len(table)]
        data = lgb.Dataset(
            tables,
            rows.wanted.astype(np.int8),
            weight=weight / weight.mean(),
            group=rows.sizes[rows.sizes > 0],
            feature_name=list(rows.names),
        )
        objectives = ({"objective": "binary"}, {"objective": "lambdarank", "lambdarank_truncation_level": TRUNCATION})
        return cls(*(lgb.train(settings | objective, data, config.ranker_rounds) for objective in objectives))

    def predict(self, names: Sequence[str], table: np.ndarray, threads: int) -> np.ndarray:
        """(r,) float32 scores in (0, 1) of (r, f) features. A feature of the trees that is not in `names` counts as unknown."""
        if not len(table):
            return np.empty(0, np.float32)
        table = arranged(names, table, self.binary.feature_name())
        boosters = (self.binary, self.lambdarank)
        log_odds, order = (np.asarray(booster.predict(table, raw_score=True, num_threads=threads)) for booster in boosters)
        return expit(log_odds + LAMBDARANK_WEIGHT * order).astype(np.float32)

    def predict_rows(self, rows: Rows, threads: int) -> np.ndarray:
        """(r,) scores of all rows."""
        return np.concatenate([self.predict(rows.names, table, threads) for table in rows.tables])

    def save(self, folder: Path) -> None:
        """Write ranker_wishes.txt (the binary objective) and ranker_places.txt (lambdarank), LightGBM's own text."""
        for objective, file in FILES.items():
            (folder / file).write_text(getattr(self, objective).model_to_string())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The trees as `save` left them.

        Raises:
            lightgbm.basic.LightGBMError: a file is not such a text.
        """
        return cls(*(lgb.Booster(model_str=(folder / file).read_text()) for file in FILES.values()))


@dataclass(frozen=True)
class BoundRanker:
    """A ranker with what its features are made of.

    Attributes:
        ranker: the trees.
        names: of the generators, in the order of their scores.
        catalogue, statistics: as of the moment of the histories to score for.
    """

    ranker: Ranker
    names: Sequence[str]
    catalogue: Catalogue
    statistics: ProductStatistics

    def order(
        self, asked: History, pool: np.ndarray, live: np.ndarray, scores: Sequence[np.ndarray], best: Sequence[np.ndarray]
    ) -> np.ndarray:
        """(live places,) float32 scores, in (0, 1), of the candidates.

        Args:
            asked: histories of n customers.
            pool: (n, m) product numbers.
            live: (n, m) whether a place holds a product that may be shown.
            scores: c times (n, m) unit scores.
            best: c times (n,) the unscaled score of what is 1 in them.
        """
        of, comparable = dict(zip(self.names, scores, strict=True)), comparable_scores(self.names, best)
        names, table = feature_table(asked, pool, of, comparable, self.catalogue, self.statistics)
        return self.ranker.predict(names, table[live.ravel()], threads=1)


def arranged(names: Sequence[str], table: np.ndarray, wanted: Sequence[str]) -> np.ndarray:
    """The (r, f) columns called `names` in the order of `wanted`; NaN for a feature that is not among them."""
    if list(names) == list(wanted):
        return table
    place = {name: number for number, name in enumerate(names)}
    unknown = np.full(len(table), np.nan, np.float32)
    return np.column_stack([table[:, place[name]] if name in place else unknown for name in wanted])


def comparable_scores(names: Sequence[str], best: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The generators' greatest scores, of those whose scale is the same for every customer and every day. Popularity's, a sum, is not."""
    return {name: of for name, of in zip(names, best, strict=True) if name in COMPARABLE_SCORES}


def pool_of(scores: Sequence[np.ndarray], bar: np.ndarray, each: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """The union of the best products of each generator and of the bar, in the order of their numbers.

    Args:
        scores: c times (n, P) unit scores.
        bar: (n, P) positive, orders products to which a generator gives equal scores; -inf where a product may not be shown.
        each: most products of each of them; a generator adds none that it does not score.

    Returns:
        (n, m) products, (n, m) whether the place holds one that may be shown, and c times (n, m) unit scores.
    """
    brought = [top_k(np.where(block > 0, block + bar, np.float32(-np.inf)), each) for block in scores]
    brought.append(top_k(bar.astype(np.float32), each))
    products = np.concatenate([best for best, _ in brought], axis=1)
    shown = np.concatenate([np.isfinite(worth) for _, worth in brought], axis=1)
    nothing = bar.shape[1]
    products = np.sort(np.where(shown, products, nothing), axis=1)
    products[:, 1:][products[:, 1:] == products[:, :-1]] = nothing
    products = np.sort(products, axis=1)
    live = products < nothing
    width = int(live.sum(axis=1).max(initial=0))
    products, live = np.where(live, products, 0)[:, :width], live[:, :width]
    return products, live, [np.take_along_axis(block, products, 1) for block in scores]
