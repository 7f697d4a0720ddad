"""What the raw tables looked like in a night: rows that came and shares of missing values, kept to compare later nights with."""

from __future__ import annotations

import duckdb

from include.collect.contract import Contract, Table
from include.night import Night
from include.sql import literal

MIN_NIGHTS = 3  # fewer trailing nights say nothing about what is usual
MIN_ROWS = 20  # fewer rows say nothing about a share


def take_profile(connection: duckdb.DuckDBPyConnection, night: Night, contract: Contract) -> None:
    """Profile the rows collected in this night into gate.profile and into nights/<night>/quality/profile.parquet.

    Columns: table_name, column_name (NULL for the table's own row), rows (new rows of the night), null_share.
    """
    connection.execute("CREATE OR REPLACE TABLE gate.profile (table_name VARCHAR, column_name VARCHAR, rows BIGINT, null_share DOUBLE)")
    for table in contract:
        connection.execute(f"INSERT INTO gate.profile {_profile(table)}", [night.as_of_sql, table.name, table.name])
    path = night.folder / "quality" / "profile.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    connection.execute(
        f"COPY (SELECT * FROM gate.profile ORDER BY table_name, column_name NULLS FIRST) TO {literal(temporary)} (FORMAT parquet)"
    )
    temporary.replace(path)


def read_trailing(connection: duckdb.DuckDBPyConnection, night: Night) -> int:
    """Load the profiles of the latest nights before this one into gate.trailing (gate.profile's columns and `night`).

    Returns the number of nights found, at most settings.trailing_nights.
    """
    nights = night.shop_home / "nights"
    paths = sorted(path for path in nights.glob("*/quality/profile.parquet") if path.parent.parent.name < night.key)
    connection.execute("CREATE OR REPLACE TABLE gate.trailing AS SELECT *, '' AS night FROM gate.profile LIMIT 0")
    for path in paths[-night.settings.trailing_nights :]:
        insert = "INSERT INTO gate.trailing SELECT table_name, column_name, rows, null_share, ? FROM read_parquet(?)"
        connection.execute(insert, [path.parent.parent.name, str(path)])
    return min(len(paths), night.settings.trailing_nights)


def _profile(table: Table) -> str:
    """One scan over the night's new rows; takes the as-of moment and the table's name twice."""
    nulls = ", ".join(f'count(*) - count("{name}") AS "{name}"' for name in table.column_names)
    return f"""
        WITH counted AS MATERIALIZED (
            SELECT count(*) AS _rows, {nulls} FROM warehouse.raw.{table.name}
            WHERE _file_id IN (SELECT file_id FROM warehouse.collect.files WHERE as_of = ?::TIMESTAMP AND table_name = ?)
        ), columns AS (
            UNPIVOT (SELECT * EXCLUDE (_rows) FROM counted) ON * INTO NAME column_name VALUE nulls
        )
        SELECT '{table.name}', NULL, _rows, NULL FROM counted
        UNION ALL
        SELECT ?, column_name, _rows, nulls / nullif(_rows, 0) FROM columns, counted
    """
