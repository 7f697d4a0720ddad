"""One file into the warehouse, in one transaction: staged, checked against the contract, compared with what is there, written.

Every version of a row is kept. A row that says what its predecessor said (same key, same content, next in time) is a
duplicate; other content under the same key is a new version, and its interval ends where the next one begins.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

import duckdb

from include.collect.contract import Column, Table
from include.collect.read import SOURCE_COLUMNS, Relation, explain_failure
from include.collect.rules import Rule, given_sql, rules_of, value_sql
from include.errors import NightError

log = logging.getLogger(__name__)

VALUE_CHARACTERS = 200  # of a refused value kept in quarantine


class RowsLost(NightError):
    """Rows read are not rows loaded + duplicate + quarantined."""


@dataclass(frozen=True)
class Counts:
    """rows_read = rows_loaded + rows_duplicate + rows_quarantined, always."""

    rows_read: int
    rows_loaded: int
    rows_duplicate: int
    rows_quarantined: int


def stage(con: duckdb.DuckDBPyConnection, table: Table, relation: Relation, latest: datetime) -> list[str]:
    """Read a file into temp table `staged`: _row, the contract's columns typed, and _refused.

    _refused is NULL for a sound row, else a struct: path, row_number, and the list of problems (column_name, value, reason).

    Args:
        con: an open warehouse, outside a transaction.
        table: the file's table.
        relation: the file.
        latest: a time after it is from the future (naive UTC).

    Returns:
        The file's columns that the contract does not know, sorted.

    Raises:
        Unreadable: the file breaks off while being read.
    """
    try:
        con.execute(_staging_sql(table, relation, latest), relation.parameters)
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error:
        explain_failure(con, relation)
        raise
    return sorted(set(relation.names) - set(table.column_names) - {*SOURCE_COLUMNS, ""})


def _staging_sql(table: Table, relation: Relation, latest: datetime) -> str:
    position = {name: i for i, name in enumerate(relation.names)}
    given, values, problems = [], [], []
    for column in table.columns:
        at = position.get(column.name)
        data_type = "VARCHAR" if at is None else relation.types[at]
        source = "NULL::VARCHAR" if at is None else given_sql(f"c{at}", data_type)
        held = f'"given_{column.name}"'
        given.append(f"{source} AS {held}")
        values.append(f'{value_sql(column, held, data_type)} AS "{column.name}"')
        problems.append((column, rules_of(column, held, f'"{column.name}"', latest)))
    broken = " OR ".join(f"coalesce({rule.broken}, false)" for _, rules in problems for rule in rules)
    path, row = (f"c{position[name]}::VARCHAR" if name in position else "NULL::VARCHAR" for name in SOURCE_COLUMNS)
    return f"""
        CREATE OR REPLACE TEMP TABLE staged AS
        WITH source AS ({relation.sql}),
        given AS (SELECT _row, _malformed, {path} AS _path, TRY_CAST({row} AS BIGINT) AS _number, {", ".join(given)} FROM source),
        typed AS (SELECT *, {", ".join(values)} FROM given)
        SELECT _row, {_columns(table)}, CASE WHEN _malformed IS NOT NULL OR {broken} THEN
            struct_pack(path := _path, row_number := coalesce(_number, _row), problems := {_problems(problems)}) END AS _refused
        FROM typed"""


def _problems(columns: list[tuple[Column, list[Rule]]]) -> str:
    """SQL of a refused row's problems: one entry a column, its first broken rule."""
    entries = []
    for column, rules in columns:
        if not rules:
            continue
        cases = " ".join(f"WHEN {rule.broken} THEN '{rule.reason}'" for rule in rules)
        value = "NULL::VARCHAR" if column.personal else f'left("given_{column.name}"::VARCHAR, {VALUE_CHARACTERS})'
        entries.append(f"struct_pack(column_name := '{column.name}', value := {value}, reason := CASE {cases} END)")
    malformed = "[struct_pack(column_name := NULL::VARCHAR, value := NULL::VARCHAR, reason := _malformed)]"
    return f"CASE WHEN _malformed IS NOT NULL THEN {malformed} ELSE list_filter([{', '.join(entries)}], lambda p: p.reason IS NOT NULL) END"


def load(con: duckdb.DuckDBPyConnection, table: Table, file_id: int, name: str, as_of: datetime) -> Counts:
    """Move `staged` into raw and quarantine, inside the caller's transaction.

    Raises:
        RowsLost: the rows do not add up.
    """
    rows_read, rows_quarantined = con.execute("SELECT count(*), count(_refused) FROM staged").fetchone() or (0, 0)
    con.execute(
        """INSERT INTO collect.quarantine SELECT ?, ?, coalesce(path, ?), row_number, problem.column_name, problem.value, problem.reason, ?
        FROM (SELECT _refused.path, _refused.row_number, unnest(_refused.problems) AS problem FROM staged WHERE _refused IS NOT NULL)
        ORDER BY row_number, problem.column_name""",
        [file_id, table.name, name, as_of],
    )
    _find_touched(con, table)
    (touched,) = con.execute("SELECT count(*) FROM touched").fetchone() or (0,)
    rows_loaded, rows_duplicate = _insert_new(con, table, file_id, bool(touched)), 0
    if touched:
        versions, rows_duplicate = _insert_versions(con, table, file_id)
        rows_loaded += versions
    if rows_read != rows_loaded + rows_duplicate + rows_quarantined:
        raise RowsLost(
            f"{name}: {rows_read} rows read, but {rows_loaded} loaded, {rows_duplicate} duplicate and {rows_quarantined} quarantined",
            "This is a fault of the program: report it with the file. Nothing of the file was taken.",
        )
    return Counts(rows_read, rows_loaded, rows_duplicate, rows_quarantined)


def _key(table: Table) -> str:
    return ", ".join(f'"{name}"' for name in table.key)


def _columns(table: Table) -> str:
    return ", ".join(f'"{name}"' for name in table.column_names)


def _valid_from(table: Table) -> str:
    event_time = f'"{table.event_time}", ' if table.event_time else ""
    return f"coalesce(updated_at, {event_time}TIMESTAMP '1970-01-01')"


def _find_touched(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Temp table `touched`: keys that occur more than once in the file, or in raw already. Usually few."""
    key = _key(table)
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE touched AS
        SELECT {key} FROM staged WHERE _refused IS NULL GROUP BY ALL HAVING count(*) > 1
        UNION
        SELECT {key} FROM raw.{table.name} SEMI JOIN (SELECT {key} FROM staged WHERE _refused IS NULL) USING ({key})"""
    )


def _insert_new(con: duckdb.DuckDBPyConnection, table: Table, file_id: int, any_touched: bool) -> int:
    """Rows whose key nothing else has."""
    only = f"ANTI JOIN touched USING ({_key(table)})" if any_touched else ""
    inserted = con.execute(
        f"""INSERT INTO raw.{table.name} ({_columns(table)}, _file_id, _row, _valid_from, _superseded_at)
        SELECT {_columns(table)}, {file_id}, _row, {_valid_from(table)}, NULL FROM staged {only} WHERE _refused IS NULL""",
    ).fetchone()
    return int(inserted[0]) if inserted else 0


def _insert_versions(con: duckdb.DuckDBPyConnection, table: Table, file_id: int) -> tuple[int, int]:
    """Rows whose key occurs elsewhere: set their intervals, and correct those of the versions around them.

    Returns:
        Rows inserted, and rows left out as duplicates.
    """
    key, columns = _key(table), _columns(table)
    window = f"OVER (PARTITION BY {key} ORDER BY _valid_from, _file_id, _row)"
    # Contents are compared by 64-bit hash: only neighbours under one key ever meet, and hashing keeps the windows narrow.
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE versions AS
        WITH candidates AS (
            SELECT rowid AS _at, {key}, _file_id, _row, _valid_from, _superseded_at, hash({columns}) AS _content
            FROM raw.{table.name} SEMI JOIN touched USING ({key})
            UNION ALL
            SELECT NULL, {key}, {file_id}, _row, {_valid_from(table)}, NULL, hash({columns})
            FROM staged SEMI JOIN touched USING ({key}) WHERE _refused IS NULL
        ),
        compared AS (SELECT *, _at IS NULL AND _content IS NOT DISTINCT FROM lag(_content) {window} AS _same FROM candidates)
        SELECT _at, _row, _valid_from, _same, _superseded_at AS _was,
            lead(CASE WHEN NOT _same THEN _valid_from END IGNORE NULLS) {window} AS _superseded_at
        FROM compared"""
    )
    con.execute(
        f"""UPDATE raw.{table.name} AS held SET _superseded_at = versions._superseded_at FROM versions
        WHERE held.rowid = versions._at AND versions._was IS DISTINCT FROM versions._superseded_at"""
    )
    inserted = con.execute(
        f"""INSERT INTO raw.{table.name} ({columns}, _file_id, _row, _valid_from, _superseded_at)
        SELECT {columns}, {file_id}, _row, _valid_from, _superseded_at
        FROM staged JOIN (FROM versions WHERE _at IS NULL AND NOT _same) USING (_row)"""
    ).fetchone()
    (duplicates,) = con.execute("SELECT count(*) FROM versions WHERE _same").fetchone() or (0,)
    return (int(inserted[0]) if inserted else 0), duplicates
