"""A shop's own files: found by name, and read as text into DuckDB tables, one table for each kind of file.

They are read as landing files are: a file is either refused whole, with its reason, or every record of it becomes a row.
A record that cannot be parsed becomes a row of NULLs, which the contract then turns away by its number. A nested value (a list,
an object, a map) comes as JSON text, from JSON and Parquet alike.
"""

from __future__ import annotations

import gzip
import io
import shutil
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path

import duckdb
from pydantic import BaseModel, ConfigDict, Field, model_validator

from include.collect.contract import Column, Table
from include.collect.landing import CHUNK_BYTES, FORMATS, LandingFile, Unreadable, hash_file, inspect_text, open_bytes
from include.collect.read import Relation, explain_failure, open_relation
from include.errors import BadSource
from include.sql import identifier

ORIGIN = ("_file", "_row")  # where a record came from


class Input(BaseModel):
    """One kind of file a shop has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: list[str] = Field(
        min_length=1, description="Name patterns, in any case of letters; a file belongs to the first input that one of its patterns fits."
    )
    columns: list[str] = Field([], description="Columns a file must have, else it is refused.")
    optional_columns: list[str] = Field([], description="Columns that are NULL where a file lacks them.")
    aliases: dict[str, list[str]] = Field(
        {}, description="Other names that columns have in some files; the first that holds a value counts."
    )
    optional: bool = Field(False, description="Whether the shop may have no such file.")
    headerless: bool = Field(False, description="Whether a CSV file may come without a line of names; `columns` then name them in order.")
    fallback_encoding: str | None = Field(None, description="Encoding of CSV files that are not UTF-8, as Python names it.")

    @model_validator(mode="after")
    def _names_differ(self) -> Input:
        if not self.all_columns:
            raise ValueError("no column is named; give `columns`, or `optional_columns`")
        if twice := repeated([*self.all_columns, *chain.from_iterable(self.aliases.values()), *ORIGIN]):
            raise ValueError(f"the column {twice} is named twice: upper and lower case are the same")
        if strange := self.aliases.keys() - set(self.all_columns):
            raise ValueError(f"aliases of {', '.join(sorted(strange))}, which is none of the columns")
        return self

    @property
    def all_columns(self) -> list[str]:
        return [*self.columns, *self.optional_columns]

    def names_of(self, column: str) -> list[str]:
        """What a column may be called in a file: its own name, then its aliases."""
        return [column, *self.aliases.get(column, [])]

    def as_table(self, name: str) -> Table:
        """The input as the reader of landing files wants it described: text columns under all their names, in lower case."""
        names = (name for column in self.all_columns for name in self.names_of(column))
        return Table(name, "", "optional", (), None, tuple(Column(name.lower(), "varchar", "text", "") for name in names))


@dataclass(frozen=True)
class ShopFile:
    """One file of a shop, known by its content."""

    path: Path
    content_hash: str


def find_files(folder: Path, inputs: dict[str, Input]) -> dict[str, list[ShopFile]]:
    """The files of each input in `folder`, in order of name.

    Raises:
        BadSource: the folder is missing, or holds no file of an input that is not optional.
    """
    if not folder.is_dir():
        raise BadSource(f"Data folder {folder} does not exist or is not a folder", "Give the folder that holds the shop's files as DATA.")
    found: dict[str, list[ShopFile]] = {name: [] for name in inputs}
    for path in sorted(folder.iterdir()):
        owners = (name for name, entry in inputs.items() if any(fnmatchcase(path.name.lower(), pattern.lower()) for pattern in entry.files))
        owner = next(owners, None)
        if owner and _format(path) and path.is_file() and not path.name.startswith("."):
            found[owner].append(ShopFile(path, hash_file(path)[0]))
    for name, entry in inputs.items():
        if not found[name] and not entry.optional:
            looked_for = " or ".join(entry.files)
            raise BadSource(f"No file of {name} in {folder}: looked for {looked_for}", "Put it there, or give another folder as DATA.")
    return found


def create_table(connection: duckdb.DuckDBPyConnection, name: str, entry: Input) -> None:
    """An empty table for an input: its columns as text, then _file (name) and _row (record number in it, from 1)."""
    columns = ", ".join(f"{identifier(column)} varchar" for column in entry.all_columns)
    connection.execute(f"create table {identifier(name)} ({columns}, _file varchar, _row bigint)")


def load_file(connection: duckdb.DuckDBPyConnection, name: str, entry: Input, file: ShopFile, scratch: Path) -> int:
    """Append every record of `file` to the input's table; returns how many there were.

    Args:
        connection: where the input's table is.
        name, entry: the input.
        file: the file.
        scratch: an existing folder for files in between; whoever calls clears it.

    Raises:
        Unreadable: the file is refused whole (truncated, wrong encoding, columns missing); the table is as before.
    """
    try:
        path = _with_header(_as_utf8(file.path, entry, scratch), entry, scratch)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Unreadable(f"cannot be read: {error}") from error
    relation = open_relation(connection, LandingFile(entry.as_table(name), path, file.path.name, str(_format(path))), scratch)
    _demand_columns(entry, relation)
    try:
        _insert(connection, name, entry, relation, file.path.name)
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error:
        explain_failure(connection, relation)
        raise
    filled = " or ".join(f"{identifier(column)} is not null" for column in entry.all_columns)
    rows, known = connection.execute(
        f"select count(*), count(*) filter ({filled}) from {identifier(name)} where _file = ?", [file.path.name]
    ).fetchall()[0]
    if rows and not known:
        connection.execute(f"delete from {identifier(name)} where _file = ?", [file.path.name])
        raise Unreadable(f"none of its {rows} records has any of the columns {', '.join(entry.all_columns)}")
    return int(rows)


def _demand_columns(entry: Input, relation: Relation) -> None:
    missing = [column for column in entry.columns if not any(name.lower() in relation.names for name in entry.names_of(column))]
    if missing:
        wanted = ", ".join(" or ".join(entry.names_of(column)) for column in missing)
        found = ", ".join(name for name in relation.names if name)[:300] or "none"
        raise Unreadable(f"required columns missing: {wanted} (found: {found})")


def _insert(connection: duckdb.DuckDBPyConnection, name: str, entry: Input, relation: Relation, file_name: str) -> None:
    values = ", ".join(_value(entry.names_of(column), relation) for column in entry.all_columns)
    connection.execute(f"insert into {identifier(name)} select {values}, ?, _row from ({relation.sql})", [file_name, *relation.parameters])


def _value(names: list[str], relation: Relation) -> str:
    """SQL of a column's text, from the first of its names that holds any; of a broken record NULL, whatever could be read of it."""
    texts = []
    for name in names:
        if name.lower() in relation.names:
            at = relation.names.index(name.lower())
            nested = relation.types[at].endswith("]") or relation.types[at].startswith(("STRUCT", "MAP", "UNION"))
            texts.append(f"nullif({f'to_json(c{at})' if nested else f'c{at}'}::varchar, '')")
    return f"case when _malformed is null then coalesce({', '.join(texts)}) end" if texts else "null"


def _as_utf8(path: Path, entry: Input, scratch: Path) -> Path:
    """The file itself, or a copy in UTF-8 where it is not and the input names another encoding."""
    if entry.fallback_encoding is None or _format(path) == "parquet":
        return path
    try:
        inspect_text(path)
        return path
    except Unreadable:
        target = scratch / f"utf8-{path.name.removesuffix('.gz')}"
        with (
            io.TextIOWrapper(open_bytes(path), entry.fallback_encoding, newline="") as source,
            target.open("w", encoding="utf-8", newline="") as copy,
        ):
            shutil.copyfileobj(source, copy, CHUNK_BYTES)
        return target


def _with_header(path: Path, entry: Input, scratch: Path) -> Path:
    """The file itself, or a copy with a line of names before it where it has none and the input says what they are."""
    if not entry.headerless or _format(path) != "csv":
        return path
    with open_bytes(path) as source:
        first_line = source.readline()
        if any(name.encode() in first_line for column in entry.columns for name in entry.names_of(column)):
            return path
        target = scratch / f"named-{path.name.removesuffix('.gz')}"
        with target.open("wb") as copy:
            copy.write(",".join(entry.columns).encode() + b"\n" + first_line)
            shutil.copyfileobj(source, copy, CHUNK_BYTES)
    return target


def _format(path: Path) -> str | None:
    return FORMATS.get(Path(path.name.lower().removesuffix(".gz")).suffix)


def repeated(names: Iterable[str]) -> str | None:
    """A name that comes twice in any case of letters, if there is one."""
    folded = [name.lower() for name in names]
    return next((name for name in folded if folded.count(name) > 1), None)
