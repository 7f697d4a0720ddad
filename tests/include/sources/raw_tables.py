"""Looking into what a night collected."""

from __future__ import annotations

from typing import Any

import duckdb

from include.night import Night


def raw(night: Night, table: str, columns: str, order: str = "all", schema: str = "raw") -> list[tuple[Any, ...]]:
    """Columns of a table in the night's warehouse, in the order given."""
    with duckdb.connect(str(night.warehouse), read_only=True) as con:
        return con.execute(f"SELECT {columns} FROM {schema}.{table} ORDER BY {order}").fetchall()
