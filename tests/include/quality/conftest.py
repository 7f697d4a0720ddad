"""Nights of the hand-made shop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_shop import AS_OF, LIST_LENGTH

from include.night import Night, parse_as_of
from include.settings import load_settings


@pytest.fixture
def shop_night(home: Path) -> Callable[..., Night]:
    """Opens a night of the hand-made shop: shop_night("2026-03-02", freshness_days=5)."""

    def shop_night(as_of: str = AS_OF, **settings: Any) -> Night:
        overrides = {"home": home, "source": "files", "data": home / "shop", "list_length": LIST_LENGTH, "threads": 1} | settings
        return Night.open(load_settings(**overrides), parse_as_of(as_of))

    return shop_night
