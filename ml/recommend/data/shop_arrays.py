"""A shop as arrays: the catalogue, customers and their histories, and questions with known answers.

Products and customers are numbered in the order of their ids, so that the smaller number is the smaller id and a tie broken by number is
broken by id.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Self

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from ml.nightly_model import Split

HISTORY_COLUMNS = (
    "product",
    "steps",
    "evidence",
    "targets",
    "target_days",
    "first_at",
    "last_at",
    "first_target_at",
    "last_target_at",
    "event",
    "habit",
    "orders_ago",
    "orders_since",
)
EVENT_TYPES = ("view", "cart", "wishlist", "recommendation_click", "purchase", "review")


@dataclass(frozen=True)
class Catalogue:
    """The P products of a snapshot, in the order of their ids, as the shop describes them at the night.

    What customers made of them is no part of this, as it changes with every day: see `facts.Facts`.

    Attributes:
        ids, titles, categories, texts: (P,) strings; title and category may be NULL, text may be ''.
        category, brand: (P,) numbers of the category and of the brand, -1 where there is none.
        price: (P,) in the shop's currency, NaN where there is none.
        available: (P,) bool, as of the night.
        stated_repeatable: (P,) whether the shop says that people buy it again: 1, 0, or -1 where it says nothing.
        known_at: (P,) microseconds since 1970 from which the product is known to exist (first seen or created), 0 where unknown.
    """

    ids: pa.StringArray
    titles: pa.StringArray
    categories: pa.StringArray
    texts: pa.StringArray
    category: np.ndarray
    brand: np.ndarray
    price: np.ndarray
    available: np.ndarray
    stated_repeatable: np.ndarray
    known_at: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Customers:
    """A window of customers in the order of their ids; `segments` holds NULL where unknown."""

    ids: pa.StringArray
    segments: pa.StringArray
    consent: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, begin: int, end: int) -> Self:
        """The customers begin to end."""
        return type(self)(self.ids.slice(begin, end - begin), self.segments.slice(begin, end - begin), self.consent[begin:end])

    def only(self, kept: np.ndarray) -> Self:
        """The customers that are `kept`, (n,) bool."""
        return type(self)(self.ids.filter(pa.array(kept)), self.segments.filter(pa.array(kept)), self.consent[kept])


@dataclass(frozen=True)
class History:
    """What n customers did before a moment: one entry a customer and product, customers in order, latest product first.

    Attributes:
        customers, products: n and P.
        moment: microseconds since 1970 of the moment.
        indptr: (n + 1,) where each customer's entries begin.
        product: (m,) product number.
        steps: (m,) how many products back, 0 the latest.
        evidence: (m,) sum of event weights.
        targets: (m,) how often the shop's target event (a purchase, say) happened, and target_days on how many days.
        first_at, last_at: (m,) microseconds since 1970 of the first and the last event.
        first_target_at, last_target_at: (m,) of the first and the last target event, 0 where there was none.
        event: (m,) number in EVENT_TYPES of the weightiest event.
        habit: (m,) sum over the orders that held the product of HABIT_FADE^(orders since); an order is a day with target events.
        orders_ago, orders_since: (m,) how many orders came after the last with the product, and how many from the first with it on, that
            one included; 0 where it was never ordered.
        repeatable: (P,) bool, the products that people buy again, as far as it was known at the moment.
    """

    customers: int
    products: int
    moment: int
    indptr: np.ndarray
    product: np.ndarray
    steps: np.ndarray
    evidence: np.ndarray
    targets: np.ndarray
    target_days: np.ndarray
    first_at: np.ndarray
    last_at: np.ndarray
    first_target_at: np.ndarray
    last_target_at: np.ndarray
    event: np.ndarray
    habit: np.ndarray
    orders_ago: np.ndarray
    orders_since: np.ndarray
    repeatable: np.ndarray

    @cached_property
    def products_seen(self) -> int:
        """How many products are in any history."""
        return len(np.unique(self.product))

    @cached_property
    def customer(self) -> np.ndarray:
        """(m,) customer number of each entry."""
        return np.repeat(np.arange(self.customers, dtype=np.int64), np.diff(self.indptr))

    def matrix(self, values: np.ndarray) -> sp.csr_matrix:
        """(n, P) sparse float32 matrix with one value an entry."""
        return sp.csr_matrix((values.astype(np.float32), self.product, self.indptr), shape=(self.customers, self.products))

    def rows(self, begin: int, end: int) -> Self:
        """The history of customers begin to end."""
        a, b = self.indptr[begin], self.indptr[end]
        columns = {name: getattr(self, name)[a:b] for name in HISTORY_COLUMNS}
        return replace(self, customers=end - begin, indptr=self.indptr[begin : end + 1] - a, **columns)


@dataclass(frozen=True)
class Exam:
    """Questions with known answers: who wants what from `starts_at` on, asked with what was known before.

    Attributes:
        starts_at, ends_at: the time of the answers.
        split: the split whose labels are the answers; None where they are taken from the interactions.
    """

    starts_at: datetime
    ends_at: datetime | None
    split: Split | None
