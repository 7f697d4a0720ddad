"""The demo shop's rules for its lists: a few of each kind, one of them new every week."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from include.sources.demo.catalogue import CATEGORIES, Catalogue
from include.sources.demo.rows import NONE, ids, picks, rows
from include.sources.demo.shop import DAY_SECONDS

KINDS = ("block", "pin", "limit")
SEGMENTS = ("lapsed",)
BLOCKED, OF_THE_WEEK, FOR_LAPSED, FIRST_CATEGORY = range(4)
WEEK_DAYS = 7


def rule_rows(goods: Catalogue, day: int) -> pa.Table:
    """Rows of the rules that are made or changed on a day: all on the first, and the product of the week every week."""
    number = np.arange(4) if day == 0 else np.arange(OF_THE_WEEK, OF_THE_WEEK + (day % WEEK_DAYS == 0))
    offered = np.flatnonzero((goods.arrived == 0) & ~goods.hidden)
    if not len(offered):
        number = number[:0]
    week = day // WEEK_DAYS
    chance = goods.shop.rng("rule.products").random((week + 1, 2))[week]
    product = np.full(4, NONE)
    if len(offered):
        product[BLOCKED] = offered[goods.popularity[offered].argmin()]
        product[[OF_THE_WEEK, FOR_LAPSED]] = offered[(chance * len(offered)).astype(np.int64)]
    midnight = goods.shop.midnight(day)
    is_weekly = number == OF_THE_WEEK
    return rows(
        "rules",
        {
            "rule_id": ids("R", number, 3),
            "kind": picks(KINDS, np.array([0, 1, 1, 2])[number]),
            "product_id": ids("P", product[number]),
            "category": picks([c.path for c in CATEGORIES], np.where(number == FIRST_CATEGORY, 0, NONE)),
            "segment": picks(SEGMENTS, np.where(number == FOR_LAPSED, 0, NONE)),
            "value": pa.array(np.array([0, 12, 1, 6])[number], pa.int32(), mask=number == BLOCKED),
            "valid_from": np.full(len(number), midnight),
            "valid_until": np.where(is_weekly, midnight + WEEK_DAYS * DAY_SECONDS, NONE),
            "updated_at": np.full(len(number), midnight),
        },
    )
