"""What a night would make of a shop's data, told without changing anything:

    python -m include.sources.check --source files --data FOLDER --as-of MOMENT

The data is landed and collected for real, by the same code and the same settings, in a home that is thrown away. Exit status
0: the night would run; 1: it would not, and the last lines say why.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from include.collect import NothingCollected, collect
from include.collect.contract import Contract, Table, load_contract
from include.collect.landing import find_files
from include.collect.load import OVERWRITTEN
from include.collect.references import find_unmatched
from include.collect.visible import make_views
from include.collect.warehouse import connect
from include.errors import NightError
from include.night import Night, parse_as_of
from include.settings import Settings, load_settings
from include.sources import land
from include.sources.mapping import unread_files

EXAMPLES = 5
COST = {
    "customers": "customers are known by the ids in orders, events and reviews; no consents, regions or languages",
    "products": "the night cannot run",
    "orders": "no purchases: recommendations learn from reviews or events, and spending stays unknown",
    "order_items": "orders name no products, so purchases teach the recommender nothing",
    "payments": "payment behaviour stays unknown",
    "events": "no views, carts or searches: no funnels, no sessions, no feedback on what was recommended",
    "reviews": "no sentiment; review_sentiment and product_sentiment will be empty",
    "tickets": "ticket_sentiment will be empty",
    "answers": "support tables will be empty",
    "campaigns": "advertising tables will be empty",
    "rules": "nothing is blocked, pinned or limited but by the settings",
}


def check(settings: Settings, as_of: datetime) -> tuple[list[str], bool]:
    """Land and collect a shop's data in a home that is thrown away.

    Args:
        settings: the source, the shop's folder (`data`), and all that a night goes by.
        as_of: the night's moment, aware.

    Returns:
        The report's lines, and whether the night would run.

    Raises:
        BadSource: the folder is missing, or the source's SELECTs cannot be used on it.
    """
    contract = load_contract()
    mapped = settings.source != "files"
    folder = settings.data or (None if mapped else settings.home / "landing")
    with tempfile.TemporaryDirectory(prefix="nightshelf-check-") as scratch:
        night = Night.open(settings.model_copy(update={"home": Path(scratch), "data": folder}), as_of)
        land(night)
        nothing = _collect(night)
        what = f"{folder or 'its files'} by source {settings.source}" if mapped else str(folder)
        lines = [f"Checked {what} as of {as_of:%Y-%m-%d %H:%M} UTC; nothing was changed.", ""]
        obstacles: list[str] = []
        absent = []
        files, ignored = find_files(night.landing, contract)
        place = night.shop_home / "tmp"
        con = connect(night.warehouse, memory_gb=settings.warehouse_memory_gb, threads=settings.threads, temporary=place)
        try:
            for table in contract:
                names = [file.name for file in files if file.table == table]
                found = list(_table(con, table, names, mapped, settings.max_quarantine_share, obstacles))
                lines += found
                if not found:
                    absent.append(f"  {table.name} ({table.need}): {COST.get(table.name, 'what depends on it will be empty')}")
            con.execute("ATTACH ':memory:' AS tonight")
            make_views(con, contract, "warehouse", "tonight", night.as_of_sql)
            lines += [*_ids(con, contract, settings, obstacles), *_stamps(con, contract, night.as_of_sql)]
        finally:
            con.close()
        ignored += unread_files(night) if mapped else []
    lines += ["No row of" if mapped else "No file for", *absent, ""] if absent else []
    strange = "no file that the source knows" if mapped else "no table of the contract"
    lines += [f"Not read ({strange}, or no CSV, JSON lines or Parquet)", *(f"  {name}" for name in ignored), ""] if ignored else []
    obstacles += [nothing] if nothing else []
    verdict = ["The night would NOT run:", *(f"  {obstacle}" for obstacle in obstacles)] if obstacles else ["The night would run."]
    return lines + verdict, not obstacles


def _collect(night: Night) -> str | None:
    """Collect as a night does; returns why that is not enough, where it is not."""
    try:
        collect(night)
    except NothingCollected as error:
        return f"{error.problem}. {error.next_step.split('; `make check-source')[0]}."  # which is what is running
    return None


def _table(
    con: duckdb.DuckDBPyConnection, table: Table, names: list[str], mapped: bool, allowed: float, obstacles: list[str]
) -> Iterator[str]:
    files = _rows(con, "SELECT * FROM collect.files WHERE table_name = ? ORDER BY path", table.name)
    if not files:
        return
    total = {name: sum(file[name] for file in files) for name in ("rows_read", "rows_loaded", "rows_duplicate", "rows_quarantined")}
    where = "mapped" if mapped else f"in {_count(len(files), 'file')}"
    yield (
        f"{table.name} ({table.need}): {_count(total['rows_read'], 'row')} {where}: "
        f"{total['rows_loaded']:,} good, "
        f"{total['rows_duplicate']:,} duplicate, {total['rows_quarantined']:,} would go to quarantine"
    )
    for file in files:
        if file["status"] == "refused":
            yield f"  would be refused whole: {file['reason']}" if mapped else f"  {file['path']}: would be refused whole: {file['reason']}"
            continue
        if mapped:  # the file is of Nightshelf's own making
            continue
        yield f"  {file['path']}: {_count(file['rows_read'], 'row')}"
        if file["unknown_columns"]:
            yield f"    unknown columns, left out: {file['unknown_columns']}"
    for name in sorted(set(names) - {file["path"] for file in files}):
        yield f"  {name}: would be passed over, for its content is that of another file"
    problems = _rows(
        con,
        f"""SELECT column_name, reason, count(*) AS problems,
            min(struct_pack(path := path, row_number := row_number, value := value), {EXAMPLES}) AS examples
        FROM collect.quarantine WHERE table_name = ? GROUP BY ALL ORDER BY problems DESC, column_name, reason""",
        table.name,
    )
    for problem in problems:
        yield f"  {problem['column_name'] or 'line'}: {problem['reason']}: {_count(problem['problems'], 'row')}"
        for example in problem["examples"]:
            value = "" if example["value"] is None else f": {example['value']!r}"
            yield f"    {example['path']}, row {example['row_number']}{value}"
    notes = _rows(
        con,
        """SELECT column_name, note, sum(rows)::BIGINT AS rows, arg_min(struct_pack(path, row_number, value), file_id) AS first
        FROM collect.notes WHERE table_name = ? GROUP BY ALL ORDER BY rows DESC, column_name, note""",
        table.name,
    )
    for note in notes:
        first = note["first"]
        value = "" if first["value"] is None else f": {first['value']!r}"
        place = f"{first['path']}, row {first['row_number']}{value}"
        yield f"  {note['column_name']}: {note['note']}: {_count(note['rows'], 'row')}, the first {place}"
    overwritten = sum(note["rows"] for note in notes if note["note"].startswith(OVERWRITTEN)) / max(total["rows_read"], 1)
    if overwritten > allowed:
        obstacles.append(
            f"{table.name}: {overwritten:.1%} of the rows take another's place under one key,"
            f" and NIGHTSHELF_MAX_QUARANTINE_SHARE lets {allowed:.1%} pass."
        )
    yield ""
    share = total["rows_quarantined"] / max(total["rows_read"], 1)
    if share > allowed:
        obstacles.append(f"{table.name}: {share:.1%} of the rows are refused, and NIGHTSHELF_MAX_QUARANTINE_SHARE lets {allowed:.1%} pass.")


def _ids(con: duckdb.DuckDBPyConnection, contract: Contract, settings: Settings, obstacles: list[str]) -> Iterator[str]:
    """What is told of ids that find nothing; what the raw gate would stop for joins the obstacles."""
    lost = [reference for reference in find_unmatched(con, contract, "tonight") if reference.unmatched]
    if lost:
        yield "Ids that find nothing"
        yield from (f"  {reference.table}.{reference.column}: {reference.told}" for reference in lost)
        yield ""
    for reference in lost:
        where = f"{reference.table}.{reference.column}"
        share = reference.unmatched / reference.rows
        if share > settings.max_unmatched_share:
            allowed = f"NIGHTSHELF_MAX_UNMATCHED_SHARE lets {settings.max_unmatched_share:.1%} pass."
            obstacles.append(f"{where}: {share:.1%} of the ids find nothing in {reference.parent}, and {allowed}")
        share = reference.misspelt / reference.rows
        if share > settings.max_misspelt_share:
            allowed = f"NIGHTSHELF_MAX_MISSPELT_SHARE lets {settings.max_misspelt_share:.1%} pass."
            obstacles.append(
                f"{where}: {share:.1%} of the ids would find theirs if they were spelt as in {reference.parent}, and {allowed}"
            )


def _stamps(con: duckdb.DuckDBPyConnection, contract: Contract, as_of: str) -> Iterator[str]:
    """What is told of rows written after the night's moment."""
    counts = [
        (table.name, con.execute(f"SELECT count(*) FROM tonight.{table.name} WHERE updated_at >= ?::TIMESTAMP", [as_of]).fetchone())
        for table in contract
    ]
    told = [f"  {name}: {_count(count[0], 'row')}" for name, count in counts if count and count[0]]
    if told:
        yield "Written (updated_at) after the night's moment; counted as they are, for no earlier version of them is known"
        yield from (*told, "")


def _rows(con: duckdb.DuckDBPyConnection, sql: str, *parameters: object) -> list[dict[str, Any]]:
    cursor = con.execute(sql, list(parameters))
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _printable(line: str) -> str:
    """Control characters spelled out: file and column names are other people's, and a terminal obeys them."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in line)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Read a shop's folder and say what a night would refuse and why. Changes nothing.")
    parser.add_argument("--source", default=os.environ.get("NIGHTSHELF_SOURCE", "files"), help="the kind of shop data; files by default")
    parser.add_argument("--data", type=Path, help="the shop's folder; the source's own files or the landing folder by default")
    parser.add_argument("--as-of", default=datetime.now(UTC).isoformat(timespec="seconds"), help="the night's moment; now by default")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.ERROR)
    try:
        lines, runs = check(load_settings(source=options.source, data=options.data), parse_as_of(options.as_of))
    except NightError as error:
        lines, runs = [error.problem, f"  Next: {error.next_step}"], False
    sys.stdout.write("\n".join(map(_printable, lines)) + "\n")
    return 0 if runs else 1


if __name__ == "__main__":
    sys.exit(main())
