"""How dissatisfied the reviewers of each product were before a moment."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np

from ml.recommend.data.snapshot import Snapshot

# how many reviews the shop's mean score counts for, as in dbt_project.yml
PRIOR_REVIEWS = 5


def read_dissatisfaction(snapshot: Snapshot, before: datetime | None = None) -> np.ndarray:
    """(P,) float32 in [0, 1], how far a product's mean review score lay below the shop's average before a moment; 0 without reviews.

    A product's mean score is that of dbt's `product_opinions` as of the moment. The scores come from tonight's sentiment model.
    """
    file = snapshot.folder / "review_scores.parquet"
    if not file.exists():
        return np.zeros(len(snapshot.catalogue), np.float32)
    return snapshot.once(("dissatisfaction", before), lambda: _find_dissatisfaction(snapshot, file, before))


def _find_dissatisfaction(snapshot: Snapshot, file: Path, before: datetime | None) -> np.ndarray:
    query = """
        with decayed as (
            select product_id, score, weight * pow(0.5, (epoch($moment) - epoch(reviewed_at)) / 86400.0 / $half_life) as worth
            from read_parquet($scores) where reviewed_at < $moment
        ),
        shop as (
            select
                sum(cast(worth * score as decimal(18, 9)))::double
                / nullif(sum(cast(worth as decimal(18, 9)))::double, 0) as mean
            from decayed
        )
        select
            product, (sum(cast(worth * score as decimal(18, 9)))::double + $prior * any_value(shop.mean))
            / (sum(cast(worth as decimal(18, 9)))::double + $prior) as mean
        from decayed join catalogue using (product_id) cross join shop group by product order by product
    """  # decimals add up to the same sum in any order
    moment = before or snapshot.as_of
    half_life = snapshot.config.review_half_life_days
    arguments = {"scores": str(file), "moment": moment, "half_life": half_life, "prior": PRIOR_REVIEWS}
    found = snapshot.db.execute(query, arguments).fetchnumpy()
    mean = np.ma.filled(found["mean"], np.nan)
    dissatisfaction = np.zeros(len(snapshot.catalogue), np.float32)
    if len(mean) and not np.isnan(mean).all():
        dissatisfaction[found["product"]] = np.clip(np.nan_to_num(np.nanmean(mean) - mean), 0, 1)
    return dissatisfaction
