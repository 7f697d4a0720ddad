"""Who of the demo shop's buyers writes a review, when, and with how many stars: those follow quality, fit and delivery."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from include.sources.demo.behaviour import Orders
from include.sources.demo.catalogue import Catalogue
from include.sources.demo.customers import Customers
from include.sources.demo.orders import CODE, DELIVERED, PROMISED, order_ids
from include.sources.demo.review_texts import titles_and_texts
from include.sources.demo.rows import NONE, Integers, ids, rows
from include.sources.demo.shop import DAY_SECONDS, Shop

# Rows of `Memory.reviews`: written_at is seconds since 1970, late is whether the parcel came after the promised day.
FIELDS = ("written_at", "order", "customer", "product", "rating", "late")
WRITTEN, ORDER, CUSTOMER, PRODUCT, RATING, LATE = range(len(FIELDS))

STAR_BOUNDS = (-0.6, -0.2, 0.3, 0.75)  # satisfaction from which a buyer gives two, three, four, five stars
NO_TEXT_SHARE = 0.04


def plan_reviews(shop: Shop, day: int, orders: Orders, fate: Integers, people: Customers, goods: Catalogue) -> Integers:
    """(FIELDS, n) the reviews that a day's orders will bring, once delivered."""
    rng = shop.rng("reviews.plan", day)
    line, product = orders.line_order, orders.product
    customer, delivered, late = orders.customer[line], fate[DELIVERED][line], (fate[DELIVERED] > fate[PROMISED])[line]
    fit = 0.25 * (goods.style[product] == people.style[customer]) + 0.15 * (goods.tier[product] == people.tier[customer])
    satisfaction = 0.75 * goods.quality_on(day)[product] + fit - 0.7 * late + 0.75 * rng.standard_normal(len(line)) + 0.35
    rating = 1 + np.searchsorted(STAR_BOUNDS, satisfaction, side="right")
    # What turns bad is much talked about, so that the fall shows in the reviews.
    eager = np.where(rating == 1, 1.3, np.where((rating == 2) | (rating == 3), 0.8, 1.0)) * np.where(
        goods.drop_day[product] != NONE, 2.5, 1.0
    )
    chance, wait = rng.random(len(line)), rng.integers(DAY_SECONDS // 2, 10 * DAY_SECONDS, len(line))
    written = (delivered != NONE) & (chance < people.writes[customer] * eager)
    written_at = delivered + wait
    plan = np.stack([written_at, fate[CODE][line], customer, product, rating, late.astype(np.int64)])
    return plan[:, written]


def review_rows(shop: Shop, day: int, goods: Catalogue, plan: Integers) -> tuple[pa.Table, Integers]:
    """Rows for the reviews written on a day, and (FIELDS, m) those still to be written.

    Args:
        plan: (FIELDS, n) all reviews still to be written.
    """
    end = shop.midnight(day + 1)
    now: Integers = plan[:, plan[WRITTEN] < end]
    now = now[:, np.argsort(now[WRITTEN], kind="stable")]
    size = now.shape[1]
    rng = shop.rng("reviews", day)
    title, text = titles_and_texts(now[RATING], goods.category[now[PRODUCT]], now[LATE] == 1, rng)
    missing = rng.random(size) < NO_TEXT_SHARE
    table = rows(
        "reviews",
        {
            "review_id": ids(f"R{shop.date(day):%Y%m%d}-", np.arange(size), 4),
            "product_id": ids("P", now[PRODUCT]),
            "customer_id": ids("C", now[CUSTOMER]),
            "order_id": order_ids(shop, now[ORDER]),
            "rating": now[RATING],
            "title": pa.array(title, pa.string(), mask=missing),
            "text": pa.array(text, pa.string(), mask=missing),
            "helpful_votes": rng.poisson(0.6, size),
            "reviewed_at": now[WRITTEN],
            "updated_at": now[WRITTEN],
        },
    )
    return table, plan[:, plan[WRITTEN] >= end]
