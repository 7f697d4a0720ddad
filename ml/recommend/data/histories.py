"""Histories: what each customer did before a moment, one entry a customer and product."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Self

import numpy as np
import scipy.sparse as sp

from ml.recommend.data.customers import Customers, query_customers
from ml.recommend.data.repeatability import read_repeatable
from ml.recommend.data.snapshot import Snapshot

# what a purchase counts, for each later order of the customer
HABIT_DECAY = 0.9

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
        habit: (m,) sum over the orders that held the product of HABIT_DECAY^(orders since); an order is a day with target events.
        orders_ago, orders_since: (m,) how many orders came after the last with the product, and how many from the first with it on, that
            one included; 0 where it was never ordered.
        repeatable: (P,) bool, the products that people buy again, as far as was known at the moment.
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


def read_history(snapshot: Snapshot, customers: Customers, before: datetime | None = None) -> History:
    """What the customers did before a moment. Those without consent have no history, because the snapshot holds nothing of theirs."""
    query = """
        with events as (
            select customer, product, event_type, event_weight, is_target, occurred_at, cast(occurred_at as date) as day
            from read_parquet($interactions) join asked using (customer_id) join catalogue using (product_id)
            where customer_id between $first and $last and occurred_at < coalesce($before, 'infinity'::timestamp)
        ),
        ordered_on as (select distinct customer, product, day from events where is_target),
        orders as (
            select customer, day, row_number() over (partition by customer order by day desc) - 1 as ago
            from (select distinct customer, day from ordered_on)
        ),
        habits as (
            select
                customer, product, min(ago) as orders_ago, max(ago) + 1 as orders_since,
                sum(round(pow($decay, ago) * 1e9)::bigint)::double / 1e9 as habit
            from ordered_on join orders using (customer, day) group by customer, product
        ),
        entries as (
            select
                customer, product,
                sum(cast(event_weight as decimal(18, 6)))::double as evidence,
                count(*) filter (is_target) as targets,
                count(distinct day) filter (is_target) as target_days,
                min(occurred_at) as first_at,
                max(occurred_at) as last_at,
                min(occurred_at) filter (is_target) as first_target_at,
                max(occurred_at) filter (is_target) as last_target_at,
                arg_max(list_position($event_types, event_type) - 1, (event_weight, occurred_at, event_type)) as event
            from events group by customer, product
        ),
        ordered as (
            select *, row_number() over (partition by customer order by last_at desc, product) - 1 as steps from entries
            qualify steps < $max_history
        )
        select
            customer, product, steps, evidence, targets, target_days,
            epoch_us(first_at) as first_at, epoch_us(last_at) as last_at,
            coalesce(epoch_us(first_target_at), 0) as first_target_at, coalesce(epoch_us(last_target_at), 0) as last_target_at,
            coalesce(event, 0) as event,
            coalesce(habit, 0) as habit, coalesce(orders_ago, 0) as orders_ago, coalesce(orders_since, 0) as orders_since
        from ordered left join habits using (customer, product) order by customer, steps
    """  # habits are sums of whole numbers, the same in any order
    n, p = len(customers), len(snapshot.catalogue)
    first, last = (customers.ids[0].as_py(), customers.ids[n - 1].as_py()) if n else ("", "")
    arguments = {
        "interactions": snapshot.file("interactions"),
        "first": first,
        "last": last,
        "before": before,
        "event_types": list(EVENT_TYPES),
        "max_history": snapshot.config.max_history,
        "decay": HABIT_DECAY,
    }
    entry = query_customers(snapshot, customers, query, arguments)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(entry["customer"], minlength=n))]).astype(np.int64)
    return History(
        customers=n,
        products=p,
        moment=snapshot.moment(before),
        indptr=indptr,
        product=entry["product"].astype(np.int32),
        steps=entry["steps"].astype(np.int32),
        evidence=entry["evidence"].astype(np.float32),
        targets=entry["targets"].astype(np.int32),
        target_days=entry["target_days"].astype(np.int32),
        first_at=entry["first_at"].astype(np.int64),
        last_at=entry["last_at"].astype(np.int64),
        first_target_at=entry["first_target_at"].astype(np.int64),
        last_target_at=entry["last_target_at"].astype(np.int64),
        event=entry["event"].astype(np.int8),
        habit=entry["habit"].astype(np.float32),
        orders_ago=entry["orders_ago"].astype(np.int32),
        orders_since=entry["orders_since"].astype(np.int32),
        repeatable=read_repeatable(snapshot, before),
    )
