"""One file read into `staged`: every record typed, judged against the contract, nothing written to the warehouse yet."""

from __future__ import annotations

from datetime import datetime

import duckdb

from include.collect.contract import Column, Table
from include.collect.read import SOURCE_COLUMNS, Relation, explain_failure
from include.collect.rules import Cell, Rule, notes_of, rules_of
from include.collect.values import given_sql, meant_sql, moment_sql, value_sql, written_sql
from include.masking import EMAIL_SQL

VALUE_CHARACTERS = 200  # of a refused or noted value that are kept


def stage(con: duckdb.DuckDBPyConnection, table: Table, relation: Relation, latest: datetime) -> list[str]:
    """Read a file into temp view `staged`: _row, the contract's columns typed, _is_refused and _remark.

    _remark is NULL for a row that was taken as it was written, else a struct: path, row_number, and the list of problems (column_name,
    value, reason): why the row is refused, or what of it was taken otherwise. No value of a personal column and no e-mail address
    stands in it.

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
        # Columns that the file lacks take no memory.
        absent = (f'NULL::{column.data_type} AS "{column.name}"' for column in table.columns if column.name not in relation.names)
        con.execute(f"CREATE OR REPLACE TEMP VIEW staged AS SELECT {', '.join(['*', *absent])} FROM staged_file")
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error:
        explain_failure(con, relation)
        raise
    return sorted(set(relation.names) - set(table.column_names) - {*SOURCE_COLUMNS, ""})


def _staging_sql(table: Table, relation: Relation, latest: datetime) -> str:
    position = {name: i for i, name in enumerate(relation.names)}
    cells = [_cell(column, relation.types[position[column.name]]) for column in table.columns if column.name in position]
    written, given, parsed, values = [], [], [], []
    for cell in cells:
        written.append(f"{written_sql(f'c{position[cell.column.name]}', cell.data_type, cell.column)} AS {cell.written}")
        given.append(f"{given_sql(cell.column, cell.written, cell.data_type)} AS {cell.given}")
        parsed.append(f"{value_sql(cell.column, cell.given, cell.data_type)} AS {cell.parsed}")
        meant = meant_sql(cell.column, cell.parsed, moment_sql(latest))
        values.append(f"CASE WHEN {meant} THEN {cell.parsed} END AS {cell.value}" if meant else f"{cell.parsed} AS {cell.value}")
    # A row that only takes another back need not say again what that was.
    taken_back = '"deleted_at" IS NULL AND ' if "deleted_at" in position else ""
    problems, notes = [], []
    for cell in cells:
        rules = rules_of(cell, latest)
        if cell.column.required and cell.column.name not in table.key:
            rules = [Rule(taken_back + f"({rule.broken})", rule.reason) if rule.reason == "missing" else rule for rule in rules]
        problems.append((cell, rules))
        notes.append((cell, notes_of(cell, latest)))
    if "deleted_at" in position:
        lacking = (column for column in table.columns if column.required and column.name not in position)
        problems += [(_absent(column), [Rule('"deleted_at" IS NULL', "missing")]) for column in lacking]
    path, row = (f"c{position[name]}::VARCHAR" if name in position else "NULL::VARCHAR" for name in SOURCE_COLUMNS)
    origin = "path := _path, row_number := coalesce(_number, _row)"
    columns = "".join(f"{cell.value}, " for cell in cells)
    malformed = "[struct_pack(column_name := NULL::VARCHAR, value := NULL::VARCHAR, reason := _malformed)]"
    return f"""
        CREATE OR REPLACE TEMP TABLE staged_file AS
        WITH source AS ({relation.sql}),
        written AS (SELECT _row, _malformed, {path} AS _path, TRY_CAST({row} AS BIGINT) AS _number, {", ".join(written)} FROM source),
        given AS (SELECT *, {", ".join(given)} FROM written),
        parsed AS (SELECT *, {", ".join(parsed)} FROM given),
        typed AS (SELECT *, {", ".join(values)} FROM parsed)
        SELECT _row, {columns}_is_refused, CASE WHEN _is_refused OR {_any(notes)} THEN struct_pack({origin}, problems := CASE
            WHEN _malformed IS NOT NULL THEN {malformed}
            WHEN _is_refused THEN {_entries(problems)}
            ELSE {_entries(notes)} END) END AS _remark
        FROM (SELECT *, _malformed IS NOT NULL OR {_any(problems)} AS _is_refused FROM typed)"""


def _cell(column: Column, data_type: str) -> Cell:
    name = column.name
    return Cell(column, data_type, f'"written_{name}"', f'"given_{name}"', f'"parsed_{name}"', f'"{name}"')


def _absent(column: Column) -> Cell:
    nothing = "NULL::VARCHAR"
    return Cell(column, "VARCHAR", nothing, nothing, nothing, nothing)


def _any(columns: list[tuple[Cell, list[Rule]]]) -> str:
    return " OR ".join(f"coalesce({rule.broken}, false)" for _, rules in columns for rule in rules) or "false"


def _entries(columns: list[tuple[Cell, list[Rule]]]) -> str:
    """SQL of what is to be said of a row: one entry a column, of the first rule that holds."""
    entries = []
    for cell, rules in columns:
        if not rules:
            continue
        cases = " ".join(f"WHEN {rule.broken} THEN '{rule.reason}'" for rule in rules)
        shown = f"left(regexp_replace({cell.written}::VARCHAR, {EMAIL_SQL}, '[email]', 'g'), {VALUE_CHARACTERS})"
        value = "NULL::VARCHAR" if cell.column.personal else shown
        entries.append(f"struct_pack(column_name := '{cell.column.name}', value := {value}, reason := CASE {cases} END)")
    return f"list_filter([{', '.join(entries)}], lambda p: p.reason IS NOT NULL)"
