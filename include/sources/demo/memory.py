"""What the demo shop must remember from one day to the next, kept as arrays in one file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from include.sources.demo.rows import NONE, Integers

REPEAT_SPREAD = 0.25  # of the days until something is bought again, on the log scale


def _none() -> Integers:
    return np.empty(0, dtype=np.int64)


@dataclass
class Memory:
    """State at the end of a day; every attribute is an array of integers.

    Attributes:
        next_day: (1,) first day not generated yet.
        owned: (n,) sorted pairs `customer << 32 | product` of what one buys once.
        main_product, main_day: (C,) the product with accessories each customer bought last, and when.
        repeat_customer, repeat_product, repeat_day: (n,) what is bought again, and from which day; sorted by customer and product.
        orders: (fields, n) orders on their way; rows as in `orders.FIELDS`.
        reviews: (fields, n) reviews still to be written; rows as in `reviews.FIELDS`.
        tickets: (fields, n) tickets still open; rows as in `support.FIELDS`.
        dirt: (tables, 2) duplicates and broken rows planted so far, by place of the table in the contract.
    """

    next_day: Integers = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    owned: Integers = field(default_factory=_none)
    main_product: Integers = field(default_factory=_none)
    main_day: Integers = field(default_factory=_none)
    repeat_customer: Integers = field(default_factory=_none)
    repeat_product: Integers = field(default_factory=_none)
    repeat_day: Integers = field(default_factory=_none)
    orders: Integers = field(default_factory=_none)
    reviews: Integers = field(default_factory=_none)
    tickets: Integers = field(default_factory=_none)
    dirt: Integers = field(default_factory=_none)

    @classmethod
    def load(cls, path: Path) -> Memory:
        """What was kept at `path`, or the memory of a shop just born."""
        if not path.exists():
            return cls()
        with np.load(path, allow_pickle=False) as kept:
            return cls(**{part.name: kept[part.name] for part in fields(cls)})

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        with temporary.open("wb") as file:
            np.savez(file, **{part.name: getattr(self, part.name) for part in fields(self)})
        os.replace(temporary, path)

    def grow(self, customers: int) -> None:
        """Make room for customers who have arrived since."""
        missing = np.full(customers - len(self.main_product), NONE)
        self.main_product = np.concatenate([self.main_product, missing])
        self.main_day = np.concatenate([self.main_day, missing])

    def owns(self, customer: Integers, product: Integers) -> NDArray[np.bool_]:
        """(n,) whether each customer owns each product, of those one buys once."""
        pairs = customer << 32 | product
        if not len(self.owned):
            return np.zeros(len(pairs), dtype=bool)
        place = np.minimum(np.searchsorted(self.owned, pairs), len(self.owned) - 1)
        return self.owned[place] == pairs

    def due_repeats(self, day: int) -> Integers:
        """(n,) places among the repeat purchases that are due."""
        return np.flatnonzero(self.repeat_day <= day)

    def buy(
        self,
        customer: Integers,
        product: Integers,
        repeat_days: NDArray[np.float64],
        is_main: NDArray[np.bool_],
        day: int,
        rng: np.random.Generator,
    ) -> None:
        """Remember what was bought on a day: (n,) distinct pairs with their typical days until the next purchase (0: never)."""
        again = repeat_days > 0
        self.owned = np.union1d(self.owned, (customer << 32 | product)[~again])
        self.main_product[customer[is_main]] = product[is_main]
        self.main_day[customer[is_main]] = day
        until = np.ceil(repeat_days * np.exp(REPEAT_SPREAD * rng.standard_normal(len(product)))).astype(np.int64)
        pairs = np.concatenate([self.repeat_customer << 32 | self.repeat_product, (customer << 32 | product)[again]])
        days = np.concatenate([self.repeat_day, day + np.maximum(until[again], 2)])
        # Of an older and a newer date for the same pair, the newer counts.
        latest = len(pairs) - 1 - np.unique(pairs[::-1], return_index=True)[1]
        self.repeat_customer, self.repeat_product, self.repeat_day = pairs[latest] >> 32, pairs[latest] & 0xFFFFFFFF, days[latest]
