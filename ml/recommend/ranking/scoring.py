"""From histories to the best products of each customer, a bounded block of customers at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ml.recommend.candidates.contract import CandidateGenerator
from ml.recommend.candidates.popularity import Popularity
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.histories import History
from ml.recommend.data.product_statistics import ProductStatistics
from ml.recommend.lists.diversity import diversify
from ml.recommend.ranking.blend import scaled, unit
from ml.recommend.ranking.ranker import BoundRanker, Ranker, pool_of
from ml.recommend.ranking.topk import top_k
from ml.recommend.selection.choice import RecommenderChoice
from ml.recommend.threads import Result, side_by_side

# so small that it decides only where no generator gives a score
FILL = 1e-4
MIN_SHARE = 0.02


@dataclass(frozen=True)
class RankedLists:
    """The best products of n customers.

    Attributes:
        products: (n, k) product numbers, best first.
        scores: (n, k), -inf where nothing was left to show.
        parts: (n, k, c) what each generator contributed.
    """

    products: np.ndarray
    scores: np.ndarray
    parts: np.ndarray


@dataclass(frozen=True)
class ListScorer:
    """Candidate generators and their weights, ready to rank.

    Attributes:
        generators, weights: c of each.
        demotion: (P,) factor in [0, 1] on a product's score for the dissatisfaction of its reviewers.
        popularity: (P,) orders what no generator scores; of equal ones the smaller product number comes first.
        allowed: (P,) products that may be shown at all.
        config: sizes of the blocks.
        category: (P,) numbers in which lists are made to vary; None leaves the lists as they are.
        diversity: how much they vary (see `diversify`).
        popular_segments: customers of these get popularity alone; the caller of `rank` says which customers they are.
        bound_ranker: reorders the best candidates of all generators; None where the weights alone decide.
    """

    generators: Sequence[CandidateGenerator]
    weights: np.ndarray
    demotion: np.ndarray
    popularity: np.ndarray
    allowed: np.ndarray
    config: RecommenderConfig
    category: np.ndarray | None = None
    diversity: float = 0.0
    popular_segments: Sequence[str] = ()
    bound_ranker: BoundRanker | None = None

    @cached_property
    def filling(self) -> np.ndarray:
        """(P,) float32 in (0, FILL], falling strictly with popularity, then with the product number; -inf where nothing may be shown."""
        filling = by_popularity(self.popularity)
        filling[~self.allowed] = -np.inf
        return filling

    def by_block(self, customers: int, work: Callable[[int, int], Result]) -> Iterator[Result]:
        """What `work` returns for blocks of customers, begin to end, in their order; as many at a time as there are threads.

        A block's dense scores, one table a generator and a few more, take `score_chunk_mb`.
        """
        row_bytes = 4 * max(1, len(self.popularity)) * (len(self.generators) + 4)
        size = max(1, min(self.config.score_chunk_rows, self.config.score_chunk_mb * 2**20 // row_bytes))
        begins = range(0, customers, size)
        return side_by_side(lambda begin: work(begin, min(begin + size, customers)), begins, self.config.threads)

    def rank(
        self,
        asked: History,
        owned: tuple[np.ndarray, np.ndarray],
        k: int,
        instead: np.ndarray | None = None,
        choose: Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]] = top_k,
        plain: np.ndarray | None = None,
    ) -> RankedLists:
        """The k best products of each customer.

        Args:
            asked: histories of n customers, few enough for one block.
            owned: (customer numbers, product numbers) that may not be shown.
            k: length of the lists.
            instead: (number of customers without a history, P) unit scores for those.
            choose: makes lists from (n, P) scores, as `top_k` does; it may overwrite the scores.
            plain: (n,) whether the customer gets popularity alone.
        """
        scores, greatest = zip(*(scaled(generator.score(asked)) for generator in self.generators), strict=True)
        nobody = strangers = np.diff(asked.indptr) == 0
        total = np.zeros((asked.customers, asked.products), np.float32)
        for block, weight in zip(scores, self.weights, strict=True):
            total += block * np.float32(weight)
        if instead is not None:
            total[nobody] = instead
        total *= self.demotion
        if plain is not None and plain.any():
            total[plain] = unit(self.popularity[None])
            nobody = nobody | plain
        total += self.filling
        total[owned] = -np.inf
        if self.bound_ranker is not None:
            ordered = np.ones(asked.customers, dtype=bool) if instead is None else ~strangers
            self._order(self.bound_ranker, asked, scores, greatest, total, ordered if plain is None else ordered & ~plain)
        if self.category is not None:
            diversify(total, self.category, self.diversity, k)
        products, best = choose(total, k)
        # a generator without a weight contributes through the ranker only
        shares = np.maximum(self.weights, MIN_SHARE) if self.bound_ranker is not None else self.weights
        parts = np.stack([np.take_along_axis(block, products, 1) for block in scores], axis=2) * shares.astype(np.float32)
        parts[nobody] = 0
        return RankedLists(products, best, parts)

    def _order(
        self,
        bound_ranker: BoundRanker,
        asked: History,
        scores: Sequence[np.ndarray],
        greatest: Sequence[np.ndarray],
        total: np.ndarray,
        ordered: np.ndarray,
    ) -> None:
        """Puts the products that the ranker orders before all others: they score 1 to 2, and the scores of the others are halved."""
        bar = np.where(np.isfinite(total), self.filling, np.float32(-np.inf))
        pool, live, pooled = pool_of(scores, bar, self.config.ranker_each)
        live &= ordered[:, None]
        total[ordered] *= np.float32(0.5)
        row, place = np.nonzero(live)
        total[row, pool[row, place]] = 1 + bound_ranker.order(asked, pool, live, pooled, greatest)


def scorer_by(
    choice: RecommenderChoice,
    fitted: Sequence[CandidateGenerator],
    catalogue: Catalogue,
    statistics: ProductStatistics,
    allowed: np.ndarray,
    config: RecommenderConfig,
    ranker: Ranker | None = None,
) -> ListScorer:
    """Fitted generators with the weights of a choice and statistics as of the moment to score for. Popularity alone is not diversified.
    With a ranker all generators take part."""
    popularity = next(generator.worth for generator in fitted if type(generator) is Popularity)
    category = catalogue.category if set(choice.weights) != {Popularity.name} else None
    generators, bound_ranker = [generator for generator in fitted if choice.weights.get(generator.name, 0) > 0], None
    if ranker is not None:
        generators = list(fitted)
        bound_ranker = BoundRanker(ranker, [generator.name for generator in generators], catalogue, statistics)
    weights = np.array([choice.weights.get(generator.name, 0) for generator in generators])
    demotion = (1 - choice.penalty * statistics.dissatisfaction).astype(np.float32)
    diversity = max(choice.diversity, config.diversity)
    return ListScorer(
        generators, weights, demotion, popularity, allowed, config, category, diversity, choice.popular_segments, bound_ranker
    )


def by_popularity(popularity: np.ndarray) -> np.ndarray:
    """(P,) float32 in (0, FILL], falling strictly with popularity, then with the product number."""
    count = len(popularity)
    filling = np.empty(count, np.float32)
    filling[np.lexsort((np.arange(count), -popularity))] = FILL * (count - np.arange(count)) / max(1, count)
    return filling


def within(pairs: tuple[np.ndarray, np.ndarray], begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """The (customer, product) pairs of customers begin to end, numbered from begin; the pairs are in the order of the customers."""
    a, b = np.searchsorted(pairs[0], (begin, end))
    return pairs[0][a:b] - begin, pairs[1][a:b]
