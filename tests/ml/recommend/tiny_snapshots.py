"""Small feature snapshots, written as a night writes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

DAY = timedelta(days=1)
START = datetime(2026, 1, 1)
VALIDATION, TEST, END = START + 60 * DAY, START + 70 * DAY, START + 80 * DAY
WEIGHTS = {"purchase": 5.0, "review": 4.0, "cart": 3.0, "wishlist": 2.5, "recommendation_click": 1.5, "view": 1.0}

Event = tuple[str, str, str, datetime]  # customer, product, event type, time
Rule = tuple[str, str, str, str | None, int | None]  # rule_id, kind, product, segment, value


def write_snapshot(
    folder: Path,
    events: Iterable[Event],
    products: Mapping[str, Mapping[str, Any]],
    customers: Mapping[str, Mapping[str, Any]] | None = None,
    dissatisfaction: Mapping[str, float] | None = None,
    rules: Iterable[Rule] = (),
    dismissed: Iterable[tuple[str, str]] = (),
) -> Path:
    """Writes a feature snapshot; what is not given of a product or customer has a sensible value."""
    folder.mkdir(parents=True, exist_ok=True)
    db = duckdb.connect()
    db.execute("create table e (customer_id varchar, product_id varchar, event_type varchar, occurred_at timestamp, event_weight double)")
    rows = [(*event, WEIGHTS[event[2]]) for event in events]
    if rows:
        db.executemany("insert into e values (?, ?, ?, ?, ?)", rows)
    db.execute(
        """create table p (product_id varchar, title varchar, category varchar, brand varchar, price double, is_available boolean,
        is_repeatable boolean, stated_repeatable boolean, text varchar, text_hash varchar, created_at timestamp)"""
    )
    for product, given in products.items():
        text = given.get("text", "")
        repeatable = given.get("repeatable", False)
        row = [product, given.get("title"), given.get("category"), None, 1.0, given.get("available", True), repeatable, repeatable]
        db.execute(
            "insert into p values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [*row, text, hashlib.sha256(text.encode()).hexdigest(), given.get("created_at", START)],
        )
    db.execute("create table c (customer_id varchar, segment varchar, consent boolean, registered_at timestamp, reached_age integer)")
    known = {event[0]: {} for event in rows} | dict(customers or {})
    for customer, given in known.items():
        row = [customer, given.get("segment", "occasional"), given.get("consent", True), START, given.get("reached_age", 0)]
        db.execute("insert into c values (?, ?, ?, ?, ?)", row)
    for table, columns, given in (
        ("rules", "rule_id varchar, kind varchar, product_id varchar, segment varchar, value integer", list(rules)),
        ("dismissed", "customer_id varchar, product_id varchar", list(dismissed)),
    ):
        db.execute(f"create table {table} ({columns})")
        if given:
            db.executemany(f"insert into {table} values ({', '.join('?' * len(given[0]))})", given)
    splits = [("train", START, VALIDATION), ("validation", VALIDATION, TEST), ("test", TEST, END)]
    db.execute("create table s (split varchar, starts_at timestamp, ends_at timestamp)")
    db.executemany("insert into s values (?, ?, ?)", splits)
    interactions = """
        select customer_id, product_id, event_type, occurred_at, event_weight,
            event_weight * pow(0.5, (epoch(?::timestamp) - epoch(occurred_at)) / 86400 / 60) as weight,
            event_type = 'purchase' as is_target, split
        from e join c using (customer_id) join s on occurred_at >= starts_at and occurred_at < ends_at
        where consent order by customer_id, occurred_at, product_id
    """
    db.execute(f"create table interactions as {interactions}", [END])
    db.execute("""create table owned as select customer_id, product_id, min(occurred_at) as first_at from e join p using (product_id)
        where event_type in ('purchase', 'review') and not is_repeatable group by all order by all""")
    db.execute("""create table labels as
        select customer_id, product_id, split, min(occurred_at) as first_at from interactions
        where is_target and split <> 'train' group by all order by all""")
    # what a customer did before the split says the segment: nothing or once is new
    db.execute("""create table segments as
        select l.customer_id, l.split, case when count(i.customer_id) < 2 then 'new' else 'occasional' end as segment
        from (select distinct customer_id, split from labels) l join s on s.split = l.split
        left join interactions i on i.customer_id = l.customer_id and i.occurred_at < s.starts_at
        group by all order by all""")
    db.execute("""create table products as select p.*, first_seen_at, product_id as shown_product_id from p
        left join (select product_id, min(occurred_at) as first_seen_at from interactions group by all) using (product_id)
        order by product_id""")
    db.execute("""create table customers as select c.customer_id, segment, consent, coalesce(interactions, 0) as interactions,
        last_seen_at, registered_at, reached_age from c
        left join (select customer_id, count(*) as interactions, max(occurred_at) as last_seen_at
        from interactions group by all) using (customer_id) order by customer_id""")
    for table, source in {"splits": "s"}.items() | {
        (t, t) for t in ("interactions", "owned", "labels", "segments", "products", "customers", "rules", "dismissed")
    }:
        db.table(source).write_parquet(str(folder / f"{table}.parquet"))
    db.execute("create table d (product_id varchar, reviewed_at timestamp, score double, weight double)")
    if dissatisfaction:
        db.executemany("insert into d values (?, ?, ?, 1000)", [(p, START, -value) for p, value in dissatisfaction.items()])
    db.table("d").write_parquet(str(folder / "review_scores.parquet"))
    db.sql("from rules where false").write_parquet(str(folder / "sentiment_rules.parquet"))
    db.close()
    return folder


def two_tastes(customers: int = 60, products: int = 30, seed: int = 1) -> list[Event]:
    """Purchases of a shop where even customers want even products and odd ones odd products, some more wanted than others."""
    rng = np.random.default_rng(seed)
    popularity = 1 / np.arange(1, products // 2 + 1)
    popularity /= popularity.sum()
    events: list[Event] = []
    for c in range(customers):
        wanted = rng.choice(products // 2, size=min(10, products // 2), replace=False, p=popularity) * 2 + c % 2
        days = np.sort(rng.uniform(0, 79, len(wanted)))
        events += [(f"c{c:03d}", f"p{p:03d}", "purchase", START + float(d) * DAY) for p, d in zip(wanted, days, strict=True)]
    return events


def bought(customer: str, product: str, *days: float) -> list[Event]:
    """Purchases of one product, each so many days after START."""
    return [(customer, product, "purchase", START + day * DAY) for day in days]
