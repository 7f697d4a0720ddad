"""What may not be shown to a customer: what they own, and what they took off their lists."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa

from ml.recommend.data.customers import Customers, query_customers
from ml.recommend.data.repeatability import read_repeatable
from ml.recommend.data.snapshot import Snapshot


def read_owned(snapshot: Snapshot, customers: Customers, before: datetime | None = None) -> tuple[np.ndarray, np.ndarray]:
    """What the customers had bought or reviewed before a moment, without products that people buy again as far as was known then:
    (customer numbers, product numbers)."""
    n = len(customers)
    first, last = (customers.ids[0].as_py(), customers.ids[n - 1].as_py()) if n else ("", "")
    query = f"""
        select distinct customer, product from ({owned_sql(snapshot, before)})
        join asked using (customer_id) join catalogue using (product_id)
        where customer_id between ? and ? order by customer, product
    """
    entry = query_customers(snapshot, customers, query, [snapshot.file("interactions"), before, first, last])
    return entry["customer"], entry["product"]


def owned_sql(snapshot: Snapshot, before: datetime | None) -> str:
    """SQL of (customer_id, product_id), in which a pair may occur more than once; its arguments are the interactions and the moment."""
    bought_once = snapshot.catalogue.ids.filter(pa.array(~read_repeatable(snapshot, before)))
    snapshot.db.register("bought_once", pa.table({"product_id": bought_once}))
    return """
        select customer_id, product_id from read_parquet(?) semi join bought_once using (product_id)
        where event_type in ('purchase', 'review') and occurred_at < coalesce(?, 'infinity'::timestamp)
    """


def read_excluded(snapshot: Snapshot, customers: Customers) -> tuple[np.ndarray, np.ndarray]:
    """What the customers own or took off their lists, never to be shown to them: (customer numbers, product numbers)."""
    query = """
        with pairs as (
            select customer_id, product_id from read_parquet(?)
            union
            select customer_id, product_id from {dismissed}
        )
        select customer, product from pairs join asked using (customer_id) join catalogue using (product_id) order by customer, product
    """
    dismissed = snapshot.folder / "dismissed.parquet"
    present = dismissed.exists()
    files = [snapshot.file("owned")] + [str(dismissed)] * present
    known = "read_parquet(?)" if present else "(select null as customer_id, null as product_id where false)"
    entry = query_customers(snapshot, customers, query.format(dismissed=known), files)
    return entry["customer"], entry["product"]
