"""The release: one row."""

from __future__ import annotations

from include.quality.serving.served import ServedChecks


def check(checks: ServedChecks) -> None:
    checks.no_rows("one_row", "stop", "SELECT count(*) AS rows FROM checked HAVING count(*) <> 1")
