"""What becomes of the demo shop's orders: payment, parcel, delivery, cancellation, return, day by day."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from include.sources.demo.behaviour import Orders
from include.sources.demo.rows import NONE, Integers, ids, picks, rows
from include.sources.demo.shop import DAY_SECONDS, Shop

# Rows of `Memory.orders`: code is day * DAY_ORDERS + number on the day; times are seconds since 1970, NONE if never.
FIELDS = (
    "code",
    "customer",
    "campaign",
    "cents",
    "ordered_at",
    "paid_at",
    "promised_at",
    "shipped_at",
    "delivered_at",
    "cancelled_at",
    "returned_at",
)
CODE, CUSTOMER, CAMPAIGN, CENTS, ORDERED, PAID, PROMISED, SHIPPED, DELIVERED, CANCELLED, RETURNED = range(len(FIELDS))
DAY_ORDERS = 10_000_000
STATUSES = ("created", "paid", "shipped", "delivered", "cancelled", "returned")
METHODS = ("card", "paypal", "invoice", "voucher")

PROMISED_DAYS = 5
CANCELLED_SHARE, RETURNED_SHARE, VOUCHER_SHARE = 0.02, 0.04, 0.05


def order_ids(shop: Shop, codes: Integers) -> pa.Array:
    """(n,) ids such as O20260301-00012; NONE becomes missing."""
    first, last = (int(codes[codes != NONE].min()), int(codes.max())) if (codes != NONE).any() else (0, 0)
    days = [shop.date(day).strftime("O%Y%m%d-") for day in range(first // DAY_ORDERS, last // DAY_ORDERS + 1)]
    day = np.where(codes == NONE, NONE, codes // DAY_ORDERS - first // DAY_ORDERS)
    return pa.compute.binary_join_element_wise(picks(days, day), ids("", np.where(codes == NONE, 0, codes % DAY_ORDERS), 5), "")


def fates(shop: Shop, day: int, orders: Orders) -> Integers:
    """(FIELDS, n) what will become of a day's orders."""
    rng = shop.rng("orders", day)
    size = len(orders.customer)
    end = shop.midnight(day) + DAY_SECONDS - 1
    cancelled, returned = rng.random(size) < CANCELLED_SHARE, rng.random(size) < RETURNED_SHARE
    paid_at = np.minimum(orders.ordered_at + 30 + (rng.random(size) * 600).astype(np.int64), end)
    shipped_at = orders.ordered_at + (DAY_SECONDS * rng.lognormal(-0.1, 0.5, size)).astype(np.int64) + 3600
    delivered_at = shipped_at + (DAY_SECONDS * (1 + rng.lognormal(0.3, 0.6, size))).astype(np.int64)
    fate = np.full((len(FIELDS), size), NONE)
    fate[CODE] = day * DAY_ORDERS + np.arange(size)
    fate[CUSTOMER], fate[CAMPAIGN], fate[ORDERED], fate[PAID] = orders.customer, orders.campaign, orders.ordered_at, paid_at
    fate[CENTS] = np.bincount(orders.line_order, weights=orders.pieces * orders.cents, minlength=size).astype(np.int64)
    fate[PROMISED] = shop.midnight(day) + (1 + PROMISED_DAYS) * DAY_SECONDS
    fate[SHIPPED], fate[DELIVERED] = np.where(cancelled, NONE, shipped_at), np.where(cancelled, NONE, delivered_at)
    fate[CANCELLED] = np.where(
        cancelled, np.maximum(paid_at + 60, np.minimum(orders.ordered_at + (rng.random(size) * 10 * 3600).astype(np.int64), end)), NONE
    )
    fate[RETURNED] = np.where(returned & ~cancelled, delivered_at + rng.integers(2 * DAY_SECONDS, 12 * DAY_SECONDS, size), NONE)
    return fate


def order_rows(shop: Shop, day: int, fate: Integers) -> tuple[pa.Table, Integers]:
    """Rows for the orders of which something became on a day, and (FIELDS, m) the orders still on their way after it.

    Args:
        fate: (FIELDS, n) the orders on their way, those of the day included.
    """
    begin, end = shop.midnight(day), shop.midnight(day + 1)
    steps = fate[[ORDERED, PAID, SHIPPED, DELIVERED, CANCELLED, RETURNED]]
    known = np.where(steps < end, steps, NONE)
    news = fate[:, ((steps >= begin) & (steps < end)).any(axis=0)]
    steps = known[:, ((steps >= begin) & (steps < end)).any(axis=0)]
    table = rows(
        "orders",
        {
            "order_id": order_ids(shop, news[CODE]),
            "customer_id": ids("C", news[CUSTOMER]),
            "ordered_at": news[ORDERED],
            "status": picks(STATUSES, steps.argmax(axis=0)),  # the latest step there was
            "total": news[CENTS],
            "currency": picks(("EUR",), np.zeros_like(news[CODE])),
            "promised_at": news[PROMISED],
            "shipped_at": steps[2],
            "delivered_at": steps[3],
            "campaign_id": ids("A", news[CAMPAIGN], 4),
            "updated_at": steps.max(axis=0, initial=NONE),
        },
    )
    return table, fate[:, fate[[DELIVERED, CANCELLED, RETURNED]].max(axis=0, initial=NONE) >= end]


def item_rows(shop: Shop, orders: Orders, fate: Integers) -> pa.Table:
    """Rows for the lines of a day's orders."""
    first_line = np.searchsorted(orders.line_order, np.arange(len(orders.customer)))
    return rows(
        "order_items",
        {
            "order_id": order_ids(shop, fate[CODE][orders.line_order]),
            "line_number": 1 + np.arange(len(orders.line_order)) - first_line[orders.line_order],
            "product_id": ids("P", orders.product),
            "quantity": orders.pieces,
            "unit_price": orders.cents,
            "updated_at": fate[ORDERED][orders.line_order],
        },
    )


def payment_rows(shop: Shop, day: int, fate: Integers) -> pa.Table:
    """Rows for the payments of a day's orders; some are paid in part by voucher."""
    rng = shop.rng("payments", day)
    size = fate.shape[1]
    voucher = rng.random(size) < VOUCHER_SHARE
    order = np.repeat(np.arange(size), 1 + voucher)
    sequence = 1 + np.arange(len(order)) - np.searchsorted(order, order)
    by_voucher = sequence == 2
    part = fate[CENTS] // 4
    amount = np.where(by_voucher, part[order], fate[CENTS][order] - np.where(voucher, part, 0)[order])
    method = np.minimum(rng.integers(4, size=size), 2)
    return rows(
        "payments",
        {
            "order_id": order_ids(shop, fate[CODE][order]),
            "payment_sequence": sequence,
            "method": picks(METHODS, np.where(by_voucher, 3, method[order])),
            "installments": np.where((method[order] == 0) & (amount > 20_000) & ~by_voucher, 3, 1),
            "amount": amount,
            "paid_at": fate[PAID][order],
            "updated_at": fate[PAID][order],
        },
    )
