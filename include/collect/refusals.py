"""What was refused of certain tables, told in a line each: for the error of a night that nothing could be collected for."""

from __future__ import annotations

import duckdb

from include.masking import mask_emails

FILES = 5  # named at most of those refused whole


def refusals(con: duckdb.DuckDBPyConnection, tables: list[str], every_file: bool) -> list[str]:
    """Lines on files refused whole, with the reason, and on each table's refused rows: how many, and the first of the newest file.

    A row is told with file, number, column, value and reason. Values of personal columns are not kept at all, and an e-mail
    address in any other becomes [email].

    Args:
        con: a warehouse that was collected into.
        tables: names of contract tables.
        every_file: whether to tell of every refused file, and by its reason alone: a mapped source notes a file under one of the
            tables that it feeds, which need not be the one that is empty, and names it in the reason.
    """
    whole = con.execute(
        "SELECT DISTINCT table_name, path, reason FROM collect.files WHERE status = 'refused' ORDER BY table_name, path, reason"
    ).fetchall()
    told = [reason if every_file else f"{path}: {reason}" for table, path, reason in whole if every_file or table in tables]
    lines = [f"refused whole: {line}" for line in told[:FILES]]
    if len(told) > FILES:
        lines.append(f"and {len(told) - FILES} more files")
    for table in tables:
        rows, first = con.execute(
            """SELECT count(DISTINCT (file_id, row_number)),
                arg_min([path, row_number::VARCHAR, column_name, value, reason], (-file_id, row_number, column_name))
            FROM collect.quarantine WHERE table_name = ?""",
            [table],
        ).fetchone() or (0, None)
        if first:
            path, number, column, value, reason = first
            told_value = "" if value is None else f" {mask_emails(value)!r}"
            place = f"{path}, row {number}" + (f", {column}{told_value}" if column else "")
            lines.append(f"{rows:,} refused {'row' if rows == 1 else 'rows'} of {table}, the first {place}: {reason}")
    return lines
