"""Where a night finds the sentiment alerts that earlier nights left open."""

from __future__ import annotations

from pathlib import Path

from include.night import Night

_FILE = "sentiment_alerts.parquet"


def earlier_alerts(night: Night) -> Path:
    """The alerts the shop's latest strictly earlier night left; a path where there is no file if there was none."""
    earlier = sorted(path for path in night.features.parent.glob(f"*/{_FILE}") if path.parent.name < night.key)
    return earlier[-1] if earlier else night.features.parent / "none" / _FILE
