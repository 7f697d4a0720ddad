"""A shop that writes its own files: put files, run a night's collecting, ask the warehouse."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from include.collect import collect
from include.night import Night

PRODUCTS = b"product_id,title\np1,Piano\n"
VIEW = b"event_id,event_type,occurred_at,product_id\ne0,view,2026-02-01,p1\n"


class Shop:
    """Landing files of one shop and what collecting made of them."""

    def __init__(self, folder: Path, open_night: Callable[..., Night]) -> None:
        self.folder = folder
        self._open_night = open_night
        self.night: Night | None = None

    def put(self, name: str, content: bytes | str) -> Path:
        """Write a landing file, such as products/a.csv."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def put_parquet(self, name: str, select: str) -> Path:
        path = self.put(name, b"")
        duckdb.sql(select).write_parquet(str(path))
        return path

    def collect(self, as_of: str = "2026-03-01", **settings: Any) -> Night:
        self.night = self._open_night(as_of, source="files", data=self.folder, threads=1, **settings)
        collect(self.night)
        return self.night

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        assert self.night is not None
        with duckdb.connect(str(self.night.warehouse), read_only=True) as con:
            return con.execute(query).fetchall()

    def counts(self, table: str) -> list[tuple[Any, ...]]:
        """(rows_read, rows_loaded, rows_duplicate, rows_quarantined) of each file of a table, which must add up."""
        columns = "rows_read, rows_loaded, rows_duplicate, rows_quarantined"
        rows = self.sql(f"SELECT {columns} FROM collect.files WHERE table_name = '{table}' ORDER BY file_id")
        assert all(read == loaded + duplicate + quarantined for read, loaded, duplicate, quarantined in rows)
        return rows

    def problems(self) -> list[tuple[Any, ...]]:
        """(row_number, column_name, value, reason) of every problem in quarantine."""
        return self.sql("SELECT row_number, column_name, value, reason FROM collect.quarantine ORDER BY file_id, row_number, column_name")

    def reason(self, table: str) -> str:
        """Why the table's one refused file was refused."""
        ((reason,),) = self.sql(f"SELECT reason FROM collect.files WHERE table_name = '{table}' AND status = 'refused'")
        return str(reason)

    def visible(self, table: str, columns: str, as_of: str) -> list[tuple[Any, ...]]:
        """What a night as of that moment sees of a table."""
        ended = " AND ".join(f"({end} IS NULL OR {end} >= TIMESTAMP '{as_of}')" for end in ("_superseded_at", "_gone_at", "deleted_at"))
        return self.sql(f"SELECT {columns} FROM raw.{table} WHERE _valid_from < TIMESTAMP '{as_of}' AND {ended} ORDER BY ALL")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.fixture
def shop(tmp_path: Path, open_night: Callable[..., Night]) -> Shop:
    """An empty landing folder in a path with a blank, a quote and a bracket in it."""
    folder = tmp_path / "it's [a] *shop"
    folder.mkdir()
    return Shop(folder, open_night)


@pytest.fixture
def open_shop(shop: Shop) -> Shop:
    """A shop with the least a night needs: one product and one view."""
    shop.put("products/base.csv", PRODUCTS)
    shop.put("events/base.csv", VIEW)
    return shop
