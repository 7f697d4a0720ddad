"""Holdouts: days whose outcome is known. A model scores with what was known before them and is compared with what customers then did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from ml.nightly_model import Split
from ml.recommend.data.customers import Customers, query_customers
from ml.recommend.data.exclusions import owned_sql
from ml.recommend.data.snapshot import Snapshot


@dataclass(frozen=True)
class Holdout:
    """A window of days with known outcome.

    Attributes:
        starts_at, ends_at: the time of the outcome. `ends_at` is None where the split's labels say when it ends.
        split: the split whose labels are the outcome; None where the outcome is taken from the interactions.
    """

    starts_at: datetime
    ends_at: datetime | None
    split: Split | None


def holdout_of(snapshot: Snapshot, split: Split) -> Holdout:
    """A split as a holdout: its labels, to be predicted from the history before it."""
    return Holdout(snapshot.starts_at[split], None, split)


def selection_holdout(snapshot: Snapshot) -> Holdout:
    """The holdout that choices are made on: the validation split. In a young shop, where fewer rows lie before that split than in it, the
    holdout is the last third of the rows before the test split."""
    validation, test = snapshot.starts_at["validation"], snapshot.starts_at["test"]
    query = """
        select count(*) filter (occurred_at < ?), count(*), quantile_disc(occurred_at, 0.67)
        from read_parquet(?) where occurred_at < ?
    """
    before, rows, cut = snapshot.db.execute(query, [validation, snapshot.file("interactions"), test]).fetchone() or (0, 0, None)
    return holdout_of(snapshot, "validation") if before * 2 >= rows or cut is None else Holdout(cut, test, None)


def earlier_holdouts(snapshot: Snapshot, holdout: Holdout) -> Iterator[Holdout]:
    """Windows of the same length as a holdout, going back in time: each ends where the last one starts. Every one of them has at least as
    much history before it as it is long."""
    begin, end = window_of(snapshot, holdout)
    first = first_interaction_at(snapshot)
    length = end - begin
    while first is not None and begin - 2 * length >= first:
        begin, end = begin - length, begin
        yield Holdout(begin, end, None)


def window_of(snapshot: Snapshot, holdout: Holdout) -> tuple[datetime, datetime]:
    """When a holdout starts and ends."""
    if holdout.ends_at is not None:
        return holdout.starts_at, holdout.ends_at
    return holdout.starts_at, snapshot.starts_at["test"] if holdout.split == "validation" else snapshot.as_of


def first_interaction_at(snapshot: Snapshot) -> datetime | None:
    """The moment of the first interaction that choices may see; None where there is none."""
    query = "select min(occurred_at) from read_parquet(?) where occurred_at < ?"
    (first,) = snapshot.db.execute(query, [snapshot.file("interactions"), snapshot.starts_at["test"]]).fetchone() or (None,)
    return first


def known_products(snapshot: Snapshot, holdout: Holdout) -> np.ndarray:
    """(P,) bool, the products known before a holdout."""
    return snapshot.catalogue.known_at < snapshot.moment(holdout.starts_at)


def evaluated_users(snapshot: Snapshot, holdout: Holdout, limit: int) -> Customers:
    """The customers with labels in a holdout. Of more than `limit` it takes a sample by hash, which is the same in every run."""
    labels, arguments = _labels_sql(snapshot, holdout)
    query = f"""
        with labels as ({labels})
        select customer_id, null::varchar as segment, true as consent
        from (select distinct customer_id from labels) order by md5(customer_id || ?), customer_id limit ?
    """
    table = snapshot.db.execute(query, [*arguments, str(snapshot.config.seed), limit]).to_arrow_table().sort_by("customer_id")
    return Customers.of(table)


def read_labels(snapshot: Snapshot, customers: Customers, holdout: Holdout) -> tuple[np.ndarray, np.ndarray]:
    """What the customers went on to do in a holdout: (customer numbers, product numbers)."""
    labels, arguments = _labels_sql(snapshot, holdout)
    query = f"""
        with labels as ({labels})
        select distinct customer, product from labels join asked using (customer_id) join catalogue using (product_id) order by all
    """
    entry = query_customers(snapshot, customers, query, arguments)
    return entry["customer"], entry["product"]


def _labels_sql(snapshot: Snapshot, holdout: Holdout) -> tuple[str, list[Any]]:
    """SQL and its arguments for a holdout's (customer_id, product_id). It has only products that were known before the holdout and that
    the customer did not own, because no list could hold others."""
    labels: str
    arguments: list[Any]
    if holdout.split:
        labels = "select customer_id, product_id from read_parquet(?) where split = ?"
        arguments = [snapshot.file("labels"), holdout.split]
    else:
        labels = "select customer_id, product_id from read_parquet(?) where is_target and occurred_at >= ? and occurred_at < ?"
        arguments = [snapshot.file("interactions"), holdout.starts_at, holdout.ends_at]
    return (
        f"""
        select customer_id, product_id from ({labels}) join catalogue using (product_id)
        anti join ({owned_sql(snapshot, holdout.starts_at)}) using (customer_id, product_id)
        where known_at < epoch_us(?::timestamp)
    """,
        [*arguments, snapshot.file("interactions"), holdout.starts_at, holdout.starts_at],
    )


def read_segments_before(snapshot: Snapshot, customers: Customers, holdout: Holdout) -> pa.StringArray:
    """(n,) the segment that each customer was in when the holdout's split started; NULL where the snapshot does not say."""
    file = snapshot.folder / "segments.parquet"
    if holdout.split is None or not file.exists():
        return pa.nulls(len(customers), pa.string())
    query = """
        select segment from asked left join (select customer_id, segment from read_parquet(?) where split = ?) using (customer_id)
        order by customer
    """
    segments = query_customers(snapshot, customers, query, [str(file), holdout.split])["segment"]
    return pa.array(segments, pa.string(), from_pandas=True)
