"""A few products from each of the categories a customer likes most, from the same scores as the list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml.recommend.config import RecommenderConfig
from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.customers import Customers
from ml.recommend.data.histories import History
from ml.recommend.ranking.topk import top_k

# scores sorted at once
SCORES_AT_ONCE = 4_000_000

BY_CATEGORY = pa.schema(
    [
        ("customer_id", pa.string()),
        ("category", pa.string()),
        ("rank", pa.int32()),
        ("product_id", pa.string()),
        ("score", pa.float64()),
    ]
)


def category_shares(asked: History, category: np.ndarray, half_life_days: float) -> np.ndarray:
    """(n, G) share of each category in what a customer did. Each product counts by its evidence, which halves with every half-life before
    the customer's latest event. The row is 0 without a history in any category.

    Args:
        asked: histories of n customers.
        category: (P,) number of each product's category, below G; -1 where there is none.
        half_life_days: of evidence.
    """
    categories = int(category.max(initial=-1)) + 1
    of_entry = category[asked.product]
    known = of_entry >= 0
    latest = np.zeros(asked.customers, np.int64)
    np.maximum.at(latest, asked.customer, asked.last_at)
    age_days = (latest[asked.customer] - asked.last_at) / 86_400e6
    worth = asked.evidence * 0.5 ** (age_days / half_life_days)
    place = asked.customer[known] * categories + of_entry[known]
    sums = np.bincount(place, weights=worth[known], minlength=asked.customers * categories).reshape(asked.customers, categories)
    total = sums.sum(axis=1, keepdims=True)
    return (sums / np.where(total > 0, total, 1)).astype(np.float32)


@dataclass(frozen=True)
class Picks:
    """r rows in the order of customer, category (most liked first) and rank.

    Attributes:
        customers: (r,) row of the block.
        categories: (r,) number of the category.
        ranks: (r,) from 1.
        products: (r,) product number.
        scores: (r,) float32.
    """

    customers: np.ndarray
    categories: np.ndarray
    ranks: np.ndarray
    products: np.ndarray
    scores: np.ndarray


def best_of_categories(total: np.ndarray, liked: np.ndarray, members: Members, length: int) -> Picks:
    """The `length` best products of each liked category.

    Work and memory grow with the products in the liked categories, not with the catalogue.

    Args:
        total: (n, P) scores, -inf where a product may not be shown.
        liked: (n, c) category numbers, each row's best first; -1 where there are fewer.
        members: the products of each category.
        length: products a category.
    """
    row, turn = np.nonzero(liked >= 0)
    category = liked[row, turn]
    found: list[tuple[np.ndarray, ...]] = []
    for begin, end in _slices(members.sizes[category]):
        sizes = members.sizes[category[begin:end]]
        pair = np.repeat(np.arange(begin, end), sizes)
        nth = np.arange(len(pair)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        product = members.products[members.starts[category[pair]] + nth]
        score = total[row[pair], product]
        shown = np.isfinite(score)
        pair, product, score = pair[shown], product[shown], score[shown]
        order = np.lexsort((product, -score, pair))
        pair, product, score = pair[order], product[order], score[order]
        place = np.arange(len(pair)) - np.searchsorted(pair, pair)
        kept = place < length
        found.append((pair[kept], place[kept] + 1, product[kept], score[kept]))
    if not found:
        empty = np.empty(0, np.int64)
        return Picks(empty, empty, empty, empty, np.empty(0, np.float32))
    pair, rank, product, score = (np.concatenate(column) for column in zip(*found, strict=True))
    return Picks(row[pair], category[pair], rank, product, score)


def _slices(sizes: np.ndarray) -> Iterator[tuple[int, int]]:
    """Bounds of runs of pairs that have at most SCORES_AT_ONCE scores together; one pair alone may have more."""
    parts = (np.cumsum(sizes) // SCORES_AT_ONCE).astype(np.int64)
    edges = [0, *(np.flatnonzero(np.diff(parts)) + 1).tolist(), len(sizes)]
    for begin, end in pairwise(edges):
        if end > begin:
            yield begin, end


@dataclass(frozen=True)
class Members:
    """The products of each of G categories: `products[starts[g]:starts[g] + sizes[g]]`, in the order of their numbers."""

    products: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, category: np.ndarray) -> Self:
        known = np.flatnonzero(category >= 0)
        products = known[np.argsort(category[known], kind="stable")]
        sizes = np.bincount(category[known], minlength=int(category.max(initial=-1)) + 1)
        return cls(products, np.cumsum(sizes) - sizes, sizes)


class CategoryLists:
    """Writes recommendations_by_category.parquet block by block; use as a context manager.

    Args:
        catalogue: categories and ids.
        config: `category_lists` categories of `category_list_length` products each; 0 writes an empty file.
        out: the folder of predictions.
    """

    def __init__(self, catalogue: Catalogue, config: RecommenderConfig, out: Path) -> None:
        self.catalogue = catalogue
        self.config = config
        self.rows = 0
        self._members = Members.of(catalogue.category)
        self._names = _category_names(catalogue)
        self._writer = pq.ParquetWriter(out / "recommendations_by_category.parquet", BY_CATEGORY, compression="zstd")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def best(self, customers: Customers, asked: History, total: np.ndarray) -> pa.RecordBatch:
        """A block's rows.

        Args:
            customers, asked: n customers and their histories.
            total: (n, P) the scores of their lists; not changed.
        """
        shares = category_shares(asked, self.catalogue.category, self.config.half_life_days)
        numbers, worth = top_k(shares, self.config.category_lists)
        liked = np.where(worth > 0, numbers, -1)
        picks = best_of_categories(total, liked, self._members, self.config.category_list_length)
        return pa.RecordBatch.from_arrays(
            [
                customers.ids.take(pa.array(picks.customers)),
                self._names.take(pa.array(picks.categories)),
                pa.array(picks.ranks, pa.int32()),
                self.catalogue.ids.take(pa.array(picks.products)),
                pa.array(picks.scores, pa.float64()),
            ],
            schema=BY_CATEGORY,
        )

    def write(self, batch: pa.RecordBatch) -> None:
        """Writes the rows from `best`; blocks in the order of their customers."""
        self._writer.write_batch(batch)
        self.rows += len(batch)


def _category_names(catalogue: Catalogue) -> pa.StringArray:
    """(G,) name of each category number."""
    known = catalogue.category >= 0
    numbers, first = np.unique(catalogue.category[known], return_index=True)
    assert (numbers == np.arange(len(numbers))).all(), "categories are numbered without gaps"
    return catalogue.categories.take(pa.array(np.flatnonzero(known)[first]))
