"""Build the release of a night from the warehouse's serving tables, check it, and swap it in."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

import duckdb

from include.errors import NightError
from include.night import Night
from include.publish.releases import current_release, list_releases, read_release, serve, sync
from include.publish.replacing import replaced_release, require_may_replace
from include.sql import identifier, literal
from include.tables import served_tables

log = logging.getLogger(__name__)

GATES = ("raw", "features", "serving")


def publish(night: Night) -> None:
    """Publish the night's serving tables as one immutable file, whole or not at all.

    The file is built beside its target under a private name, checked, forced to disk and renamed. Then it becomes the
    current release, unless a later night of the same shop is already being served (a backfill does not turn back the
    clock) or the settings ask for a dry run, which leaves the built file in the night's folder. What is served may have changed
    since the night was opened, so it is asked again whether this night may take its place.

    Raises:
        NightError: a table is missing, a gate has not passed, or the release may not take the place of the one being served; the
            current release stays.
        MayPass: the disk is full or the warehouse in use; the current release stays, and nothing is left of the new one.
    """
    with night.step("publish") as notes:
        night.releases.mkdir(parents=True, exist_ok=True)
        for leftover in night.releases.glob(".*.building*"):
            leftover.unlink(missing_ok=True)
        _require_gates(night)
        building = night.releases / f".{night.key}.{os.getpid()}.building"
        try:
            notes["rows"] = _build(night, building)
            release = read_release(building)
            told = require_may_replace(night, building)
            sync(building)
            if not night.settings.publish:
                os.replace(building, night.folder / "dry_run.duckdb")
                notes["outcome"] = "dry run: built and checked, not published" + (f"; {told}" if told else "")
                return
            target = night.releases / f"{release.release_id}.duckdb"
            if not _is_there(target, release.release_id):
                os.replace(building, target)
                sync(night.releases)
            current = current_release(night.home)
            if current and replaced_release(night) is None:
                notes["outcome"] = f"kept beside the later release {current.release_id}, which stays the current one"
            else:
                serve(target, night.serving)
                notes["outcome"] = f"published {told}".rstrip()
            notes["release_id"] = release.release_id
            notes["removed"] = _retire(night)
        finally:
            for leftover in (building, building.with_name(building.name + ".wal")):
                with suppress(OSError):
                    leftover.unlink(missing_ok=True)


def _is_there(target: Path, release_id: str) -> bool:
    """Whether a whole release of this id is there already. One id stands for one input, code and lineage: it is never replaced."""
    try:
        return target.exists() and read_release(target).release_id == release_id
    except duckdb.Error:
        return False


def _require_gates(night: Night) -> None:
    """A release without the result of every gate would be one nobody vouches for."""
    done = {step["step"] for step in night.steps() if step["status"] == "done"}
    missing = [gate for gate in GATES if f"check_{gate}" not in done]
    if missing:
        raise NightError(f"Gates that have not passed tonight: {', '.join(missing)}", "Run the night from its beginning.")


def _build(night: Night, building: Path) -> dict[str, int]:
    """Copy the serving tables into a new database file; returns rows by table."""
    settings = night.settings
    connection = duckdb.connect(str(building), config={"memory_limit": f"{settings.warehouse_memory_gb}GB", "threads": settings.threads})
    with connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute("SET temp_directory = $folder", {"folder": str(night.shop_home / "tmp")})
        connection.execute(f"ATTACH {literal(night.warehouse)} AS warehouse (READ_ONLY)")
        tables = [
            row[0]
            for row in connection.execute(
                "SELECT table_name FROM duckdb_tables() WHERE database_name = 'warehouse' AND schema_name = 'serving' ORDER BY 1"
            ).fetchall()
        ]
        missing = sorted(served_tables().keys() - set(tables))
        if missing:
            raise NightError(
                f"Serving tables that were not built: {', '.join(missing)}", "Read the log of the task `serve` and run the night again."
            )
        for table in tables:
            # In the order they are asked for, so that a point lookup reads one block instead of all.
            order = ", ".join(map(identifier, served_tables()[table].key)) if table in served_tables() else "ALL"
            connection.execute(
                f"CREATE TABLE main.{identifier(table)} AS SELECT * FROM warehouse.serving.{identifier(table)} ORDER BY {order}"
            )
        _append_serving_gate(night, connection)
        _describe(connection)
        connection.execute("UPDATE main.release SET status = 'published'")
        counts = {table: _count(connection, f"main.{identifier(table)}") for table in tables}
        for table in set(tables) - {"quality_results"}:
            if counts[table] != _count(connection, f"warehouse.serving.{identifier(table)}"):
                raise NightError(f"Table {table} lost rows on its way into the release", "Run the night again; report this if it recurs.")
        if counts["release"] != 1:
            raise NightError(f"Table release has {counts['release']} rows instead of one", "Read the log of the task `serve`.")
        connection.execute("DETACH warehouse")
        connection.execute("CHECKPOINT")
    return counts


def _append_serving_gate(night: Night, connection: duckdb.DuckDBPyConnection) -> None:
    """The last gate ran after the serving tables were built, so its results join them here."""
    connection.execute(
        """
        INSERT INTO main.quality_results BY NAME
        SELECT gate.suite, gate.table_name, gate.expectation, gate.success, gate.observed, gate.severity, release.release_id
        FROM read_parquet($results) AS gate, main.release
        ORDER BY ALL
        """,
        {"results": str(night.folder / "quality" / "serving.parquet")},
    )


def _describe(connection: duckdb.DuckDBPyConnection) -> None:
    """Carry the descriptions of tables and columns into the release, where readers look for them."""
    rows = connection.execute(
        """
        SELECT 'TABLE main."' || table_name || '"', comment FROM duckdb_tables()
        WHERE database_name = 'warehouse' AND schema_name = 'serving' AND comment IS NOT NULL
        UNION ALL
        SELECT 'COLUMN main."' || table_name || '"."' || column_name || '"', comment FROM duckdb_columns()
        WHERE database_name = 'warehouse' AND schema_name = 'serving' AND comment IS NOT NULL
        """
    ).fetchall()
    for what, comment in rows:
        connection.execute(f"COMMENT ON {what} IS {literal(comment)}")


def _retire(night: Night) -> list[str]:
    """Remove the shop's oldest releases beyond the number kept; the one being served always stays."""
    current = current_release(night.home)
    kept = list_releases(night.home, night.shop)
    old = [release for release in kept[: -night.settings.keep_releases] if not current or release.release_id != current.release_id]
    for release in old:
        release.path.unlink()
    return [release.release_id for release in old]


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(row[0]) if row else 0
