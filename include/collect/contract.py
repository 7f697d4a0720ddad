"""The store contract, read from the dbt sources: which tables a shop hands over, their columns, keys and rules.

This is the only reader of that file; collecting, the raw quality suite and the checker ask here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from include.errors import NightError
from include.settings import CHECKOUT

SOURCES = CHECKOUT / "dbt_project" / "models" / "sources.yml"

Kind = Literal["text", "integer", "decimal", "double", "boolean", "date", "timestamp"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_TYPES: dict[str, Kind] = {
    "varchar": "text",
    "integer": "integer",
    "double": "double",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
}
_DECIMAL = re.compile(r"decimal\([0-9]{1,2}, ?[0-9]{1,2}\)")


class BadContract(NightError):
    """The store contract itself cannot be used."""


@dataclass(frozen=True)
class Column:
    """One column of the contract; see the head of sources.yml for what each rule means."""

    name: str
    data_type: str
    kind: Kind
    description: str
    required: bool = False
    personal: bool = False
    future: bool = False
    min: float | None = None
    max: float | None = None
    values: tuple[str, ...] = ()
    references: str | None = None
    also: str | None = None
    nobody: tuple[str, ...] = ()
    levels: bool = False
    is_id: bool = False


@dataclass(frozen=True)
class Table:
    """One table of the contract. `event_time` is None where a row has no time of its own."""

    name: str
    description: str
    need: Literal["required", "fact", "optional"]
    key: tuple[str, ...]
    event_time: str | None
    columns: tuple[Column, ...]

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def required_columns(self) -> tuple[str, ...]:
        """Columns a file must have to be read at all."""
        return tuple(column.name for column in self.columns if column.required)

    @property
    def has_personal_data(self) -> bool:
        return any(column.personal for column in self.columns)

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


@dataclass(frozen=True)
class Contract:
    """All tables, in the order of the file."""

    tables: tuple[Table, ...]

    def __iter__(self) -> Iterator[Table]:
        return iter(self.tables)

    @property
    def table_names(self) -> tuple[str, ...]:
        return tuple(table.name for table in self.tables)

    def table(self, name: str) -> Table:
        return next(table for table in self.tables if table.name == name)


@cache
def load_contract(path: Path = SOURCES) -> Contract:
    """The contract, checked: names are plain identifiers, keys and event times exist, references lead somewhere.

    Raises:
        BadContract: naming the table and column that are wrong.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        tables = tuple(_table(entry) for entry in document["sources"][0]["tables"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, IndexError) as error:
        raise BadContract(f"{path.name}: the store contract cannot be read: {error!r}", "Restore the file from version control.") from error
    known = {f"{table.name}.{column.name}" for table in tables for column in table.columns}
    for table in tables:
        for column in table.columns:
            _demand(column.references is None or column.references in known, table.name, f"{column.name} references {column.references}")
    return Contract(tables)


def _table(entry: dict[str, Any]) -> Table:
    name, meta = entry["name"], entry["config"]["meta"]
    _demand(bool(_NAME.fullmatch(name)), name, "the name is not a plain identifier")
    columns = tuple(_column(name, column, meta["key"]) for column in entry["columns"])
    table = Table(name, entry.get("description", ""), meta["need"], tuple(meta["key"]), meta.get("event_time"), columns)
    _demand(table.need in ("required", "fact", "optional"), name, f"need is {table.need!r}")
    _demand(len(set(table.column_names)) == len(columns), name, "a column is named twice")
    _demand(bool(table.key) and set(table.key) <= set(table.required_columns), name, "every key column must be required")
    _demand("updated_at" in table.column_names, name, "updated_at is missing")
    if table.event_time is not None:
        _demand(table.event_time in table.column_names, name, f"event_time {table.event_time} is no column")
    return table


def _column(table: str, entry: dict[str, Any], key: list[str]) -> Column:
    name, data_type = entry["name"], entry["data_type"]
    meta = entry.get("config", {}).get("meta", {})
    _demand(bool(_NAME.fullmatch(name)), table, f"{name!r} is not a plain identifier")
    kind = "decimal" if _DECIMAL.fullmatch(data_type) else _TYPES.get(data_type)
    _demand(kind is not None, table, f"{name} has the type {data_type!r}")
    assert kind is not None
    rules: dict[str, Any] = {rule: meta.get(rule) for rule in ("min", "max", "references", "also")}
    rules |= {flag: bool(meta.get(flag, False)) for flag in ("required", "personal", "future", "levels")}
    rules |= {"values": tuple(str(value).lower() for value in meta.get("values", ())), "nobody": tuple(meta.get("nobody", ()))}
    rules["is_id"] = name in key or bool(rules["references"] or rules["also"] or rules["nobody"])
    return Column(name, data_type, kind, entry.get("description", ""), **rules)


def _demand(holds: bool, table: str, problem: str) -> None:
    if not holds:
        raise BadContract(f"sources.yml, table {table}: {problem}", "Correct the store contract.")
