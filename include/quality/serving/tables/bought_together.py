"""The lists of what is bought together."""

from __future__ import annotations

from include.quality.serving.lists import check_age, check_available, check_order, check_scores
from include.quality.serving.served import ServedChecks


def check(checks: ServedChecks) -> None:
    check_available(checks, "bought_product_id")
    check_age(checks, "bought_product_id", "product_id")
    check_order(checks, "product_id", "bought_product_id")
    check_scores(checks, "product_id")
