"""The rows of the raw tables that count at a night's moment, as SQL; dbt's macro `visible_at_night` says the same to the staging models."""

from __future__ import annotations

import duckdb

from include.collect.contract import Contract


def make_views(con: duckdb.DuckDBPyConnection, contract: Contract, warehouse: str, schema: str, as_of: str) -> None:
    """Create a view `schema`.<table> of each table's rows that count.

    Args:
        con: an open warehouse; warehouse: the name it has in SQL; schema: where the views come.
        as_of: the night's moment, a UTC timestamp without zone.
    """
    moment = f"TIMESTAMP '{as_of}'"
    for table in contract:
        happened = f"({table.event_time} IS NULL OR {table.event_time} < {moment}) AND " if table.event_time else ""
        ended = " AND ".join(f"({end} IS NULL OR {end} >= {moment})" for end in ("_superseded_at", "_gone_at", "deleted_at"))
        con.execute(
            f"""CREATE OR REPLACE VIEW {schema}.{table.name} AS SELECT * FROM {warehouse}.raw.{table.name}
            WHERE {happened}_valid_from < {moment} AND {ended}"""
        )
