"""Alerts about falling reviews: one open alert a product."""

from __future__ import annotations

from include.quality.serving.served import ServedChecks


def check(checks: ServedChecks) -> None:
    twice = "SELECT product_id, count(*) AS rows FROM checked WHERE cleared_at IS NULL GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL"
    checks.no_rows("one_open_alert_a_product", "stop", twice)
