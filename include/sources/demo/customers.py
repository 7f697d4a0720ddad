"""The demo shop's customers: their tastes, their habits, and the customer rows that tell of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from include.sources.demo.catalogue import STYLES, TASTES, TIERS, categories_of, category_popularity
from include.sources.demo.rows import Integers, ids, picks, rows
from include.sources.demo.shop import DAY_SECONDS, Shop

Floats = NDArray[np.float64]
Halves = NDArray[np.float32]

FIRST_SHARE = 0.7
MAIN_STYLE, SECOND_STYLE, OWN_TIER = 0.65, 0.22, 0.75  # the rest of the probability is spread evenly
DRIFT_DAYS = 360.0  # days in which interests turn by a quarter
LIVELY_SESSIONS = 2_000  # sessions a first history should have
UNKNOWN_AGES = 0.04  # share of customers who never told their date of birth
CONSENT_CHANGES = 0.0004  # share of customers a day who change their mind about personalisation

FIRST_NAMES = (
    "Anna",
    "Ben",
    "Chloe",
    "David",
    "Elif",
    "Femi",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
    "Kaia",
    "Liam",
    "Mei",
    "Noah",
    "Olga",
    "Pablo",
    "Rosa",
    "Sami",
)
LAST_NAMES = (
    "Abel",
    "Berg",
    "Costa",
    "Dvorak",
    "Endo",
    "Fischer",
    "Garcia",
    "Haddad",
    "Ivanova",
    "Jansen",
    "Kim",
    "Larsen",
    "Moreau",
    "Nowak",
    "Okafor",
    "Wang",
)
STREETS = ("Mill Lane", "High Street", "Station Road", "Garden Way", "Harbour Quay", "Church Square")
CITIES = (
    ("Lyon", "FR"),
    ("Leeds", "GB"),
    ("Porto", "PT"),
    ("Graz", "AT"),
    ("Ghent", "BE"),
    ("Turku", "FI"),
    ("Bonn", "DE"),
    ("Shanghai", "CN"),
)


@dataclass(frozen=True)
class Customers:
    """Customers that have arrived by some day, with what a shop cannot know of them.

    Attributes:
        arrived: (C,) day of registration.
        visits: (C,) sessions on an average day while the customer is with the shop.
        leaves: (C,) day from which visits become rare.
        style, second_style, tier: (C,) taste: place in STYLES, twice, and in TIERS.
        interests, later_interests: (C, K) log-odds of the categories now and a quarter turn later; in between they drift.
        buys: (C,) probability that a filled cart is ordered.
        writes: (C,) probability of reviewing a bought product.
        hour: (C,) favourite hour of the day.
        consents, takes_advertising: (C,) consents given at registration.
    """

    shop: Shop
    arrived: Integers
    visits: Floats
    leaves: Integers
    style: Integers
    second_style: Integers
    tier: Integers
    interests: Halves
    later_interests: Halves
    buys: Floats
    writes: Floats
    hour: Floats
    consents: NDArray[np.bool_]
    takes_advertising: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.arrived)

    def up_to(self, day: int) -> Customers:
        """Those that have arrived by a day."""
        size = int(np.searchsorted(self.arrived, day, side="right"))
        return Customers(shop=self.shop, **{name: getattr(self, name)[:size] for name in self.__dataclass_fields__ if name != "shop"})

    def visits_on(self, day: int) -> Floats:
        """(C,) expected sessions on a day."""
        here = np.where(self.arrived <= day, np.where(day >= self.leaves, 0.04, 1.0), 0.0)
        return self.visits * here * self.shop.weekday_visits(day)

    def category_shares(self, customers: Integers, day: int, live: NDArray[np.bool_]) -> Floats:
        """(n, K) probability that these customers look into each category on a day."""
        angle = np.pi / 2 * day / DRIFT_DAYS
        odds = np.cos(angle) * self.interests[customers] + np.sin(angle) * self.later_interests[customers]
        weights = np.where(live, np.exp(odds.astype(np.float64)), 0.0)
        return weights / weights.sum(axis=1, keepdims=True)

    def taste_shares(self, customers: Integers) -> Floats:
        """(n, TASTES) probability that these customers choose by each taste."""
        style = np.full((len(customers), len(STYLES)), (1 - MAIN_STYLE - SECOND_STYLE) / len(STYLES))
        row = np.arange(len(customers))
        np.add.at(style, (row, self.style[customers]), MAIN_STYLE)
        np.add.at(style, (row, self.second_style[customers]), SECOND_STYLE)
        tier = np.full((len(customers), len(TIERS)), (1 - OWN_TIER) / len(TIERS))
        tier[row, self.tier[customers]] += OWN_TIER
        return (style[:, :, None] * tier[:, None, :]).reshape(len(customers), TASTES)

    def draw_tastes(self, customers: Integers, rng: np.random.Generator) -> Integers:
        """(n,) a taste each, drawn by `taste_shares`."""
        which, any_style, own, any_tier = rng.random((4, len(customers)))
        style = np.where(
            which < MAIN_STYLE,
            self.style[customers],
            np.where(which < MAIN_STYLE + SECOND_STYLE, self.second_style[customers], (any_style * len(STYLES)).astype(np.int64)),
        )
        tier = np.where(own < OWN_TIER, self.tier[customers], (any_tier * len(TIERS)).astype(np.int64))
        return style * len(TIERS) + tier


def customers(shop: Shop, last_day: int) -> Customers:
    """All customers that have arrived by `last_day`."""
    arrived = shop.arrivals(shop.customers, FIRST_SHARE, last_day)
    size, categories = len(arrived), categories_of(shop)
    known = category_popularity(shop).astype(np.float32)
    interests = shop.rng("customer.interests").standard_normal((size, categories), dtype=np.float32) * 1.0 + known
    later = shop.rng("customer.later_interests").standard_normal((size, categories), dtype=np.float32) * 1.0 + known
    # Customers of a very small or young shop come and write more often, so that there is something to learn from.
    lively = float(np.clip(LIVELY_SESSIONS / (0.2 * shop.customers * shop.history_days), 1, 4))
    stays = shop.rng("customer.stays").exponential(260, size)
    return Customers(
        shop=shop,
        arrived=arrived,
        visits=lively * (0.03 + 0.21 * shop.rng("customer.visits").standard_gamma(1.3, size) / 1.3),
        leaves=arrived + 1 + stays.astype(np.int64),
        style=(shop.rng("customer.style").random(size) * len(STYLES)).astype(np.int64),
        second_style=(shop.rng("customer.second_style").random(size) * len(STYLES)).astype(np.int64),
        tier=(shop.rng("customer.tier").random(size) * len(TIERS)).astype(np.int64),
        interests=interests,
        later_interests=later,
        buys=shop.rng("customer.buys").beta(6, 2, size),
        writes=np.minimum(lively * shop.rng("customer.writes").beta(1.2, 5, size), 0.9),
        hour=shop.rng("customer.hour").normal(18, 3, size),
        consents=shop.rng("customer.consents").random(size) > 0.05,
        takes_advertising=shop.rng("customer.advertising").random(size) > 0.3,
    )


def customer_rows(customers: Customers, day: int) -> pa.Table:
    """Rows for the customers who registered on a day and for those who changed their consent on it."""
    shop, size = customers.shop, len(customers)
    changes = (shop.rng("consent.changes", day).random(size) < CONSENT_CHANGES) & (customers.arrived < day)
    chosen = np.flatnonzero((customers.arrived == day) | changes)
    draws = shop.rng("customer.person").random((size, 8))[chosen].T
    midnight, changed = shop.midnight(day), changes[chosen]
    registered = shop.midnight(0) + customers.arrived[chosen] * DAY_SECONDS + (draws[0] * 3600).astype(np.int64)
    # Those there on the first day came in the year before it.
    registered -= np.where(customers.arrived[chosen] == 0, (draws[1] * 365).astype(np.int64) * DAY_SECONDS + DAY_SECONDS, 0)
    first, last = (draws[2] * len(FIRST_NAMES)).astype(np.int64), (draws[3] * len(LAST_NAMES)).astype(np.int64)
    first_names, last_names = np.array(FIRST_NAMES, dtype=object)[first], np.array(LAST_NAMES, dtype=object)[last]
    numbers = np.array(ids("", chosen, 1).to_pylist(), dtype=object)
    house = np.array([str(n) for n in range(1, 200)], dtype=object)[(draws[4] * 199).astype(np.int64)]
    city = (draws[5] * len(CITIES)).astype(np.int64)
    unknown_age = shop.rng("customer.unknown_age").random(size)[chosen] < UNKNOWN_AGES
    chinese = np.array([country == "CN" for _, country in CITIES])[city]
    return rows(
        "customers",
        {
            "customer_id": ids("C", chosen),
            "name": first_names + " " + last_names,
            "email": np.array([name.lower() for name in FIRST_NAMES], dtype=object)[first] + "." + numbers + "@example.com",
            "phone": ids("+00 555 ", chosen, 7),
            "address": np.array(STREETS, dtype=object)[(draws[6] * len(STREETS)).astype(np.int64)] + " " + house,
            "birth_date": pa.array((draws[7] * 18_000).astype(np.int32) - 5_000, pa.int32(), mask=unknown_age),  # days since 1970
            "city": picks([name for name, _ in CITIES], city),
            "country": picks([country for _, country in CITIES], city),
            "language": picks(("en", "zh"), chinese.astype(np.int64)),
            "registered_at": registered,
            "consent_personalisation": customers.consents[chosen] ^ changed,
            "consent_marketing": customers.takes_advertising[chosen],
            "updated_at": np.where(changed, midnight + 8 * 3600, registered),
        },
    )
