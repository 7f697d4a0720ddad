"""The demo shop's dirt: rows sent twice and rows that break the contract, in known numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.sources.demo.rows import Integers
from include.sources.demo.shop import Shop

DUPLICATE_SHARE, BROKEN_SHARE = 0.002, 0.001
MOST_BROKEN = 0.02  # of one table's rows on one day: far below what stops a night

# What breaks a row, by table: a column and a value the contract refuses.
BREAKS: dict[str, tuple[tuple[str, Any], ...]] = {
    "customers": (("customer_id", None),),
    "products": (("price", Decimal(-1)),),
    "events": (("event_type", "hovered"), ("event_id", None), ("position", 0), ("occurred_at", None)),
    "orders": (("ordered_at", None), ("total", Decimal(-1))),
    "order_items": (("product_id", None), ("quantity", -3)),
    "reviews": (("rating", 11), ("product_id", None)),
}
TABLES = tuple(BREAKS)
KEYS = ("customer_id", "product_id", "event_id", "order_id", "order_id", "review_id")


def soil(shop: Shop, day: int, tables: dict[str, pa.Table]) -> tuple[dict[str, pa.Table], Integers]:
    """A day's tables with duplicates and broken rows appended, and (len(TABLES), 2) how many of each.

    A broken row is a copy of a good one under an id of its own, so nothing true is lost with it.
    """
    counts = np.zeros((len(TABLES), 2), dtype=np.int64)
    for place, (name, key) in enumerate(zip(TABLES, KEYS, strict=True)):
        rng = shop.rng(f"dirt.{name}", day)
        clean = tables[name]
        twice = np.flatnonzero(rng.random(len(clean)) < DUPLICATE_SHARE)
        broken = min(int(rng.poisson(BROKEN_SHARE * len(clean))), int(MOST_BROKEN * len(clean)))
        parts = [clean, clean.take(twice)]
        for _ in range(broken):
            column, value = BREAKS[name][int(rng.integers(len(BREAKS[name])))]
            row = clean.slice(int(rng.integers(len(clean))), 1)
            row = _with(row, key, pc.binary_join_element_wise(row[key], "broken", str(len(parts)), "-"))
            parts.append(_with(row, column, pa.array([value], clean.schema.field(column).type)))
        tables = tables | {name: pa.concat_tables(parts)}
        counts[place] = len(twice), broken
    return tables, counts


def _with(row: pa.Table, column: str, values: Any) -> pa.Table:
    return row.set_column(row.schema.get_field_index(column), row.schema.field(column), values)
