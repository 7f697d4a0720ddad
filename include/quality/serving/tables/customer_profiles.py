"""Profiles: every customer has one."""

from __future__ import annotations

from include.quality.serving.served import ServedChecks


def check(checks: ServedChecks) -> None:
    missing = "SELECT customer_id FROM gate.known_customers WHERE customer_id NOT IN (SELECT customer_id FROM checked) ORDER BY ALL"
    checks.no_rows("every_customer_has_a_profile", "warn", missing)
