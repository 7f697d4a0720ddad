"""What the recommender's tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tiny_snapshots import DAY, START, two_tastes, write_snapshot

from ml.recommend.config import RecommenderConfig


@pytest.fixture
def config() -> RecommenderConfig:
    return RecommenderConfig(list_length=5, similar_length=3, threads=1, memory_gb=0.5)


@pytest.fixture
def taste_shop(tmp_path: Path) -> Path:
    """60 customers, 30 products without texts, two tastes; c900 has no history, c901 none that may be used."""
    products = {f"p{p:03d}": {"title": f"Thing {p}", "category": "Even" if p % 2 == 0 else "Odd"} for p in range(30)}
    extra = {"c900": {"segment": "new"}, "c901": {"segment": "loyal", "consent": False}}
    events = [*two_tastes(), ("c901", "p000", "purchase", START + DAY)]
    return write_snapshot(tmp_path / "features", events, products, extra)


@pytest.fixture
def rows() -> Callable[[Path], list[dict[str, Any]]]:
    """The rows of a Parquet file as dictionaries."""

    def rows(path: Path) -> list[dict[str, Any]]:
        return duckdb.read_parquet(str(path)).to_arrow_table().to_pylist()

    return rows
