"""The warehouse file as collecting leaves it: schema `raw` (the contract's tables) and schema `collect` (the ledger)."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb

from include.collect.contract import Contract, Table

LEDGER = """
CREATE SCHEMA IF NOT EXISTS raw;
CREATE SCHEMA IF NOT EXISTS collect;
CREATE TABLE IF NOT EXISTS collect.files (
    file_id BIGINT, table_name VARCHAR, path VARCHAR, content_hash VARCHAR, bytes BIGINT, status VARCHAR, reason VARCHAR,
    rows_read BIGINT, rows_loaded BIGINT, rows_duplicate BIGINT, rows_quarantined BIGINT, unknown_columns VARCHAR,
    oldest_event_at TIMESTAMP, as_of TIMESTAMP, collected_at TIMESTAMP, rows_replacing BIGINT, rows_held BIGINT, rows_gone BIGINT
);
ALTER TABLE collect.files ADD COLUMN IF NOT EXISTS rows_replacing BIGINT;
ALTER TABLE collect.files ADD COLUMN IF NOT EXISTS rows_held BIGINT;
ALTER TABLE collect.files ADD COLUMN IF NOT EXISTS rows_gone BIGINT;
CREATE TABLE IF NOT EXISTS collect.quarantine (
    file_id BIGINT, table_name VARCHAR, path VARCHAR, row_number BIGINT, column_name VARCHAR, value VARCHAR, reason VARCHAR,
    as_of TIMESTAMP
);
CREATE TABLE IF NOT EXISTS collect.notes (
    file_id BIGINT, table_name VARCHAR, path VARCHAR, column_name VARCHAR, note VARCHAR, rows BIGINT, row_number BIGINT, value VARCHAR,
    as_of TIMESTAMP
);
"""
# What lay in the landing folder when it was last looked through: a file that was not there, or read otherwise, is a new delivery.
LYING = """
CREATE TABLE collect.lying AS
SELECT table_name, path, arg_max(content_hash, file_id) AS content_hash FROM collect.files WHERE status = 'loaded' GROUP BY ALL
"""
VERSION_COLUMNS = {
    "_file_id": "BIGINT",
    "_row": "BIGINT",
    "_valid_from": "TIMESTAMP",
    "_superseded_at": "TIMESTAMP",
    "_gone_at": "TIMESTAMP",  # a snapshot collected just after this moment lacks the row
}
MEMORY = Path(":memory:")  # as DuckDB names a database that lies nowhere


def connect(path: Path, *, memory_gb: float, threads: int, temporary: Path) -> duckdb.DuckDBPyConnection:
    """Open the warehouse for writing, with bounded memory; `temporary` takes what does not fit.

    Raises:
        duckdb.IOException: another process has the file open, or it is no warehouse.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.mkdir(parents=True, exist_ok=True)
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{round(memory_gb * 1024)}MiB",
        "threads": threads,
        "temp_directory": str(temporary),
    }
    if path != MEMORY and not path.exists():
        _make(path)
    con = duckdb.connect(str(path), config=config)
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET enable_progress_bar = false")  # a bar fills a task's log with thousands of lines
    return con


def _make(path: Path) -> None:
    """Make an empty warehouse, whole or not at all: DuckDB refuses for good a file whose first blocks a full disk or a kill cut short."""
    private = path.with_name(f".{path.name}.new")
    private.unlink(missing_ok=True)
    try:
        duckdb.connect(str(private)).close()
        os.replace(private, path)
    finally:
        private.unlink(missing_ok=True)


def prepare(con: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    """Create what is missing: every contract table (empty), columns newly added to the contract or given a wider type, and the ledger."""
    con.execute("BEGIN")
    con.execute(LEDGER)
    if not con.execute("SELECT 1 FROM duckdb_tables() WHERE schema_name = 'collect' AND table_name = 'lying'").fetchone():
        con.execute(LYING)
    for table in contract:
        _prepare_table(con, table)
    con.execute("COMMIT")


def _prepare_table(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    columns = {column.name: column.data_type for column in table.columns} | VERSION_COLUMNS
    definition = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    con.execute(f"CREATE TABLE IF NOT EXISTS raw.{table.name} ({definition})")
    for name, kind in columns.items():
        con.execute(f'ALTER TABLE raw.{table.name} ADD COLUMN IF NOT EXISTS "{name}" {kind}')
    held = con.execute(
        "SELECT column_name, lower(data_type) FROM duckdb_columns() WHERE schema_name = 'raw' AND table_name = ?", [table.name]
    )
    for name, kind in held.fetchall():
        if columns.get(name, kind).lower() != kind:
            con.execute(f'ALTER TABLE raw.{table.name} ALTER COLUMN "{name}" SET DATA TYPE {columns[name]}')
