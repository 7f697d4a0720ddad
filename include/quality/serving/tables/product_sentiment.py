"""What reviews say of a product: its alert is open where one of the alerts is."""

from __future__ import annotations

from include.quality.serving.served import ServedChecks


def check(checks: ServedChecks) -> None:
    open_alert = "product_id IN (SELECT product_id FROM gate.sentiment_alerts WHERE cleared_at IS NULL)"
    checks.none_where("alert_while_one_is_open", "stop", f"alert <> ({open_alert})", "alert")
