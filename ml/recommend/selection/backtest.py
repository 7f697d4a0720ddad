"""Backtests: what generators would have scored on past days, from the history before them, beside what customers then wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from ml.recommend.candidates.contract import CandidateGenerator
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.customers import Customers
from ml.recommend.data.dissatisfaction import read_dissatisfaction
from ml.recommend.data.exclusions import read_owned
from ml.recommend.data.histories import History, read_history
from ml.recommend.data.holdouts import (
    Holdout,
    evaluated_users,
    known_products,
    read_labels,
)
from ml.recommend.data.product_statistics import ProductStatistics
from ml.recommend.data.snapshot import Snapshot
from ml.recommend.evaluation.evaluate import K
from ml.recommend.ranking.blend import Pool, scaled
from ml.recommend.ranking.features import feature_table
from ml.recommend.ranking.ranker import Rows, comparable_scores, pool_of
from ml.recommend.ranking.scoring import ListScorer, by_popularity, within
from ml.recommend.threads import Result


@dataclass(frozen=True)
class _BacktestBlock:
    """Customers begin to end of a holdout: their histories, (n, P) what may be shown and what was wanted, and c times (n, P) unit scores
    with (n,) the unscaled score of what is 1 in them."""

    begin: int
    end: int
    asked: History
    allowed: np.ndarray
    wanted: np.ndarray
    scores: Sequence[np.ndarray]
    best: Sequence[np.ndarray]

    def pool(self, dissatisfaction: np.ndarray) -> Pool:
        return Pool.of(self.scores, self.allowed, self.wanted, dissatisfaction, K)


def _by_block(
    snapshot: Snapshot,
    holdout: Holdout,
    customers: Customers,
    generators: Sequence[CandidateGenerator],
    config: RecommenderConfig,
    work: Callable[[_BacktestBlock], Result],
) -> Iterator[Result]:
    history = read_history(snapshot, customers, holdout.starts_at)
    owned, labels = read_owned(snapshot, customers, holdout.starts_at), read_labels(snapshot, customers, holdout)
    known = known_products(snapshot, holdout)
    scorer = ListScorer(generators, np.ones(len(generators)), np.ones(len(known)), np.zeros(len(known)), known, config)

    def of_block(begin: int, end: int) -> Result:
        asked = history.rows(begin, end)
        allowed = np.tile(known, (end - begin, 1))
        allowed[within(owned, begin, end)] = False
        wanted = np.zeros_like(allowed)
        wanted[within(labels, begin, end)] = True
        scores, best = zip(*(scaled(generator.score(asked)) for generator in generators), strict=True)
        return work(_BacktestBlock(begin, end, asked, allowed, wanted, scores, best))

    return scorer.by_block(len(customers), of_block)


def backtest_pool(snapshot: Snapshot, holdout: Holdout, generators: Sequence[CandidateGenerator], config: RecommenderConfig) -> Pool:
    """What the blend of some generators is chosen on; see `backtest`."""
    customers = evaluated_users(snapshot, holdout, config.max_validation_customers)
    dissatisfaction = read_dissatisfaction(snapshot, holdout.starts_at)
    return Pool.joined(list(_by_block(snapshot, holdout, customers, generators, config, lambda block: block.pool(dissatisfaction))))


def backtest_rows(snapshot: Snapshot, holdout: Holdout, generators: Sequence[CandidateGenerator], config: RecommenderConfig) -> Rows:
    """What the ranker learns from; see `backtest`."""
    customers = evaluated_users(snapshot, holdout, config.max_validation_customers)
    maker = _RowMaker.of(snapshot, holdout, customers, generators, config)
    return Rows.joined(list(_by_block(snapshot, holdout, customers, generators, config, maker.rows)))


def backtest(
    snapshot: Snapshot, holdout: Holdout, generators: Sequence[CandidateGenerator], config: RecommenderConfig
) -> tuple[Pool, Rows]:
    """What the blend is chosen on and what the ranker learns from: the same customers of the holdout, in the order of their ids.

    Args:
        snapshot, holdout: the days to test on.
        generators: fitted on nothing after the holdout's start.
        config: sizes, and the most customers.
    """
    customers = evaluated_users(snapshot, holdout, config.max_validation_customers)
    maker = _RowMaker.of(snapshot, holdout, customers, generators, config)
    blocks = _by_block(
        snapshot, holdout, customers, generators, config, lambda block: (block.pool(maker.statistics.dissatisfaction), maker.rows(block))
    )
    pools, rows = zip(*blocks, strict=True)
    return Pool.joined(pools), Rows.joined(rows)


@dataclass(frozen=True)
class _RowMaker:
    """Makes the ranker's rows of a block.

    Attributes:
        names: of the generators.
        ids: (n,) of all customers.
        catalogue, statistics: of the products, before the holdout.
        filling: (P,) orders products to which a generator gives equal scores.
        each: most candidates of a generator.
    """

    names: Sequence[str]
    ids: np.ndarray
    catalogue: Catalogue
    statistics: ProductStatistics
    filling: np.ndarray
    each: int

    @classmethod
    def of(
        cls, snapshot: Snapshot, holdout: Holdout, customers: Customers, generators: Sequence[CandidateGenerator], config: RecommenderConfig
    ) -> Self:
        statistics = ProductStatistics.read(snapshot, holdout.starts_at)
        ids = np.array(customers.ids.to_pylist(), dtype=object)
        names = [generator.name for generator in generators]
        return cls(names, ids, snapshot.catalogue, statistics, by_popularity(statistics.wanted_7), config.ranker_each)

    def rows(self, block: _BacktestBlock) -> Rows:
        bar = np.where(block.allowed, self.filling, np.float32(-np.inf))
        pool, live, scores = pool_of(block.scores, bar, self.each)
        unit_scores, comparable = dict(zip(self.names, scores, strict=True)), comparable_scores(self.names, block.best)
        features, table = feature_table(block.asked, pool, unit_scores, comparable, self.catalogue, self.statistics)
        hit = np.take_along_axis(block.wanted, pool, 1) & live
        of = self.ids[block.begin : block.end]
        return Rows(features, [table[live.ravel()]], hit[live], live.sum(axis=1), block.wanted.sum(axis=1), of)
