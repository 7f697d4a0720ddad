"""Statistics of each product before a moment: how much it was wanted recently and ever, how soon it is bought again, and what its
reviewers thought of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Self

import numpy as np

from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.dissatisfaction import read_dissatisfaction
from ml.recommend.data.repeatability import read_repeatable
from ml.recommend.data.snapshot import Snapshot

# how many of its own gaps a product needs until they count as much as its category's
GAP_PRIOR = 3.0


@dataclass(frozen=True)
class ProductStatistics:
    """Of the P products before a moment, float32 each.

    Attributes:
        wanted_7, wanted_30, wanted: (P,) sums of event weights of the last 7 and 30 days, and of all.
        bought_7, bought_30, bought: (P,) target events, likewise.
        buyers: (P,) customers with a target event; again: the share of them who came back for it on another day.
        gap_days: (P,) typical days between two purchases by one customer: the geometric mean, shrunk towards the category's and the shop's;
            NaN where nobody ever bought anything twice.
        repeatable: (P,) 1 where people buy it again, else 0.
        dissatisfaction: (P,) in [0, 1], how far its mean review score lies below the shop's average; 0 without reviews.
    """

    wanted_7: np.ndarray
    wanted_30: np.ndarray
    wanted: np.ndarray
    bought_7: np.ndarray
    bought_30: np.ndarray
    bought: np.ndarray
    buyers: np.ndarray
    again: np.ndarray
    gap_days: np.ndarray
    repeatable: np.ndarray
    dissatisfaction: np.ndarray

    @classmethod
    def read(cls, snapshot: Snapshot, before: datetime | None) -> Self:
        """The statistics of a snapshot before a moment; None is the night's."""
        found = _read_sums(snapshot, before)
        buyers = found["buyers"]
        return cls(
            **{name: found[name].astype(np.float32) for name in ("wanted_7", "wanted_30", "wanted", "bought_7", "bought_30", "bought")},
            buyers=buyers.astype(np.float32),
            again=(found["repeat_buyers"] / np.maximum(buyers, 1)).astype(np.float32),
            gap_days=_gap_days(snapshot.catalogue, found["gaps"], found["log_gaps"]),
            repeatable=read_repeatable(snapshot, before).astype(np.float32),
            dissatisfaction=read_dissatisfaction(snapshot, before),
        )


def _read_sums(snapshot: Snapshot, before: datetime | None) -> dict[str, np.ndarray]:
    """Counts and sums of each product's events before a moment, {name: (P,)}.

    They are those of `ProductStatistics` and two more: `gaps` is how many times a customer bought the product again on another day, and
    `log_gaps` is the sum of the logarithms of the days in between.
    """
    query = """
        with events as (
            select
                customer_id, product, cast(event_weight as decimal(18, 6)) as event_weight, is_target, cast(occurred_at as date) as day,
                epoch_us(occurred_at) > $moment - 7 * 86400000000 as is_of_7,
                epoch_us(occurred_at) > $moment - 30 * 86400000000 as is_of_30
            from read_parquet($interactions) join catalogue using (product_id) where epoch_us(occurred_at) < $moment
        ),
        days as (select distinct product, customer_id, day from events where is_target),
        gaps as (
            select product, customer_id, day - lag(day) over (partition by product, customer_id order by day) as gap from days
        ),
        by_customer as (
            select product, customer_id, count(gap) as gaps, sum(cast(ln(gap) as decimal(18, 6))) as log_gaps
            from gaps group by product, customer_id
        ),
        bought as (
            select
                product, count(*) as buyers, count(*) filter (gaps > 0) as repeat_buyers, sum(gaps) as gaps, sum(log_gaps) as log_gaps
            from by_customer group by product
        ),
        wanted as (
            select
                product,
                sum(event_weight) filter (is_of_7) as wanted_7,
                sum(event_weight) filter (is_of_30) as wanted_30,
                sum(event_weight) as wanted,
                count(*) filter (is_target and is_of_7) as bought_7,
                count(*) filter (is_target and is_of_30) as bought_30,
                count(*) filter (is_target) as bought
            from events group by product
        )
        select columns(* exclude (product))::double, product from wanted left join bought using (product) order by product
    """
    arguments = {"moment": snapshot.moment(before), "interactions": snapshot.file("interactions")}
    found = snapshot.db.execute(query, arguments).fetchnumpy()
    product = found.pop("product")
    sums = {name: np.zeros(len(snapshot.catalogue)) for name in found}
    for name, values in found.items():
        sums[name][product] = np.ma.filled(values, 0)
    return sums


def _gap_days(catalogue: Catalogue, gaps: np.ndarray, log_gaps: np.ndarray) -> np.ndarray:
    """(P,) float32 exp of the mean log gap. A product's is shrunk towards its category's, and a category's towards the shop's."""
    total = gaps.sum()
    if not total:
        return np.full(len(gaps), np.nan, np.float32)
    shop = log_gaps.sum() / total
    category = np.where(catalogue.category >= 0, catalogue.category, catalogue.category.max(initial=-1) + 1)
    size = int(category.max(initial=0)) + 1
    of_category = np.bincount(category, weights=gaps, minlength=size)
    in_category = (np.bincount(category, weights=log_gaps, minlength=size) + GAP_PRIOR * shop) / (of_category + GAP_PRIOR)
    return np.exp((log_gaps + GAP_PRIOR * in_category[category]) / (gaps + GAP_PRIOR)).astype(np.float32)
