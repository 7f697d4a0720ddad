"""The lists of visitors: within the rules, and one for all of them."""

from __future__ import annotations

from include.quality.serving.lists import VISITORS, check_available, check_limits, check_order, check_refusals, check_scores
from include.quality.serving.served import ServedChecks


def check(checks: ServedChecks) -> None:
    if checks.is_written:
        for_all = "FROM gate.available ANTI JOIN (SELECT product_id FROM gate.known_rules WHERE kind = 'minimum_age') USING (product_id)"
        missing = f"SELECT 'all' AS segment WHERE (SELECT count(*) {for_all}) > 0 AND 'all' NOT IN (SELECT segment FROM checked)"
        checks.no_rows("segment_all_exists", "stop", missing)
    check_available(checks, "product_id")
    check_refusals(checks, "segment", VISITORS)
    check_limits(checks, "segment", VISITORS)
    check_order(checks, "segment", "product_id")
    check_scores(checks, "segment")
