"""How much each product is wanted, with older events counting less."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from ml.recommend.data.snapshot import Snapshot


def read_popularity(
    snapshot: Snapshot, half_life_days: float, before: datetime | None = None, by_segment: bool = False, last_days: float = 36500
) -> dict[str, np.ndarray]:
    """Sums of event weights of the last days before a moment, decayed by age: {segment: (P,)}, with 'all' for everybody."""
    segment = "coalesce(c.segment, '')" if by_segment else "''"
    query = f"""
        with events as (
            select customer_id, product_id, event_weight, occurred_at from read_parquet(?)
            where occurred_at < coalesce(?, 'infinity'::timestamp)
        ),
        latest as (select max(occurred_at) as moment from events),
        weighed as (
            select
                {segment} as segment, product,
                event_weight * pow(0.5, (epoch(latest.moment) - epoch(occurred_at)) / 86400.0 / ?) as worth
            from events cross join latest join catalogue using (product_id)
            left join (select customer_id, segment from read_parquet(?)) c using (customer_id)
            where epoch(coalesce(?, latest.moment)) - epoch(occurred_at) <= 86400.0 * ?
        )
        select segment, product, sum(round(worth * 1e12)::hugeint)::double / 1e12 as worth
        from weighed group by segment, product order by segment, product
    """  # whole numbers add up to the same sum in any order, so that threads cannot change it
    arguments = [snapshot.file("interactions"), before, half_life_days, snapshot.file("customers"), before, last_days]
    table = snapshot.db.execute(query, arguments).fetchnumpy()
    names, number = np.unique(table["segment"].astype(str), return_inverse=True)
    sums = np.zeros((len(names), len(snapshot.catalogue)))
    sums[number, table["product"]] = table["worth"]
    found = {"all": sums.sum(axis=0)} | {name: row for name, row in zip(names.tolist(), sums, strict=True) if name}
    return {name: row.astype(np.float32) for name, row in found.items()}
