"""The ranker's features of a customer and a product: behaviour, price, reviews, recency, and the generators' scores."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.histories import History
from ml.recommend.data.product_statistics import ProductStatistics

DAY = 86_400_000_000

Columns = dict[str, np.ndarray]


def feature_table(
    asked: History,
    products: np.ndarray,
    scores: Mapping[str, np.ndarray],
    best: Mapping[str, np.ndarray],
    catalogue: Catalogue,
    statistics: ProductStatistics,
) -> tuple[list[str], np.ndarray]:
    """Names (f,) and values (n * m, f) float32 of the features, NaN where unknown.

    Args:
        asked: histories of n customers.
        products: (n, m) candidates.
        scores: (n, m) unit scores by the generator's name.
        best: (n,) the unscaled score of what is 1 in them, by the names of the generators with comparable scores.
        catalogue, statistics: of the products, before the histories' moment.
    """
    columns: Columns = {}
    for name, score in scores.items():
        columns[f"score_{name}"] = score
    for name, greatest in best.items():
        columns[f"raw_{name}"] = scores[name] * greatest[:, None]
    stacked = np.stack(list(scores.values()))
    columns["score_mean"] = stacked.mean(axis=0)
    columns["score_count"] = np.count_nonzero(stacked > 0, axis=0)
    columns |= _of_products(asked, products, catalogue, statistics)
    columns |= _of_pairs(asked, products, statistics)
    columns |= _of_customers(asked, products)
    columns |= _of_groups(asked, products, catalogue.category, "category")
    columns |= _of_groups(asked, products, catalogue.brand, "brand")
    columns |= _of_prices(asked, products, catalogue)
    table = np.empty((products.size, len(columns)), np.float32)
    for place, values in enumerate(columns.values()):
        table[:, place] = np.broadcast_to(values, products.shape).ravel()
    return list(columns), table


def _of_products(asked: History, products: np.ndarray, catalogue: Catalogue, statistics: ProductStatistics) -> Columns:
    """Popularity and its trend, how many come back, age, price, dissatisfaction of reviewers."""
    week, month, ever = np.log1p(statistics.wanted_7), np.log1p(statistics.wanted_30), np.log1p(statistics.wanted)
    share = statistics.wanted_7.sum() / max(1e-9, float(statistics.wanted_30.sum()))
    by_product: Columns = {
        "wanted_7": week,
        "wanted_30": month,
        "wanted": ever,
        "bought_7": np.log1p(statistics.bought_7),
        "bought_30": np.log1p(statistics.bought_30),
        "trend": np.log((statistics.wanted_7 + 1) / (statistics.wanted_30 * share + 1)),
        "conversion": statistics.bought / np.maximum(statistics.wanted, 1e-9),
        "again": statistics.again,
        "repeatable": statistics.repeatable,
        "age_days": np.where(catalogue.known_at > 0, (asked.moment - catalogue.known_at) / DAY, np.nan),
        "log_price": np.log(np.where(catalogue.price > 0, catalogue.price, np.nan)),
        "discontent": statistics.dissatisfaction,
    }
    return {name: values.astype(np.float32)[products] for name, values in by_product.items()}


def _of_pairs(asked: History, products: np.ndarray, statistics: ProductStatistics) -> Columns:
    """What the customer did with the product itself, and whether it is due again."""
    entry = entries(asked, products)
    known = entry >= 0
    at = np.where(known, entry, 0)

    def take(values: np.ndarray, empty: float = np.nan) -> np.ndarray:
        return np.where(known, values[at], empty).astype(np.float32) if len(values) else np.full(products.shape, empty, np.float32)

    bought = asked.targets > 0
    since = (asked.moment - asked.last_at) / DAY
    since_bought = np.where(bought, (asked.moment - asked.last_target_at) / DAY, np.nan)
    span = np.where(bought, (asked.last_target_at - asked.first_target_at) / DAY, np.nan)
    again = asked.target_days > 1
    own_gap = np.where(again, span / np.maximum(asked.target_days - 1, 1), np.nan)
    share = np.where(bought, asked.target_days / np.maximum(asked.orders_since, 1), 0)
    # orders from one with the product to the next; `own_orders_due` measures the orders since the last in these
    apart = np.where(again, (asked.orders_since - 1 - asked.orders_ago) / np.maximum(asked.target_days - 1, 1), np.nan)
    place = _places(asked)
    typical = statistics.gap_days[asked.product] if len(asked.product) else np.empty(0, np.float32)
    # the customer's own interval, shrunk towards the product's, which counts as one more interval
    expected = np.where(again, (span + typical) / np.maximum(asked.target_days, 1), typical)
    return {
        "own_evidence": take(np.log1p(asked.evidence), 0),
        "own_targets": take(asked.targets, 0),
        "own_target_days": take(asked.target_days, 0),
        "own_order_share": take(share, 0),
        "own_orders_ago": take(np.where(bought, asked.orders_ago, np.nan)),
        "own_orders_due": take((asked.orders_ago + 1) / apart),
        "own_habit": take(asked.habit, 0),
        "own_place": take(place),
        "own_event": take(asked.event),
        "own_steps": take(asked.steps),
        "own_days": take(since),
        "own_days_first": take((asked.moment - asked.first_at) / DAY),
        "own_days_bought": take(since_bought),
        "own_open": take(asked.last_at > asked.last_target_at),
        "own_rate": take(asked.targets / np.maximum((asked.moment - asked.first_at) / DAY, 1), 0),
        "own_gap": take(own_gap),
        "due": take(since_bought / np.maximum(expected, 0.5)),
        "due_typical": take(since_bought / np.maximum(typical, 0.5)),
        "gap_days": take(expected),
    }


def _places(asked: History) -> np.ndarray:
    """(m,) how many products each customer has a stronger habit of buying."""
    order = np.lexsort((asked.product, -asked.habit, asked.customer))
    place = np.empty(len(order), np.float32)
    place[order] = np.arange(len(order)) - asked.indptr[:-1][asked.customer[order]]
    return np.where(asked.habit > 0, place, np.nan)


def _of_customers(asked: History, products: np.ndarray) -> Columns:
    """How much and how recently the customer came; the same for every product."""
    n = asked.customers
    size = np.diff(asked.indptr)
    some = size > 0
    first = np.minimum(asked.indptr[:-1], max(0, len(asked.product) - 1))

    def per_customer(values: np.ndarray) -> np.ndarray:
        return np.bincount(asked.customer, weights=values, minlength=n)

    bought = per_customer(asked.targets)
    latest = np.where(some, asked.last_at[first] if len(asked.last_at) else 0, 0)
    earliest = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(earliest, asked.customer, asked.first_at)
    tenure = np.where(some, (asked.moment - earliest) / DAY, np.nan)
    orders = np.zeros(n)
    np.maximum.at(orders, asked.customer, asked.orders_since)
    columns: Columns = {
        "customer_orders": orders,
        "customer_order_days": tenure / np.maximum(orders, 1),
        "customer_products": np.log1p(size),
        "customer_targets": np.log1p(bought),
        "customer_evidence": np.log1p(per_customer(asked.evidence)),
        "customer_repeats": per_customer(asked.targets > 1) / np.maximum(per_customer(asked.targets > 0), 1),
        "customer_days": np.where(some, (asked.moment - latest) / DAY, np.nan),
        "customer_tenure": tenure,
    }
    return {name: np.broadcast_to(values[:, None], products.shape) for name, values in columns.items()}


def _of_groups(asked: History, products: np.ndarray, group: np.ndarray, name: str) -> Columns:
    """How much the customer likes the product's category or brand."""
    groups = int(group.max(initial=-1)) + 1
    past = group[asked.product]
    kept = np.flatnonzero(past >= 0)
    cell, place = np.unique(asked.customer[kept] * groups + past[kept], return_inverse=True)
    evidence = np.log1p(asked.evidence)[kept]
    since = np.maximum((asked.moment - asked.last_at[kept]) / DAY, 0)
    sums = {
        f"{name}_liking": np.bincount(place, weights=evidence, minlength=len(cell)),
        f"{name}_lately": np.bincount(place, weights=evidence * 0.5 ** (since / 14), minlength=len(cell)),
        f"{name}_targets": np.bincount(place, weights=asked.targets[kept], minlength=len(cell)),
        f"{name}_habit": np.bincount(place, weights=asked.habit[kept], minlength=len(cell)),
    }
    of = group[products]
    wanted = np.arange(asked.customers)[:, None] * groups + of
    at = np.minimum(np.searchsorted(cell, wanted), max(0, len(cell) - 1))
    found = (of >= 0) & (cell[at] == wanted) if len(cell) else np.zeros(products.shape, bool)
    columns: Columns = {}
    for label, values in sums.items():
        total = np.bincount(cell // groups, weights=values, minlength=asked.customers) if len(cell) else np.zeros(asked.customers)
        columns[label] = np.where(found, values[at] if len(cell) else 0, 0) / np.maximum(total, 1e-9)[:, None]
    bought = np.where(asked.targets > 0, (asked.moment - asked.last_target_at) / DAY, np.nan)[kept]
    for label, days in ((f"{name}_days", since), (f"{name}_bought_days", bought)):
        latest = np.full(len(cell), np.inf)
        np.fmin.at(latest, place, days)
        columns[label] = np.where(found & np.isfinite(latest[at]) if len(cell) else False, latest[at] if len(cell) else np.nan, np.nan)
    return columns


def _of_prices(asked: History, products: np.ndarray, catalogue: Catalogue) -> Columns:
    """How far the price lies from the prices of the customer's past products, each relative to its category."""
    log_price = np.log(np.where(catalogue.price > 0, catalogue.price, np.nan))
    category = np.where(catalogue.category >= 0, catalogue.category, catalogue.category.max(initial=-1) + 1)
    priced = np.isfinite(log_price)
    size = int(category.max(initial=0)) + 1
    count = np.bincount(category[priced], minlength=size)
    mean = np.bincount(category[priced], weights=log_price[priced], minlength=size) / np.maximum(count, 1)
    relative = log_price - mean[category]
    past = relative[asked.product]
    weight = np.where(np.isfinite(past), np.log1p(asked.evidence), 0)
    total = np.bincount(asked.customer, weights=weight, minlength=asked.customers)
    sums = np.bincount(asked.customer, weights=weight * np.nan_to_num(past), minlength=asked.customers)
    usual = sums / np.where(total > 0, total, np.nan)
    gap = relative[products] - usual[:, None]
    return {"price_relative": relative[products], "price_gap": gap, "price_distance": np.abs(gap)}


def entries(asked: History, products: np.ndarray) -> np.ndarray:
    """(n, m) place of each product in its customer's history, -1 where it is not in it."""
    key = asked.customer * asked.products + asked.product
    order = np.argsort(key)
    wanted = np.arange(asked.customers, dtype=np.int64)[:, None] * asked.products + products
    if not len(key):
        return np.full(products.shape, -1, np.int64)
    place = np.minimum(np.searchsorted(key[order], wanted), len(key) - 1)
    return np.where(key[order][place] == wanted, order[place], -1)
