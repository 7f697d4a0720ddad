"""Landing files into raw tables, against the store contract; what is refused goes to quarantine with its reason."""

from __future__ import annotations

import hashlib
import json
import logging
import shlex
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from include.collect.contract import Contract, load_contract
from include.collect.landing import LandingFile, Unreadable, find_files, hash_file, read_refusal
from include.collect.load import load
from include.collect.read import open_relation
from include.collect.refusals import refusals
from include.collect.stage import stage
from include.collect.warehouse import connect, prepare
from include.errors import BadSetting, BadSource
from include.night import Night, write_atomically
from include.settings import Settings

log = logging.getLogger(__name__)

__all__ = ["NothingCollected", "collect", "collect_folder"]


class NothingCollected(BadSource):
    """What a night cannot do without is empty: products, or every table of facts."""


def collect(night: Night) -> None:
    """Take all new landing files into the warehouse and write collected.json.

    Raises:
        NothingCollected: products or all facts are empty.
        MayPass: another process has the warehouse open, or the disk is full.
    """
    with night.step("collect") as notes:
        settings, contract = night.settings, load_contract()
        scratch = night.shop_home / "tmp"
        as_of = night.as_of.replace(tzinfo=None)
        con = connect(night.warehouse, memory_gb=settings.warehouse_memory_gb, threads=settings.threads, temporary=scratch)
        try:
            prepare(con, contract)
            collect_folder(con, contract, night.landing, as_of, settings, scratch / "collect")
            totals = _totals(con, as_of)
            notes.update(totals)
            write_atomically(night.folder / "collected.json", json.dumps(totals, indent=2, default=str))
            demand_enough(con, contract, night)
        finally:
            con.close()


def collect_folder(
    con: duckdb.DuckDBPyConnection, contract: Contract, landing: Path, as_of: datetime, settings: Settings, scratch: Path
) -> None:
    """Take every file of a landing folder that was delivered since it was last looked through, each in one transaction.

    A file that lies there as it did is not read again. One that was not there, or reads otherwise than before, is a new delivery: it is
    taken, also when its bytes were taken once before, unless no file since has said otherwise of a row.

    Args:
        con: a prepared warehouse.
        as_of: the night's moment, naive UTC.
        settings: how far a shop's clock may run ahead, and which tables are snapshots.
        scratch: a folder of its own for files in between; emptied before and after.

    Raises:
        BadSetting: the settings name a snapshot that is no table of the contract.
    """
    if unknown := set(settings.snapshot_tables) - set(contract.table_names):
        raise BadSetting(
            f"snapshot_tables names {', '.join(sorted(unknown))}, which is no table of the store contract",
            f"Correct NIGHTSHELF_SNAPSHOT_TABLES; there are {', '.join(contract.table_names)}.",
        )
    latest = max(as_of, datetime.now(UTC).replace(tzinfo=None)) + timedelta(minutes=settings.clock_skew_minutes)
    con.execute("DELETE FROM collect.files WHERE status = 'refused' AND as_of = ?", [as_of])
    files, ignored = find_files(landing, contract)
    for name in ignored:
        log.warning("%s: not read, for it is no CSV, JSON lines or Parquet file of a contract table", name)
    con.execute(
        "DELETE FROM collect.lying WHERE (table_name, path) NOT IN (SELECT unnest(?::VARCHAR[]), unnest(?::VARCHAR[]))",
        [[file.table.name for file in files], [file.name for file in files]],
    )
    for file in files:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        _take(con, file, as_of, latest, file.table.name in settings.snapshot_tables, scratch)
    shutil.rmtree(scratch, ignore_errors=True)


def _take(con: duckdb.DuckDBPyConnection, file: LandingFile, as_of: datetime, latest: datetime, is_snapshot: bool, scratch: Path) -> None:
    table = file.table
    entry: dict[str, Any] = {"table_name": table.name, "path": file.name, "as_of": as_of}
    try:
        content_hash, size, changed_at = _fingerprint(file.path)
        entry |= {"content_hash": content_hash, "bytes": size}
        if taken := _taken_as(con, table.name, file.name, content_hash, is_snapshot):
            log.info("%s: already taken as %s", file.name, taken)
            _remember_lying(con, entry)
            return
        if file.format == "refused":
            raise Unreadable(read_refusal(file.path))
        relation = open_relation(con, file, scratch)
        unknown = stage(con, table, relation, latest)
        if file.path.stat().st_mtime_ns != changed_at:
            raise Unreadable("changed while it was read; the next night tries it again")
    except Unreadable as error:
        log.warning("%s: refused: %s", file.name, error)
        con.execute("BEGIN")
        _write_ledger(con, entry | {"status": "refused", "reason": str(error)})
        con.execute("COMMIT")
        return
    con.execute("BEGIN")
    file_id = _write_ledger(con, entry | {"status": "loaded", "unknown_columns": ", ".join(unknown) or None})
    counts = load(con, table, file_id, file.name, as_of, is_snapshot)
    event_time = f'"{table.event_time}"' if table.event_time else "NULL::TIMESTAMP"
    con.execute(
        f"""UPDATE collect.files SET rows_read = $read, rows_loaded = $loaded, rows_duplicate = $duplicate,
        rows_quarantined = $quarantined, rows_replacing = $replacing, rows_held = $held, rows_gone = $gone,
        oldest_event_at = (SELECT min({event_time}) FROM raw.{table.name} WHERE _file_id = $file) WHERE file_id = $file""",
        {
            "read": counts.rows_read,
            "loaded": counts.rows_loaded,
            "duplicate": counts.rows_duplicate,
            "quarantined": counts.rows_quarantined,
            "replacing": counts.rows_replacing,
            "held": counts.rows_held,
            "gone": counts.rows_gone,
            "file": file_id,
        },
    )
    _remember_lying(con, entry)
    con.execute("COMMIT")
    con.execute("DROP VIEW staged; DROP TABLE staged_file")
    log.info(
        "%s: %d rows, %d loaded, %d duplicate, %d quarantined%s%s",
        file.name,
        *(counts.rows_read, counts.rows_loaded, counts.rows_duplicate, counts.rows_quarantined),
        f", {counts.rows_gone} of the {counts.rows_held} before are gone" if is_snapshot else "",
        f", unknown columns {', '.join(unknown)}" if unknown else "",
    )


def _taken_as(con: duckdb.DuckDBPyConnection, table: str, path: str, content_hash: str, is_snapshot: bool) -> str | None:
    """Under which name a file was taken, if nothing in it is to be taken: it lies there as before, or no file since says otherwise."""
    taken = con.execute(
        "SELECT arg_max(path, file_id), max(file_id) FROM collect.files WHERE table_name = ? AND content_hash = ? AND status = 'loaded'",
        [table, content_hash],
    ).fetchone()
    if taken is None or taken[0] is None:
        return None
    lies = "SELECT 1 FROM collect.lying WHERE table_name = ? AND path = ? AND content_hash = ?"
    changed = "coalesce(rows_replacing, 1) + coalesce(rows_gone, 0)" + (" + rows_loaded" if is_snapshot else "")
    later = f"SELECT 1 FROM collect.files WHERE table_name = ? AND status = 'loaded' AND file_id > ? AND {changed} > 0"
    if con.execute(lies, [table, path, content_hash]).fetchone() or not con.execute(later, [table, taken[1]]).fetchone():
        return str(taken[0])
    return None


def _remember_lying(con: duckdb.DuckDBPyConnection, entry: dict[str, Any]) -> None:
    con.execute("DELETE FROM collect.lying WHERE table_name = ? AND path = ?", [entry["table_name"], entry["path"]])
    con.execute("INSERT INTO collect.lying VALUES (?, ?, ?)", [entry["table_name"], entry["path"], entry["content_hash"]])


def _fingerprint(path: Path) -> tuple[str, int, int]:
    """Content hash, bytes, and when the file was last written, in nanoseconds."""
    try:
        changed_at = path.stat().st_mtime_ns
        return *hash_file(path), changed_at
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from error


def _write_ledger(con: duckdb.DuckDBPyConnection, entry: dict[str, Any]) -> int:
    """Add a file to the ledger in place of its earlier refusal; gives it the next number."""
    con.execute("DELETE FROM collect.files WHERE table_name = ? AND path = ? AND status = 'refused'", [entry["table_name"], entry["path"]])
    (file_id,) = con.execute("SELECT coalesce(max(file_id), 0) + 1 FROM collect.files").fetchone() or (1,)
    entry = {"file_id": file_id} | dict.fromkeys(("rows_read", "rows_loaded", "rows_duplicate", "rows_quarantined"), 0) | entry
    entry["collected_at"] = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    con.execute(f"INSERT INTO collect.files ({', '.join(entry)}) VALUES ({', '.join('?' * len(entry))})", list(entry.values()))
    return int(file_id)


def _totals(con: duckdb.DuckDBPyConnection, as_of: datetime) -> dict[str, Any]:
    """The night's figures, from the ledger: the same however often the night is run."""
    columns = ("files", "rows_read", "rows_loaded", "rows_duplicate", "rows_quarantined", "files_refused", "oldest_event_at")
    row = con.execute(
        """SELECT count(*) FILTER (status = 'loaded'), coalesce(sum(rows_read), 0)::BIGINT, coalesce(sum(rows_loaded), 0)::BIGINT,
        coalesce(sum(rows_duplicate), 0)::BIGINT, coalesce(sum(rows_quarantined), 0)::BIGINT, count(*) FILTER (status = 'refused'),
        min(oldest_event_at) FROM collect.files WHERE as_of = ?""",
        [as_of],
    ).fetchone()
    hashes = con.execute(
        "SELECT content_hash FROM collect.files WHERE status = 'loaded' AND as_of <= ? ORDER BY content_hash, table_name", [as_of]
    ).fetchall()
    digest = hashlib.sha256("\n".join(content_hash for (content_hash,) in hashes).encode()).hexdigest()
    return dict(zip(columns, row or (), strict=True)) | {"inputs_digest": digest}


def demand_enough(con: duckdb.DuckDBPyConnection, contract: Contract, night: Night) -> None:
    """See that products, and one table of facts at least, hold a row.

    Raises:
        NothingCollected: with the files and the first rows that were refused, and for a mapped source with its name.
    """
    empty = {table.name for table in contract if not con.execute(f"SELECT 1 FROM raw.{table.name} LIMIT 1").fetchone()}
    required = [table.name for table in contract if table.need == "required" and table.name in empty]
    facts = [table.name for table in contract if table.need == "fact"]
    wanted = required or (facts if set(facts) <= empty else [])
    if not wanted:
        return
    source, data = night.settings.source, night.settings.data
    mapped = source != "files"
    place = f"the files in {data or 'its package'} by source {source}" if mapped else str(night.landing)
    problem = f"No row of {', '.join(required)} could be collected from {place}"
    if not required:
        problem = f"None of {', '.join(facts)} holds a row in {place}; nothing is known of what customers did"
    refused = refusals(con, wanted, every_file=mapped)
    command = " ".join(
        ["make check-source", *([f"SOURCE={source}"] if mapped else []), *([f"DATA={shlex.quote(str(data))}"] if data else [])]
    )
    if refused:
        advice = "Correct what is refused"
    elif mapped:
        advice = f"Look whether the shop's files hold any, and at {wanted[0]}.sql of the source"
    else:
        advice = f"Put a file of {'it' if required else 'one of these tables'} into {night.landing}/{wanted[0]}/"
    raise NothingCollected("; ".join([problem, *refused]), f"{advice}; `{command}` says what is refused and why.")
