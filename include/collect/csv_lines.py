"""What DuckDB's CSV reader cannot be trusted with: the header, and files with broken lines.

DuckDB 1.5 loses rows without a word where a quote is never closed (strict mode), and drops surplus values or swallows
lines (lenient mode). So DuckDB reads in strict mode, and only a file in which that meets no error and accounts for every
line; any other is first mended here: broken lines set apart, everything else written anew.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from include.collect.contract import Table
from include.collect.landing import Unreadable, open_bytes

DELIMITERS = (",", ";", "\t", "|")
MAX_RECORD_LINES = 1000  # lines one quoted value may run over before its quote counts as never closed
MAX_LINE_BYTES = 8 << 20


def normalised(names: list[str]) -> list[str]:
    """Column names as they are compared: trimmed and in lower case."""
    return [name.strip().lower() for name in names]


def read_header(head: str, table: Table) -> tuple[list[str], str]:
    """The column names, and the delimiter under which most of them are the contract's.

    Raises:
        Unreadable: there is none.
    """
    if not head.strip():
        raise Unreadable("empty: there is not even a header")
    csv.field_size_limit(MAX_LINE_BYTES)
    best: tuple[int, int, list[str], str] = (-1, 0, [], ",")
    for delimiter in DELIMITERS:
        names = next(csv.reader(io.StringIO(head, newline=""), delimiter=delimiter), [])
        known = len(set(normalised(names)) & set(table.column_names))
        best = max(best, (known, len(names), names, delimiter), key=lambda candidate: candidate[:2])
    return best[2], best[3]


def mend(path: Path, target: Path, delimiter: str, header: list[str]) -> None:
    """Copy a CSV file so that strict reading succeeds: row number, reason (empty for a sound row), then the values.

    A broken line is given up alone and reading goes on with the next line, however many lines its open quote would swallow.
    One pass in Python, a few hundred thousand rows a second, for suspicious files only.
    """
    csv.field_size_limit(MAX_LINE_BYTES)
    blank = [""] * len(header)
    with (
        io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig", newline="") as lines,
        target.open("w", encoding="utf-8", newline="") as mended,
    ):
        writer = csv.writer(mended, quoting=csv.QUOTE_ALL, lineterminator="\n")
        records = _records(lines, delimiter, len(header))
        next(records)
        writer.writerow(["r", "m", *header])
        for number, (values, reason) in enumerate(records, 1):
            writer.writerow([number, reason, *(blank if reason else values)])


def _records(lines: Iterator[str], delimiter: str, width: int) -> Iterator[tuple[list[str], str]]:
    """Values and reason of every record; blank lines are none."""
    ahead: deque[str] = deque()

    def pull(taken: list[str]) -> Iterator[str]:
        while len(taken) < MAX_RECORD_LINES and (line := ahead.popleft() if ahead else next(lines, "")):
            taken.append(line)
            yield line

    while True:
        taken: list[str] = []
        values, reason = _parse(pull(taken), delimiter, width)
        if not taken:
            return
        if sum(map(len, taken)) > MAX_LINE_BYTES // 8:  # a character takes up to four bytes, and quotes are doubled
            reason = f"malformed line: longer than {MAX_LINE_BYTES // 8} characters"
        if reason:
            ahead.extendleft(reversed(taken[1:]))
        if taken[0].strip():
            yield values, reason


def _parse(lines: Iterator[str], delimiter: str, width: int) -> tuple[list[str], str]:
    """The next record, which takes as many lines as it needs; else why there is none."""
    try:
        values = next(csv.reader(lines, delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        what = "a quote is never closed" if "unexpected end" in str(error) else error
        return [], f"malformed line: {what}"
    return values, "" if len(values) == width else f"malformed line: {width} values expected, {len(values)} found"
