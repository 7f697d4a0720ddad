"""The demo shop: made-up customers with planted tastes, for a first run, for tests and for load.

A shop is born `demo_days` days before the last midnight of its first night, and lives on: each later night appends the
days that have passed. The same seed and day of birth give the same rows, whether written at once or day by day.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from include.errors import BadSetting
from include.night import Night, write_atomically
from include.sources.demo.behaviour import behave
from include.sources.demo.campaigns import campaign_rows
from include.sources.demo.catalogue import Catalogue, catalogue
from include.sources.demo.customers import Customers, customer_rows, customers
from include.sources.demo.dirt import soil
from include.sources.demo.memory import Memory
from include.sources.demo.orders import FIELDS as ORDER_FIELDS
from include.sources.demo.orders import fates, item_rows, order_rows, payment_rows
from include.sources.demo.products import product_rows
from include.sources.demo.reviews import FIELDS as REVIEW_FIELDS
from include.sources.demo.reviews import plan_reviews, review_rows
from include.sources.demo.rules import rule_rows
from include.sources.demo.shop import Shop
from include.sources.demo.support import FIELDS as TICKET_FIELDS
from include.sources.demo.support import answer_rows, open_tickets, ticket_rows
from include.sources.demo.truth import load_shop, write_truth

log = logging.getLogger(__name__)

ROWS_A_FILE = 2_000_000  # rows of all tables kept in memory before they are written


def generate(night: Night) -> dict[str, Any]:
    """Write the demo shop's days up to the night's last midnight, those not written yet, as Parquet files in landing.

    The first history becomes one file a table (more for a big shop), each later day one file a table. A killed call
    leaves whole files only; the next one goes on where it was.

    Returns:
        the shop's first day, its days so far, days and rows written by this call.

    Raises:
        BadSetting: the shop was born with another size.
    """
    truth = night.shop_home / "truth"
    shop = _shop(night, truth)
    memory = Memory.load(truth / "memory.npz")
    next_day, days = int(memory.next_day[0]), (night.as_of.date() - shop.born).days
    notes: dict[str, Any] = {
        "born": str(shop.born),
        "days": max(days, next_day),
        "days_written": max(days - next_day, 0),
        "rows_written": 0,
    }
    if days <= next_day and (truth / "dirt.json").exists():
        return notes
    (truth / "dirt.json").unlink(missing_ok=True)  # written last: while it is missing, the truth is not up to date
    last_day = max(days, next_day, 1) - 1
    people, goods = customers(shop, last_day), catalogue(shop, last_day)
    _remove_unfinished(night.landing, shop.date(next_day))
    written: list[dict[str, pa.Table]] = []
    for day in range(next_day, days):
        written.append(_live(shop, day, people.up_to(day), goods.up_to(day), memory))
        held = sum(len(table) for tables in written for table in tables.values())
        if day >= min(shop.history_days, days) - 1 or held >= ROWS_A_FILE:
            _write(night.landing, written, shop.date(day - len(written) + 1), shop.date(day))
            memory.save(truth / "memory.npz")
            notes["rows_written"] += held
            written = []
    write_truth(truth, people, goods, memory)
    return notes


def _shop(night: Night, truth: Path) -> Shop:
    """The shop as it was born, or born now. It keeps its seed for life."""
    settings = night.settings
    path = truth / "shop.json"
    if not path.exists():
        born = night.as_of.date() - timedelta(days=settings.demo_days)
        shop = Shop(settings.seed, settings.demo_customers, settings.demo_products, settings.demo_days, born)
        write_atomically(path, json.dumps(asdict(shop) | {"born": born.isoformat()}, indent=2))
        return shop
    shop = load_shop(path)
    if (shop.customers, shop.products) != (settings.demo_customers, settings.demo_products):
        raise BadSetting(
            f"demo_customers, demo_products: the demo shop {night.shop} was born with {shop.customers} and {shop.products}, "
            f"not {settings.demo_customers} and {settings.demo_products}",
            f"Keep its size, name another shop with NIGHTSHELF_SHOP, or remove {night.shop_home}.",
        )
    return shop


def _live(shop: Shop, day: int, people: Customers, goods: Catalogue, memory: Memory) -> dict[str, pa.Table]:
    """One day of the shop: its rows by contract table. Moves the memory on by that day."""
    memory.grow(len(people))
    events, orders = behave(shop, day, people, goods, memory)
    fate = fates(shop, day, orders)
    line_customer = orders.customer[orders.line_order]
    memory.buy(
        line_customer,
        orders.product,
        goods.repeat_days[orders.product],
        goods.accessories[orders.product, 0] >= 0,
        day,
        shop.rng("repeats", day),
    )
    on_their_way = np.concatenate([memory.orders.reshape(len(ORDER_FIELDS), -1), fate], axis=1)
    order_table, memory.orders = order_rows(shop, day, on_their_way)
    plan = np.concatenate([memory.reviews.reshape(len(REVIEW_FIELDS), -1), plan_reviews(shop, day, orders, fate, people, goods)], axis=1)
    review_table, memory.reviews = review_rows(shop, day, goods, plan)
    tickets = np.concatenate([memory.tickets.reshape(len(TICKET_FIELDS), -1), open_tickets(shop, day, on_their_way, people, goods)], axis=1)
    ticket_table, memory.tickets = ticket_rows(shop, day, tickets)
    tables = {
        "customers": customer_rows(people, day),
        "products": product_rows(goods, day),
        "campaigns": campaign_rows(goods, day),
        "events": events,
        "orders": order_table,
        "order_items": item_rows(shop, orders, fate),
        "payments": payment_rows(shop, day, fate),
        "reviews": review_table,
        "tickets": ticket_table,
        "answers": answer_rows(shop, day),
        "rules": rule_rows(goods, day),
    }
    tables, dirt = soil(shop, day, tables)
    memory.dirt = memory.dirt.reshape(-1, 2) + dirt if len(memory.dirt) else dirt
    memory.next_day = np.array([day + 1])
    return tables


def _write(landing: Path, days: list[dict[str, pa.Table]], first: date, last: date) -> None:
    name = f"{first}.parquet" if first == last else f"{first}_{last}.parquet"
    for table in days[0]:
        rows = pa.concat_tables([tables[table] for tables in days])
        if len(rows):
            folder = landing / table
            folder.mkdir(parents=True, exist_ok=True)
            temporary = folder / f".{name}.{os.getpid()}"
            pq.write_table(rows, temporary)
            os.replace(temporary, folder / name)


def _remove_unfinished(landing: Path, from_date: date) -> None:
    """Remove what a killed call left: files of days the memory does not hold, and files not renamed yet."""
    for path in [*landing.glob("*/*.parquet"), *landing.glob("*/.*")]:
        if path.name.startswith(".") or date.fromisoformat(path.name[:10]) >= from_date:
            log.warning("removed %s, left by an unfinished run", path)
            path.unlink()
