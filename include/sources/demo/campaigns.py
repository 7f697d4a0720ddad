"""The demo shop's advertisements and promotions: a new one every few days, for a product known from the first day."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from include.sources.demo.catalogue import CATEGORIES, Catalogue
from include.sources.demo.rows import Integers, ids, picks, rows
from include.sources.demo.shop import DAY_SECONDS

EVERY_DAYS, LASTS_DAYS = 5, 12
KINDS = ("advertisement", "promotion")


class Campaigns(NamedTuple):
    """Some campaigns.

    number: (n,) running number. starts: (n,) first day. product: (n,) what they are about.
    """

    number: Integers
    starts: Integers
    product: Integers


def _campaigns(goods: Catalogue, number: Integers) -> Campaigns:
    offered = np.flatnonzero((goods.arrived == 0) & ~goods.hidden)
    chance = goods.shop.rng("campaign.product").random(int(number.max(initial=0)) + 1)[number]
    return Campaigns(number, number * EVERY_DAYS, offered[(chance * len(offered)).astype(np.int64)])


def active_campaigns(goods: Catalogue, day: int) -> Campaigns:
    """The campaigns that run on a day."""
    number = np.arange(max(0, -(-(day - LASTS_DAYS + 1) // EVERY_DAYS)), day // EVERY_DAYS + 1)
    return _campaigns(goods, number)


def campaign_rows(goods: Catalogue, day: int) -> pa.Table:
    """Rows of the campaigns that start on a day."""
    number = np.array([day // EVERY_DAYS] if day % EVERY_DAYS == 0 else [], dtype=np.int64)
    campaigns = _campaigns(goods, number)
    category = picks([c.path for c in CATEGORIES], goods.category[campaigns.product])
    kind = number % 2
    midnight = goods.shop.midnight(day)
    return rows(
        "campaigns",
        {
            "campaign_id": ids("A", number, 4),
            "name": picks([f"{c.path.split(' > ')[-1]} of the week" for c in CATEGORIES], goods.category[campaigns.product]),
            "kind": picks(KINDS, kind),
            "product_id": ids("P", campaigns.product),
            "category": category,
            "discount_percent": np.where(kind == 1, 10.0 + 5.0 * (number % 4), 0.0),
            "budget": 50_000 + 25_000 * (number % 5),
            "starts_at": np.full(len(number), midnight),
            "ends_at": np.full(len(number), midnight + LASTS_DAYS * DAY_SECONDS),
            "updated_at": np.full(len(number), midnight),
        },
    )
