"""Which products people buy again, as far as it was known at a moment."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from ml.recommend.data.snapshot import Snapshot

# how many buyers the category's share of repeat buyers counts for, as in dbt_project.yml
PRIOR_BUYERS = 10


def read_repeatable(snapshot: Snapshot, before: datetime | None = None) -> np.ndarray:
    """(P,) bool, whether people buy a product again, as it was known before a moment.

    The shop's own statement decides. Where there is none, it is the share of buyers who came back on another day. dbt's `product_activity`
    says the same of the night.
    """
    return snapshot.once(("repeatable", before), lambda: _find_repeatable(snapshot, before))


def _find_repeatable(snapshot: Snapshot, before: datetime | None) -> np.ndarray:
    query = """
        with bought as (
            select product, min(occurred_at::date) < max(occurred_at::date) as again
            from read_parquet(?) join catalogue using (product_id)
            where event_type = 'purchase' and occurred_at < coalesce(?, 'infinity'::timestamp) group by product, customer_id
        )
        select product, count(*) as buyers, count(*) filter (again) as repeat_buyers from bought group by product
    """
    catalogue = snapshot.catalogue
    found = snapshot.db.execute(query, [snapshot.file("interactions"), before]).fetchnumpy()
    buyers, again = np.zeros(len(catalogue)), np.zeros(len(catalogue))
    buyers[found["product"]], again[found["product"]] = found["buyers"], found["repeat_buyers"]
    category = np.where(catalogue.category >= 0, catalogue.category, catalogue.category.max(initial=-1) + 1)
    usual = np.bincount(category, weights=again) / np.maximum(np.bincount(category, weights=buyers), 1)
    share = (again + PRIOR_BUYERS * usual[category]) / (buyers + PRIOR_BUYERS)
    stated = catalogue.stated_repeatable
    return np.where(stated >= 0, stated > 0, (share >= snapshot.config.repeatable_share) & (buyers > 0))
