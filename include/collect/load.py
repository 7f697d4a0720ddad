"""Staged rows into the warehouse, in one transaction: compared with what is there, written, and what a snapshot lacks marked as gone.

Every version of a row is kept. A row that says what its predecessor said (same key, same content, next in time) is a
duplicate; other content under the same key is a new version, and its interval ends where the next one begins.

A version counts from its `updated_at`; without one, from the night that collected it. The first version known of a key holds
backwards, up to the row's own time: that a product was there is known, though what is known of it was written later.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb

from include.collect.contract import Table
from include.errors import NightError

OVERWRITTEN = "overwritten: "  # how a note on rows that take each other's place begins
_AT_TIME = "greatest(coalesce(updated_at, deleted_at, _valid_from), _valid_from)"  # the moment of a version that is held


class RowsLost(NightError):
    """Rows read are not rows loaded + duplicate + quarantined."""


@dataclass(frozen=True)
class Counts:
    """What became of a file's rows; rows_read = rows_loaded + rows_duplicate + rows_quarantined, always.

    rows_replacing is how many of those loaded say something else of a key that was known. rows_held is how many of the table were there
    before, and rows_gone how many of these a snapshot lacks; both 0 for a table that is none.
    """

    rows_read: int
    rows_loaded: int
    rows_duplicate: int
    rows_quarantined: int
    rows_replacing: int
    rows_held: int
    rows_gone: int


def load(con: duckdb.DuckDBPyConnection, table: Table, file_id: int, name: str, as_of: datetime, is_snapshot: bool) -> Counts:
    """Move `staged` into raw, quarantine and notes, inside the caller's transaction.

    Args:
        table: the file's table; file_id, name: the file in the ledger.
        as_of: the night that collects it, naive UTC.
        is_snapshot: whether the file holds all rows of the table, so that a row that it lacks is gone.

    Raises:
        RowsLost: the rows do not add up.
    """
    rows_read, rows_quarantined = con.execute("SELECT count(*), count(*) FILTER (_is_refused) FROM staged").fetchone() or (0, 0)
    _write_remarks(con, table, file_id, name, as_of)
    collected = f"TIMESTAMP '{as_of - timedelta(microseconds=1)}'"  # the night itself sees what is before its moment
    _find_touched(con, table, collected)
    (touched,) = con.execute("SELECT count(*) FROM touched").fetchone() or (0,)
    rows_held, rows_gone = _mark_gone(con, table, file_id, collected) if is_snapshot else (0, 0)
    rows_loaded, rows_duplicate, rows_replacing = _insert_new(con, table, file_id, bool(touched)), 0, 0
    if touched:
        versions, rows_duplicate, rows_replacing = _insert_versions(con, table, file_id, collected)
        rows_loaded += versions
    if rows_read != rows_loaded + rows_duplicate + rows_quarantined:
        raise RowsLost(
            f"{name}: {rows_read} rows read, but {rows_loaded} loaded, {rows_duplicate} duplicate and {rows_quarantined} quarantined",
            "This is a fault of the program: report it with the file. Nothing of the file was taken.",
        )
    return Counts(rows_read, rows_loaded, rows_duplicate, rows_quarantined, rows_replacing, rows_held, rows_gone)


def _write_remarks(con: duckdb.DuckDBPyConnection, table: Table, file_id: int, name: str, as_of: datetime) -> None:
    con.execute(
        """INSERT INTO collect.quarantine SELECT ?, ?, coalesce(path, ?), row_number, problem.column_name, problem.value, problem.reason, ?
        FROM (SELECT _remark.path, _remark.row_number, unnest(_remark.problems) AS problem FROM staged WHERE _is_refused)
        ORDER BY row_number, problem.column_name""",
        [file_id, table.name, name, as_of],
    )
    con.execute(
        """INSERT INTO collect.notes
        SELECT ?, ?, coalesce(path, ?) AS path, problem.column_name, problem.reason, count(*), min(row_number),
            arg_min(problem.value, row_number), ?
        FROM (
            SELECT _remark.path, _remark.row_number, unnest(_remark.problems) AS problem FROM staged
            WHERE _remark IS NOT NULL AND NOT _is_refused)
        GROUP BY path, problem.column_name, problem.reason ORDER BY ALL""",
        [file_id, table.name, name, as_of],
    )


def _key(table: Table, prefix: str = "") -> str:
    return ", ".join(f'{prefix}"{name}"' for name in table.key)


def _columns(table: Table) -> str:
    return ", ".join(f'"{name}"' for name in table.column_names)


def _own_time(table: Table) -> str:
    event_time = f'"{table.event_time}", ' if table.event_time else ""
    return f"coalesce({event_time}TIMESTAMP '1970-01-01')"


def _find_touched(con: duckdb.DuckDBPyConnection, table: Table, collected: str) -> None:
    """Temp table `touched`: keys that occur more than once in the file, or in raw already. Usually few.

    _known says whether the key is in raw; _last_at is the moment of its newest version there, where that may lie after what comes now.
    """
    key = _key(table)
    (is_late,) = con.execute(
        f"""SELECT (SELECT max({_AT_TIME}) FROM raw.{table.name}) > {collected} OR (SELECT count(deleted_at) FROM staged) > 0"""
    ).fetchone() or (True,)
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE touched AS
        SELECT {key}, bool_or(_known) AS _known, {"max(_last_at)" if is_late else "NULL::TIMESTAMP"} AS _last_at FROM (
            SELECT {key}, false AS _known, NULL::TIMESTAMP AS _last_at FROM staged WHERE NOT _is_refused GROUP BY ALL HAVING count(*) > 1
            UNION ALL
            SELECT {key}, true, {_AT_TIME} FROM raw.{table.name}
            SEMI JOIN (SELECT {key} FROM staged WHERE NOT _is_refused) USING ({key})
        ) GROUP BY {key}"""
    )


def _mark_gone(con: duckdb.DuckDBPyConnection, table: Table, file_id: int, collected: str) -> tuple[int, int]:
    """End the rows that the file, a snapshot, lacks; a row of it that is refused is there all the same. Where a line cannot be read at
    all, what it is about is not known, and nothing is gone.

    Returns:
        Rows of the table that were there, and how many of them are gone.
    """
    (unknown,) = con.execute(
        f"SELECT count(*) FROM staged WHERE _is_refused AND ({' OR '.join(f'{name} IS NULL' for name in table.key)})"
    ).fetchone() or (0,)
    if unknown:
        _note(con, table, file_id, "lines of a snapshot that cannot be read: nothing is taken for gone", unknown, None)
        return 0, 0
    there = f"_superseded_at IS NULL AND _gone_at IS NULL AND (deleted_at IS NULL OR deleted_at >= {collected})"
    (held,) = con.execute(f"SELECT count(*) FROM raw.{table.name} WHERE {there}").fetchone() or (0,)
    gone = con.execute(
        f"""UPDATE raw.{table.name} SET _gone_at = {collected} WHERE {there} AND rowid NOT IN (
            SELECT held.rowid FROM raw.{table.name} AS held SEMI JOIN staged USING ({_key(table)}))"""
    ).fetchone()
    return int(held), int(gone[0]) if gone else 0


def _insert_new(con: duckdb.DuckDBPyConnection, table: Table, file_id: int, any_touched: bool) -> int:
    """Rows whose key nothing else has."""
    only = f"ANTI JOIN touched USING ({_key(table)})" if any_touched else ""
    inserted = con.execute(
        f"""INSERT INTO raw.{table.name} ({_columns(table)}, _file_id, _row, _valid_from, _superseded_at)
        SELECT {_columns(table)}, {file_id}, _row, {_own_time(table)}, NULL FROM staged {only} WHERE NOT _is_refused""",
    ).fetchone()
    return int(inserted[0]) if inserted else 0


def _insert_versions(con: duckdb.DuckDBPyConnection, table: Table, file_id: int, collected: str) -> tuple[int, int, int]:
    """Rows whose key occurs elsewhere: set their intervals, and correct those of the versions around them.

    Returns:
        Rows inserted, rows left out as duplicates, and of those inserted the ones whose key was known before.
    """
    key, columns, own_time = _key(table), _columns(table), _own_time(table)
    window = f"(PARTITION BY {key} ORDER BY _at_time, _file_id, _row)"
    # What comes back after a snapshot lacked it is there again from now on, whatever it says of itself.
    (any_gone,) = con.execute(f"SELECT count(*) FROM (SELECT 1 FROM raw.{table.name} WHERE _gone_at IS NOT NULL LIMIT 1)").fetchone() or (
        0,
    )
    returned = f"_known AND {_returns(table)}" if any_gone else "false"
    gone, no_gone = (", _gone_at IS NOT NULL AS _gone", ", false") if any_gone else ("", "")
    came_back, unless_gone = (", lag(_gone) OVER w AS _gone_before", " AND NOT _gone_before") if any_gone else ("", "")
    # Contents are compared by 64-bit hash: only neighbours under one key ever meet, and hashing keeps the windows narrow.
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE versions AS
        WITH candidates AS (
            SELECT rowid AS _at, {key}, _file_id, _row, {_AT_TIME} AS _at_time, _superseded_at, hash({columns}) AS _content,
                true AS _was_known, _valid_from < {_AT_TIME} AS _backwards{gone}
            FROM raw.{table.name} SEMI JOIN touched USING ({key})
            UNION ALL
            SELECT NULL, {_key(table, "staged.")}, {file_id}, _row, CASE WHEN {returned} THEN {collected}
                WHEN updated_at IS NOT NULL THEN updated_at
                WHEN deleted_at IS NOT NULL AND deleted_at > coalesce(_last_at, deleted_at - INTERVAL 1 DAY) THEN deleted_at
                WHEN _known THEN greatest({collected}, coalesce(_last_at, {collected}))
                ELSE {own_time} END, NULL, hash({columns}), _known, false{no_gone}
            FROM staged JOIN touched USING ({key}) WHERE NOT _is_refused
        ),
        compared AS (
            SELECT *, lag(_content) OVER w AS _before{came_back} FROM candidates WINDOW w AS {window}
        ),
        judged AS (SELECT *, _at IS NULL AND _content IS NOT DISTINCT FROM _before{unless_gone} AS _same FROM compared)
        SELECT _at, _row, _at_time, _same, _was_known, _before IS NULL AS _first,
            _backwards AND _before IS NOT NULL AS _was_first, _superseded_at AS _was,
            lead(CASE WHEN NOT _same THEN _at_time END IGNORE NULLS) OVER {window} AS _superseded_at
        FROM judged"""
    )
    con.execute(
        f"""UPDATE raw.{table.name} AS held SET _superseded_at = versions._superseded_at FROM versions
        WHERE held.rowid = versions._at AND versions._was IS DISTINCT FROM versions._superseded_at"""
    )
    con.execute(  # hardly ever any, and a column's update costs by its blocks
        f"""UPDATE raw.{table.name} AS held SET _valid_from = versions._at_time FROM versions
        WHERE held.rowid = versions._at AND versions._was_first"""
    )
    inserted = con.execute(
        f"""INSERT INTO raw.{table.name} ({columns}, _file_id, _row, _valid_from, _superseded_at)
        SELECT {columns}, {file_id}, _row, CASE WHEN _first THEN {own_time} ELSE _at_time END, _superseded_at
        FROM staged JOIN (FROM versions WHERE _at IS NULL AND NOT _same) USING (_row)"""
    ).fetchone()
    duplicates, replacing = con.execute(
        "SELECT count(*) FILTER (_same), count(*) FILTER (_at IS NULL AND NOT _same AND _was_known) FROM versions"
    ).fetchone() or (0, 0)
    _note_overwritten(con, table, file_id, replacing)
    return (int(inserted[0]) if inserted else 0), duplicates, replacing


def _note_overwritten(con: duckdb.DuckDBPyConnection, table: Table, file_id: int, replacing: int) -> None:
    """Note rows that take each other's place though a key should be of one: several of a file, none of which says to be newer, or facts of
    another time than what was known under their key (ids that start anew every month)."""
    rows, first = con.execute(
        "SELECT count(*), min(_row) FROM versions WHERE _at IS NULL AND NOT _same AND _superseded_at = _at_time"
    ).fetchone() or (0, None)
    _note(con, table, file_id, OVERWRITTEN + "one key several times, saying otherwise: the last row counts", rows, first)
    if table.need == "fact" and replacing:
        key, time = _key(table), table.event_time
        rows, first = con.execute(
            f"""SELECT count(DISTINCT _row), min(_row) FROM (
                SELECT {key}, _row, {time} AS told FROM staged
                JOIN (FROM versions WHERE _at IS NULL AND NOT _same AND _was_known) USING (_row))
            JOIN (SELECT {key}, {time} AS held FROM raw.{table.name} WHERE _file_id <> {file_id}) USING ({key}) WHERE told <> held"""
        ).fetchone() or (0, None)
        _note(con, table, file_id, f"{OVERWRITTEN}a key that was known with another {time}: it takes that one's place", rows, first)


def _note(con: duckdb.DuckDBPyConnection, table: Table, file_id: int, note: str, rows: int, first: int | None) -> None:
    """Write a note on a file's keys, unless it is of no row."""
    con.execute(
        """INSERT INTO collect.notes SELECT file_id, table_name, path, $key, $note, $rows, $first, NULL, as_of FROM collect.files
        WHERE file_id = $file AND $rows > 0""",
        {"key": ", ".join(table.key), "note": note, "rows": rows, "first": first, "file": file_id},
    )


def _returns(table: Table) -> str:
    """Whether the newest version of a staged row's key is gone."""
    return f"""({_key(table, "staged.")}) IN (
        SELECT ({_key(table)}) FROM raw.{table.name} WHERE _superseded_at IS NULL AND _gone_at IS NOT NULL)"""
