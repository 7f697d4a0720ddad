"""Files of reviews as programs write them, whole and broken at random, and what collecting must account for of each.

A file is drawn as rows, a dialect (CSV with any delimiter, quoting and line ending, tabs, JSON lines, a JSON array, Parquet) and the damage
done to its text. What is asked of the ledger: rows read = loaded + duplicate + quarantined, and no record that stands whole on a line
of its own, untouched, is missing from what was loaded. Of a file without damage every value comes out as it went in.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from include.collect import collect_folder
from include.collect.contract import load_contract
from include.collect.values import NOTHING
from include.collect.warehouse import prepare
from include.settings import load_settings

COLUMNS = ("review_id", "product_id", "rating", "title", "text", "reviewed_at")
AS_OF = datetime(2026, 3, 1)
TEXTS = st.text(alphabet="abAB 1.\"',;|\t\n\\[]{}<>&é你😀#-", max_size=24)


@dataclass(frozen=True)
class File:
    """A file to be collected.

    Attributes:
        name: its name, with the ending of its format; content: its bytes.
        rows: the rows that went in; is_whole: whether it was left undamaged.
        untouched: (review_id, title) of the rows that stand on a line of their own which no damage touched and no quote is in.
    """

    name: str
    content: bytes
    rows: list[dict[str, Any]]
    is_whole: bool
    untouched: set[tuple[str, str | None]]


@dataclass
class Tally:
    """What became of the files of a run."""

    files: int = 0
    refused: int = 0
    rows_read: int = 0
    rows_quarantined: int = 0
    formats: dict[str, int] = field(default_factory=dict)


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Valid reviews with unique ids."""
    count = draw(st.integers(1, 9))
    return [
        {
            "review_id": f"r{number}",
            "product_id": draw(st.sampled_from(["p1", "007", "A-1", 'in "quotes"'])),
            "rating": draw(st.sampled_from([None, 1, 5])),
            "title": draw(st.one_of(st.sampled_from(['7" frame', '"Deluxe" pan', '"24 cm pan', "plain", "", 'ends with 7"']), TEXTS)),
            "text": draw(TEXTS),
            "reviewed_at": f"2026-02-{draw(st.integers(1, 28)):02d}",
        }
        for number in range(count)
    ]


@st.composite
def files(draw: st.DrawFn) -> File:
    """A file in any of the formats, whole or damaged."""
    rows = draw(tables())
    kind = draw(st.sampled_from(["csv", "csv", "tsv", "jsonl", "json", "parquet"]))
    if kind == "parquet":
        return _parquet(rows, draw(st.booleans()))
    if kind == "csv":
        delimiter, quoting = draw(st.sampled_from(",;|")), draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
        lines = [
            _csv_line(dict(zip(COLUMNS, COLUMNS, strict=True)), delimiter, quoting),
            *(_csv_line(row, delimiter, quoting) for row in rows),
        ]
    elif kind == "tsv" and draw(st.booleans()):  # quotes are letters, as databases write tabs: no value holds a tab or a line break
        rows = [{name: " ".join(value.split()) if isinstance(value, str) else value for name, value in row.items()} for row in rows]
        lines = [
            "\t".join("" if value is None else str(value) for value in row.values()) + "\n"
            for row in [dict(zip(COLUMNS, COLUMNS, strict=True)), *rows]
        ]
        kind = "tsv of letters"
    elif kind == "tsv":
        lines = [_csv_line(row, "\t", csv.QUOTE_MINIMAL) for row in [dict(zip(COLUMNS, COLUMNS, strict=True)), *rows]]
    else:
        lines = [json.dumps(row, ensure_ascii=draw(st.booleans())) + "\n" for row in rows]
    ending = draw(st.sampled_from(["\n", "\r\n"])) if kind != "tsv of letters" else "\n"
    has_header = kind not in ("jsonl", "json")
    if kind == "json":
        return File("r.json", ("[" + ",\n".join(line.strip() for line in lines) + "]").encode(), rows, True, set())
    damage = draw(st.lists(st.tuples(st.sampled_from(sorted(_DAMAGE)), st.integers(1, 99), st.integers(0, 200)), max_size=3))
    texts = [line.removesuffix("\n") for line in lines]
    touched: set[int] = set()
    for what, place, at in damage:
        number = place % len(texts) if not has_header or len(texts) == 1 else 1 + place % (len(texts) - 1)
        touched.add(number)
        texts[number] = _DAMAGE[what](texts[number], at, texts[0])
    first = 1 if has_header else 0
    untouched = {
        (rows[number - first]["review_id"], given(rows[number - first]["title"]))
        for number in range(first, len(texts))
        if number not in touched and "\n" not in texts[number] and ('"' not in texts[number] or kind == "jsonl")
    }
    name = {"csv": "r.csv", "tsv": "r.tsv", "tsv of letters": "r.tsv", "jsonl": "r.jsonl"}[kind]
    content = ending.join(texts) + draw(st.sampled_from(["", ending]))
    # Letters that look like quoting cannot be told from it: such a file comes out whole only without quotes.
    is_whole = not damage and (kind != "tsv of letters" or '"' not in content)
    return File(name, content.encode(), rows, is_whole, untouched)


_DAMAGE = {
    "a quote put in": lambda line, at, _: line[: at % (len(line) + 1)] + '"' + line[at % (len(line) + 1) :],
    "a sign left out": lambda line, at, _: line[: at % (len(line) + 1)] + line[at % (len(line) + 1) + 1 :],
    "cut short": lambda line, at, _: line[: at % (len(line) + 1)],
    "a delimiter put in": lambda line, at, _: line[: at % (len(line) + 1)] + ",\t;"[at % 3] + line[at % (len(line) + 1) :],
    "a blank line": lambda line, at, _: line + "\n" + " " * (at % 2),
    "the first line again": lambda line, _, first: line + "\n" + first,
    "quotes with backslashes": lambda line, *_: line.replace('""', '\\"'),
    "a value doubled": lambda line, *_: line + line[-3:],
}


def _csv_line(row: dict[str, Any], delimiter: str, quoting: Any) -> str:
    target = io.StringIO()
    csv.writer(target, delimiter=delimiter, quoting=quoting, lineterminator="\n").writerow(row.values())
    return target.getvalue()


def _parquet(rows: list[dict[str, Any]], is_cut: bool) -> File:
    target = io.BytesIO()
    pq.write_table(
        pa.Table.from_pylist(rows, pa.schema([(name, pa.int64() if name == "rating" else pa.string()) for name in COLUMNS])), target
    )
    content = target.getvalue()
    return File("r.parquet", content[:-9] if is_cut else content, rows, not is_cut, set())


def given(text: str | None) -> str | None:
    """A text as the warehouse has it: trimmed, and missing where it says that it is none or would be a list."""
    trimmed = (text or "").strip(" \t\r\n")
    return None if not trimmed or trimmed.lower() in NOTHING else trimmed


def account_for(file: File, folder: Path, tally: Tally) -> None:
    """Collect the file alone into a new warehouse, and hold the ledger against what is known of it.

    Raises:
        AssertionError: a record is missing, or comes out otherwise than it went in.
    """
    landing = folder / "landing"
    for old in landing.glob("*/*"):
        old.unlink()
    (landing / "reviews").mkdir(parents=True, exist_ok=True)
    (landing / "reviews" / file.name).write_bytes(file.content)
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'; SET threads = 1")
        prepare(con, load_contract())
        collect_folder(con, load_contract(), landing, AS_OF, load_settings(), folder / "scratch")
        ((status, reason, read, loaded, duplicate, quarantined),) = con.execute(
            "SELECT status, reason, rows_read, rows_loaded, rows_duplicate, rows_quarantined FROM collect.files"
        ).fetchall()
        held = con.execute("SELECT review_id, product_id, rating, title, text, reviewed_at::DATE::VARCHAR FROM raw.reviews").fetchall()
        told = con.execute("SELECT count(DISTINCT row_number) FROM collect.quarantine").fetchone() or (0,)
    tally.files += 1
    tally.rows_read += read
    tally.rows_quarantined += quarantined
    tally.formats[file.name] = tally.formats.get(file.name, 0) + 1
    assert read == loaded + duplicate + quarantined
    assert told[0] == quarantined, "every refused row has its reason"
    if status == "refused":
        tally.refused += 1
        assert reason and not file.is_whole, reason
        return
    missing = file.untouched - {(row[0], row[3]) for row in held}
    assert not missing, f"lost {missing} of {file.content!r}"
    if file.is_whole:
        wanted = [tuple(given(value) if isinstance(value, str) else value for value in row.values()) for row in file.rows]
        assert sorted(held, key=str) == sorted(wanted, key=str), file.content
