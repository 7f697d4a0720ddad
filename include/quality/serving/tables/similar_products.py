"""The lists of similar products."""

from __future__ import annotations

from include.quality.serving.lists import check_age, check_available, check_order, check_scores
from include.quality.serving.served import ServedChecks


def check(checks: ServedChecks) -> None:
    check_available(checks, "similar_product_id")
    check_age(checks, "similar_product_id", "product_id")
    check_order(checks, "product_id", "similar_product_id")
    check_scores(checks, "product_id")
