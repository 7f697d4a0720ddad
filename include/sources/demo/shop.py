"""What a demo shop is born with, and the chance it lives by.

Everything random comes from a stream of its own, named after what it decides (and the day, where it decides a day).
So a day can be generated without replaying the days before it, and a longer stream begins with the shorter one: more
customers or products never change those already there.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

DAY_SECONDS = 86_400
# Visits by weekday, Monday first, relative to an average day.
WEEKDAY_VISITS = (0.95, 0.90, 0.90, 0.95, 1.00, 1.20, 1.10)


@dataclass(frozen=True)
class Shop:
    """A demo shop at birth. Days are counted from 0, the day it is born.

    Attributes:
        seed: seed of everything random.
        customers: customers it has when its first history ends; later ones keep arriving at the same pace.
        products: products it has sold by then.
        history_days: days of its first history.
        born: its first day.
    """

    seed: int
    customers: int
    products: int
    history_days: int
    born: date

    def rng(self, purpose: str, day: int = 0) -> np.random.Generator:
        """The stream that decides `purpose` (on one day)."""
        return np.random.default_rng([self.seed, zlib.crc32(purpose.encode()), day])

    def midnight(self, day: int) -> int:
        """When a day begins, seconds since 1970 UTC."""
        moment = self.date(day)
        return int(datetime(moment.year, moment.month, moment.day, tzinfo=UTC).timestamp())

    def date(self, day: int) -> date:
        return self.born + timedelta(days=day)

    def weekday_visits(self, day: int) -> float:
        return WEEKDAY_VISITS[self.date(day).weekday()]

    def arrivals(self, total: int, first_share: float, last_day: int) -> NDArray[np.int64]:
        """(n,) day on which number 0, 1, ... arrives, of all that have arrived by `last_day`.

        `first_share` of `total` is there on day 0; the rest arrives evenly over the first history, and so on after it.
        """
        first = max(1, int(np.ceil(total * first_share)))
        pace = total * (1 - first_share) / self.history_days
        later = 1 + np.floor(np.arange(int(pace * last_day) + 1) / pace).astype(np.int64)
        return np.concatenate([np.zeros(first, dtype=np.int64), later[later <= last_day]])
