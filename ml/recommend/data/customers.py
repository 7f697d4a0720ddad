"""Customers in the order of their ids, and what is known of each apart from the history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import numpy as np
import pyarrow as pa

from ml.recommend.data.arrow_columns import whole
from ml.recommend.data.snapshot import Snapshot


@dataclass(frozen=True)
class Customers:
    """Some customers in the order of their ids; `segments` holds NULL where unknown."""

    ids: pa.StringArray
    segments: pa.StringArray
    consent: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, begin: int, end: int) -> Self:
        """The customers begin to end."""
        return type(self)(self.ids.slice(begin, end - begin), self.segments.slice(begin, end - begin), self.consent[begin:end])

    def only(self, kept: np.ndarray) -> Self:
        """The customers that are `kept`, (n,) bool."""
        return type(self)(self.ids.filter(pa.array(kept)), self.segments.filter(pa.array(kept)), self.consent[kept])

    @classmethod
    def of(cls, table: pa.Table) -> Self:
        """From columns customer_id, segment and consent."""
        column = {name: whole(table[name]) for name in table.column_names}
        return cls(column["customer_id"], column["segment"].cast(pa.string()), column["consent"].to_numpy(zero_copy_only=False))


def read_chunks(snapshot: Snapshot, size: int) -> Iterator[Customers]:
    """All customers in the order of their ids, `size` at a time."""
    cursor = snapshot.db.cursor()
    query = "select customer_id, segment, coalesce(consent, true) as consent from read_parquet(?) order by customer_id"
    reader = cursor.execute(query, [snapshot.file("customers")]).to_arrow_reader(size)
    held: list[pa.RecordBatch] = []
    for batch in reader:
        held.append(batch)
        while sum(map(len, held)) >= size:
            table = pa.Table.from_batches(held).combine_chunks()
            yield Customers.of(table.slice(0, size))
            held = table.slice(size).to_batches()
    if sum(map(len, held)):
        yield Customers.of(pa.Table.from_batches(held))


def active_customers(snapshot: Snapshot, before: datetime | None = None) -> Customers:
    """The customers who have a history before a moment."""
    table = snapshot.db.execute(
        """
        select distinct customer_id, null::varchar as segment, true as consent
        from read_parquet(?) where occurred_at < coalesce(?, 'infinity'::timestamp) order by customer_id
        """,
        [snapshot.file("interactions"), before],
    ).to_arrow_table()
    return Customers.of(table)


def read_segment_names(snapshot: Snapshot) -> list[str]:
    """The segments that customers are in, in the order of their names."""
    query = "select distinct segment from read_parquet(?) where segment is not null order by segment"
    return [segment for (segment,) in snapshot.db.execute(query, [snapshot.file("customers")]).fetchall()]


def read_reached_ages(snapshot: Snapshot, customers: Customers) -> np.ndarray:
    """(n,) the highest minimum age that each customer has reached, years; 0 where the age is unknown."""
    query = "select customer, reached_age from read_parquet(?) join asked using (customer_id) order by customer"
    return np.asarray(query_customers(snapshot, customers, query, [snapshot.file("customers")])["reached_age"], dtype=np.int32)


def random_numbers(snapshot: Snapshot, customers: Customers) -> np.ndarray:
    """(n,) uint64 a random number for each customer, which depends on the seed, the night and the customer's id alone."""
    query = "select customer, md5_number_lower(customer_id || ? || ?) as chance from asked order by customer"
    entry = query_customers(snapshot, customers, query, [f"/{snapshot.config.seed}/", snapshot.as_of.isoformat()])
    return np.asarray(entry["chance"], dtype=np.uint64)


def query_customers(
    snapshot: Snapshot, customers: Customers, query: str, arguments: Sequence[Any] | dict[str, Any]
) -> dict[str, np.ndarray]:
    """Runs a query that may join `asked`, the number of each of these customers by customer_id."""
    snapshot.db.register("asked", pa.table({"customer_id": customers.ids, "customer": np.arange(len(customers), dtype=np.int32)}))
    return snapshot.db.execute(query, arguments).fetchnumpy()
