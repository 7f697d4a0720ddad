"""What DuckDB's CSV reader cannot be trusted with: the header, and files with broken lines.

DuckDB 1.5 loses rows without a word where a quote is never closed (strict mode), and drops surplus values or swallows
lines (lenient mode). So DuckDB reads in strict mode, and only a file in which that meets no error and accounts for every
line; any other is first mended here: broken lines set apart, everything else written anew.

A quote that opens a value in one line and one that closes a value lines later pair up without an error, and what lies between is
swallowed (inch marks: "24 cm pan ... frame 7"). Such a record is known by its lines: read by themselves they are whole records. Where a
tab separates the values, quotes are often plain letters: a line that cannot be read otherwise is read so.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from include.collect.contract import Kind, Table
from include.collect.landing import Unreadable, open_bytes
from include.collect.values import NO_TEXT, NOTHING

DELIMITERS = (",", ";", "\t", "|")
MAX_RECORD_LINES = 1000  # lines one quoted value may run over before its quote counts as never closed
MAX_LINE_BYTES = 8 << 20
BACKSLASHES = r'; a quote within a value is written "", not \"'
HEADER_AGAIN = "malformed line: the header again"


def normalised(names: list[str]) -> list[str]:
    """Column names as they are compared: without blanks and byte order mark around them, in lower case."""
    return [name.strip(" \t\r\n\ufeff").lower() for name in names]


def read_header(head: str, table: Table) -> tuple[list[str], str]:
    """The column names, and the delimiter under which most of them are the contract's.

    Raises:
        Unreadable: there is none.
    """
    if not head.strip():
        raise Unreadable("empty: there is not even a header")
    if head.startswith("sep="):
        raise Unreadable(f"the first line, {head.split(chr(10), 1)[0].strip()!r}, is a spreadsheet's and no header: remove it")
    if not head.split("\n", 1)[0].strip():
        raise Unreadable("the first line is blank: the header must come first")
    csv.field_size_limit(MAX_LINE_BYTES)
    best: tuple[int, int, list[str], str] = (-1, 0, [], ",")
    for delimiter in DELIMITERS:
        names = next(csv.reader(io.StringIO(head, newline=""), delimiter=delimiter, skipinitialspace=True), [])
        known = len(set(normalised(names)) & set(table.column_names))
        best = max(best, (known, len(names), names, delimiter), key=lambda candidate: candidate[:2])
    return best[2], best[3]


def mend(path: Path, target: Path, delimiter: str, header: list[str], table: Table) -> None:
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
        records = _records(lines, delimiter, header, WholeRecord(table, header, delimiter))
        next(records)
        writer.writerow(["r", "m", *header])
        for number, (values, reason) in enumerate(records, 1):
            writer.writerow([number, reason, *(blank if reason else values)])


class WholeRecord:
    """Tells whether a line, its quotes taken as letters, is a record by itself.

    It is where it has as many values as the header, nothing required is missing, and its numbers, times and flags are such (those of
    the contract, and in a shop's own columns those of the record that the line lies in). Prose has a blank behind its commas; records
    do not, unless the record that the line lies in does. Of two columns one is a key, which must look like the key of that record.

    Args:
        table: the file's table; header: the file's column names; delimiter: what parts its values.
    """

    def __init__(self, table: Table, header: list[str], delimiter: str) -> None:
        self.delimiter, self.width = delimiter, len(header)
        known = {column.name: column for column in table.columns}
        columns = [known.get(name) for name in normalised(header)]
        self.required = [at for at, column in enumerate(columns) if column and column.required]
        self.keys = [at for at, column in enumerate(columns) if column and column.name in table.key and column.kind == "text"]
        self.untyped = [] if self.keys else [at for at, column in enumerate(columns) if column is None or column.kind == "text"]
        self.typed = [(at, _FORMS[column.kind]) for at, column in enumerate(columns) if column and column.kind in _FORMS]
        self.listed = [(at, set(column.values)) for at, column in enumerate(columns) if column and column.values]

    def is_one(self, line: str, first: str, within: list[str]) -> bool:
        """Whether `line` is a record; it lies in the record of the values `within`, whose first line is `first`."""
        if self.delimiter + " " in line and self.delimiter + " " not in first:
            return False
        values = [value.strip() for value in line.rstrip("\r\n").split(self.delimiter)]
        if len(values) != self.width or not all(values[at] for at in self.required):
            return False
        if any(_is_something(values[at]) and not form.fullmatch(values[at]) for at, form in self.typed):
            return False
        if any(_is_something(values[at]) and values[at].lower() not in allowed for at, allowed in self.listed):
            return False
        if any(
            _is_something(values[at]) and not _FIGURES.fullmatch(values[at])
            for at in self.untyped
            if _FIGURES.fullmatch(within[at].strip())
        ):
            return False
        return self.width > 2 or all(_look(values[at]) == _look(within[at]) for at in self.keys or range(self.width - 1))


_FORMS: dict[Kind, re.Pattern[str]] = {
    "integer": re.compile(r"[-+]?\d+([.]0*)?"),
    "decimal": re.compile(r"[-+]?[$€£¥]?\s?\d[\d.,]*\s?([$€£¥]|[A-Z]{3})?"),
    "double": re.compile(r"[-+]?\d[\d.,]*(e[-+]?\d+)?", re.IGNORECASE),
    "boolean": re.compile(r"true|false|t|f|yes|no|y|n|[01]", re.IGNORECASE),
    "date": re.compile(r"\d[\d./-]{7,}.*"),
    "timestamp": re.compile(r"\d[\d./:+TZ -]{7,}", re.IGNORECASE),
}


_FIGURES = re.compile(r"[-+]?[$€£¥]?\s?\d[\d.,:/ -]*\s?([$€£¥%]|[A-Za-z]{1,3})?")
_QUOTED = re.compile(r'^"([^"]*)"$')


def _is_something(value: str) -> bool:
    return value.lower() not in ("", *NOTHING, *NO_TEXT)


def _look(key: str) -> tuple[bool, frozenset[str]]:
    """How a key looks: whether it has digits, and its signs and blanks."""
    key = key.strip().strip('"')
    return any(map(str.isdigit, key)), frozenset(sign for sign in key if not sign.isalnum())


def _records(lines: Iterator[str], delimiter: str, header: list[str], whole: WholeRecord) -> Iterator[tuple[list[str], str]]:
    """Values and reason of every record; blank lines are none."""
    ahead: deque[str] = deque()
    names = normalised(header)

    def pull(taken: list[str]) -> Iterator[str]:
        while len(taken) < MAX_RECORD_LINES and (line := ahead.popleft() if ahead else next(lines, "")):
            taken.append(line)
            yield line

    is_first = True
    while True:
        taken: list[str] = []
        values, reason = _parse(pull(taken), delimiter, len(header))
        if not taken:
            return
        if sum(map(len, taken)) > MAX_LINE_BYTES // 8:  # a character takes up to four bytes, and quotes are doubled
            reason = f"malformed line: longer than {MAX_LINE_BYTES // 8} characters"
        elif not reason and not is_first and len(taken) > 1 and any(whole.is_one(line, taken[0], values) for line in taken[1:]):
            reason = "malformed line: a quote opens here and closes lines later, across whole records"
        elif not reason and not is_first and normalised(values) == names:
            reason = HEADER_AGAIN
        if reason and reason != HEADER_AGAIN:
            ahead.extendleft(reversed(taken[1:]))
            literal = taken[0].rstrip("\r\n").split(delimiter)
            if delimiter == "\t" and '"' in taken[0] and len(literal) == len(header):
                values, reason = [_QUOTED.sub(r"\1", value) for value in literal], ""
            elif '\\"' in taken[0]:
                reason += BACKSLASHES
        if taken[0].strip():
            yield values, reason
        is_first = False


def _parse(lines: Iterator[str], delimiter: str, width: int) -> tuple[list[str], str]:
    """The next record, which takes as many lines as it needs; else why there is none."""
    try:
        values = next(csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=delimiter != "\t"), [])
    except csv.Error as error:
        return [], f"malformed line: {'a quote is never closed' if 'unexpected end' in str(error) else error}"
    return values, "" if len(values) == width else f"malformed line: {width} values expected, {len(values)} found"
