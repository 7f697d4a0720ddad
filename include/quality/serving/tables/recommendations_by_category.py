"""The lists of a customer's categories: of that category, and nothing that a rule, an order or the customer forbids."""

from __future__ import annotations

from include.quality.serving.lists import (
    CUSTOMERS,
    DISMISSED,
    OWNED,
    check_available,
    check_order,
    check_refusals,
    check_scores,
    check_variants,
)
from include.quality.serving.served import ServedChecks


def check(checks: ServedChecks) -> None:
    other = "(product_id, category) NOT IN (SELECT (product_id, category) FROM gate.known_products WHERE category IS NOT NULL)"
    check_available(checks, "product_id")
    checks.none_where("products_of_the_category", "stop", other)
    checks.none_where("no_owned_product", "stop", OWNED)
    checks.none_where("no_dismissed_product", "stop", DISMISSED)
    check_variants(checks, "customer_id, category")
    check_refusals(checks, "customer_id", CUSTOMERS)
    check_order(checks, "customer_id, category", "product_id")
    check_scores(checks, "customer_id, category")
