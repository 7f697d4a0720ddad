"""The lists of what more customers want than before."""

from __future__ import annotations

from include.quality.serving.lists import check_age, check_available, check_order, check_scores
from include.quality.serving.served import ServedChecks


def check(checks: ServedChecks) -> None:
    check_available(checks, "product_id")
    check_age(checks, "product_id")
    check_order(checks, "category", "product_id")
    check_scores(checks, "category")
