"""What all tests share: a home of their own, nights in it, and the real shops' data."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from include.night import Night, parse_as_of
from include.settings import load_settings
from tests import whole_night

CHECKOUT = Path(__file__).resolve().parent.parent
SHOP_CASES = Path(os.environ.get("NIGHTSHELF_TEST_CASES", CHECKOUT.parent / "shared" / "cases"))
SHOP_DATA = Path(os.environ.get("NIGHTSHELF_TEST_DATA", CHECKOUT.parent / "shared" / "data"))

# Small enough for seconds, large enough for every model to have something to learn.
TINY_SHOP: dict[str, Any] = {"demo_customers": 80, "demo_products": 40, "demo_days": 30, "list_length": 5, "similar_length": 3}
QUICK_SENTIMENT: dict[str, Any] = {"sentiment_min_reviews": 20, "sentiment_epochs": 1, "sentiment_max_tokens": 32}


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("NIGHTSHELF_") and not name.startswith("NIGHTSHELF_TEST_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty NIGHTSHELF_HOME."""
    return tmp_path / "home"


@pytest.fixture
def open_night(home: Path) -> Callable[..., Night]:
    """Opens a night: open_night("2026-03-01", source="files", data=folder, list_length=3)."""

    def open_night(as_of: str = "2026-03-01", **settings: Any) -> Night:
        return Night.open(load_settings(**({"home": home} | settings)), parse_as_of(as_of))

    return open_night


@pytest.fixture(scope="session")
def published_night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """The first night of a tiny demo shop, run to its end: for tests that only read what a night leaves."""
    home = tmp_path_factory.mktemp("published") / "home"
    night = Night.open(load_settings(home=home, **TINY_SHOP, **QUICK_SENTIMENT), parse_as_of("2026-03-01"))
    whole_night.run(night)
    return night


@pytest.fixture
def shop_data() -> Callable[[str], Path]:
    """The folder of a real shop's data; skips with the reason where it is absent, and fails there under CI."""
    return lambda name: _folder_of(SHOP_DATA / name, "NIGHTSHELF_TEST_DATA")


@pytest.fixture
def shop_case() -> Callable[[str], Path]:
    """The folder of a small odd shop; skips with the reason where it is absent, and fails there under CI."""
    return lambda name: _folder_of(SHOP_CASES / name, "NIGHTSHELF_TEST_CASES")


def _folder_of(folder: Path, setting: str) -> Path:
    if not folder.is_dir():
        reason = f"no folder {folder.name} (set {setting} to the folder that holds it)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
