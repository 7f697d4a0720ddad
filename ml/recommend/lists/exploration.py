"""Exploration: a share of places for products that nobody knows yet, drawn at random with a published probability.

Without it a recommender only learns about what it already shows. The probability of every draw (its propensity) is published, so clicks on
these rows can evaluate a later recommender without showing its lists to anybody: inverse propensity scoring (Horvitz and Thompson,
1952; for recommenders Schnabel et al., "Recommendations as Treatments", ICML 2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import Self

import numpy as np

from ml.recommend.candidates.content import Content
from ml.recommend.data.customers import Customers
from ml.recommend.data.histories import History
from ml.recommend.data.snapshot import Snapshot

# most new products to draw from; of more, a sample that is the same for all customers
MAX_PRODUCTS = 1000
# a difference of this much in the cosine of texts multiplies the odds by e
COSINE = 0.1
# share of the probability that is spread evenly, so that no propensity is tiny and no click's weight huge
EVENLY = 0.2


@dataclass(frozen=True)
class Exploration:
    """What a night explores.

    Attributes:
        places: (e,) places kept for exploration, from 0; spread over the list.
        products: (F,) numbers of new products that may be shown.
        content: scores them by their texts; None where the shop has no usable texts.
    """

    places: np.ndarray
    products: np.ndarray
    content: Content | None

    @classmethod
    def of(cls, snapshot: Snapshot, content: Content | None) -> Self | None:
        """Tonight's exploration; None where the share is 0 or nothing is new."""
        config = snapshot.config
        if config.exploration_share == 0:
            return None
        products = _new_products(snapshot, config.new_product_days)
        if len(products) > MAX_PRODUCTS:
            seed = [config.seed, int(snapshot.as_of.replace(tzinfo=UTC).timestamp())]
            products = np.sort(np.random.default_rng(seed).choice(products, MAX_PRODUCTS, replace=False))
        count = max(1, round(config.exploration_share * config.list_length))
        places = ((np.arange(count) + 0.5) * config.list_length / count).astype(np.int64)
        return cls(places, products, content) if len(products) else None

    def block(self, customers: Customers, asked: History, chance: np.ndarray) -> Draws:
        """The draws for a block of customers with their histories and chances (see `random_numbers`). Those without consent get no
        personal draw."""
        # rounded, so that the last bits of a matrix product, which may depend on threads, decide nothing
        liking = np.zeros((len(customers), len(self.products))) if self.content is None else self.content.score(asked)[:, self.products]
        liking = np.round(liking.astype(np.float64), 3)
        return Draws(self.places, self.products, liking, chance, customers.consent)


def _new_products(snapshot: Snapshot, days: int) -> np.ndarray:
    """(F,) numbers of available products that came within the last `days`, or that nobody has done anything with yet."""
    query = """
        select product from read_parquet(?) join catalogue using (product_id)
        where is_available and (
            created_at >= ?::timestamp - to_days(?::integer)
            or product_id not in (select product_id from read_parquet(?) where product_id is not null))
        order by product
    """
    arguments = [snapshot.file("products"), snapshot.as_of, days, snapshot.file("interactions")]
    return np.asarray(snapshot.db.execute(query, arguments).fetchnumpy()["product"], dtype=np.int64)


@dataclass(frozen=True)
class Draws:
    """For n customers and F new products.

    Attributes:
        places, products: as in Exploration.
        liking: (n, F) cosines.
        chance: (n,) uint64, a random number of the customer and the night.
        takes_part: (n,) which customers get draws.
    """

    places: np.ndarray
    products: np.ndarray
    liking: np.ndarray
    chance: np.ndarray
    takes_part: np.ndarray

    def draw(self, turn: int, allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One product a customer for the `turn`-th place, from 0, of those `allowed` (n, F).

        Returns:
            (n,) places in `products`, -1 where nothing is allowed, and (n,) the probability with which each was drawn, given the
            draws before it.
        """
        possible = allowed & self.takes_part[:, None]
        count = possible.sum(axis=1, keepdims=True)
        odds = np.where(possible, np.exp(np.clip(self.liking, -1, 1) / COSINE), 0)
        share = odds / np.maximum(odds.sum(axis=1, keepdims=True), 1e-300)
        share = (1 - EVENLY) * share + EVENLY * possible / np.maximum(count, 1)
        running = np.cumsum(share, axis=1)
        target = _uniform(self.chance, turn)[:, None] * running[:, -1:]
        drawn = np.minimum((running <= target).sum(axis=1), share.shape[1] - 1)
        return np.where(count[:, 0] > 0, drawn, -1), share[np.arange(len(share)), drawn]


def _uniform(chance: np.ndarray, turn: int) -> np.ndarray:
    """(n,) in [0, 1): the turn-th number of the stream that begins at each `chance` (SplitMix64; Steele, Lea and Flood, 2014)."""
    state = chance + np.uint64((turn + 1) * 0x9E3779B97F4A7C15 % 2**64)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((state ^ (state >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
