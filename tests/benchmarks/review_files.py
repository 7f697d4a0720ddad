"""A file of reviews of any shop as the feature snapshot that the nightly's sentiment reads.

CSV, TSV, JSON lines, a JSON array or Parquet, also gzipped or the first such file of a zip; UTF-8, UTF-16, or else GB 18030 or
Windows-1252. The file is read as a shop's landing files are: a row that is broken is left out alone, and counted in the log with all others
that cannot be used. Labels are read so:

* names of the classes (negative, neutral, positive and their usual short forms, in a few languages; true and false);
* two or three different numbers: the least is negative, the greatest positive (0/1, -1/0/1, 1/2, 0/2/4);
* more different numbers: stars; 1 to 5 as they are (0 to 4 one more, halves rounded), any other range stretched to 1 to 5;
* two or three names of no such kind: in alphabetical order, which macro-F1 does not mind.
"""

from __future__ import annotations

import argparse
import codecs
import gzip
import logging
import math
import shutil
import zipfile
import zlib
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from include.collect.contract import Column, Table
from include.collect.landing import LandingFile, Unreadable
from include.collect.read import explain_failure, open_relation
from include.masking import mask_emails

log = logging.getLogger(__name__)

NAMES = {
    "negative": "negative neg bad poor unhappy sad negativ negativo negativa négatif négative 差评 消极 负面 false no",
    "neutral": "neutral neu mixed average ok neutro neutra neutre 中评 中性",
    "positive": "positive pos good great happy positiv positivo positiva positif 好评 积极 正面 true yes",
}
CLASS_OF_NAME = {name: label for label, names in NAMES.items() for name in names.split()}
JSON_ENDINGS, CSV_ENDINGS = (".json", ".jsonl", ".ndjson"), (".csv", ".txt")
TAB_ENDINGS = (".tsv", ".tab")
PARQUET_ENDINGS = (".parquet", ".pq")
READABLE = (*JSON_ENDINGS, *CSV_ENDINGS, *TAB_ENDINGS, *PARQUET_ENDINGS)
TIME_FORMATS = ["%m %d, %Y", "%B %d, %Y", "%b %d, %Y", "%d/%m/%Y", "%d/%m/%Y %H:%M", "%m/%d/%Y", "%m/%d/%Y %H:%M", "%d.%m.%Y", "%Y%m%d"]
LEAST_DATED = 0.5
LEAST_SOUND = 0.5
MOST_JUDGED = 20_000


class UnreadableReviews(Exception):
    """The file cannot be used; the message says in one line why."""


def add_file_arguments(parser: argparse.ArgumentParser) -> None:
    """The file, and which of its columns are the text, the label and the time."""
    parser.add_argument("reviews", type=Path)
    parser.add_argument("--text", required=True, help="column of the text, or several with commas between them")
    parser.add_argument("--label", required=True, help="column of the stars or classes")
    parser.add_argument("--time", help="column of the moment")


def write_snapshot(file: Path, text: str, label: str, time: str | None, folder: Path) -> None:
    """Write folder/reviews.parquet with splits: the last fifth by time is test, the tenth before it validation; without a time, by a hash.

    Args:
        text: the column of the text, or several with commas between them, joined by '. '.
        label: the column of stars or classes.
        time: the column of the moment: unix seconds or milliseconds, or a date.

    Raises:
        UnreadableReviews: no such file or column, no text, or labels that are neither stars nor classes.
    """
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("set enable_progress_bar = false")
        rows = _read(connection, _unpacked(file, folder), file.name, text, label, time)
        connection.register("marks", _marks(connection, label))
        if time:
            _date(connection, time)
        order = "occurred_at, place" if time else "md5(text), place"
        connection.execute(
            f"""
            create table split as
            with dated as (
                select given.*, rating, marks.label, {_MOMENT if time else "timestamp '2000-01-01'"} as occurred_at
                from given join marks using (mark) where trim(text) <> ''
            )
            select *, ('0x' || left(md5(text), 8))::bigint / 4294967296.0 as drawn,
                (row_number() over (order by {order})) / count(*) over () as share
            from dated
            """
        )
        ((usable,),) = connection.execute("select count(*) from split").fetchall()
        log.info("%s: %d rows read, %d of them with a text and a label", file.name, rows, usable)
        if not usable:
            raise UnreadableReviews(f"{file.name} has no row with both a text in {text} and a label in {label}")
        share = "share" if time else "drawn"
        connection.execute(
            f"""
            copy (
                with parted as (
                    select *, case when {share} > 0.8 then 'test' when {share} > 0.7 then 'validation' else 'train' end as part from split
                )
                select format('{{:010d}}', place) as review_id, '-' as product_id, text, md5(text) as text_hash, rating, label,
                    occurred_at as reviewed_at, part as split
                from parted
                qualify part <> 'test' or row_number() over (partition by part order by md5(text), place) <= {MOST_JUDGED}
                order by review_id
            ) to '{folder / "reviews.parquet"}' (format parquet)
            """
        )


_MOMENT = f"""
    coalesce(
        case when try_cast(moment as double) > 1e14 then make_timestamp(try_cast(moment as double)::bigint)
            when try_cast(moment as double) > 1e11 then make_timestamp((try_cast(moment as double) * 1e3)::bigint)
            when try_cast(moment as double) > 3e7 then make_timestamp((try_cast(moment as double) * 1e6)::bigint)
            when try_cast(moment as double) between 1900 and 2200 then make_timestamp(moment::double::bigint, 1, 1, 0, 0, 0) end,
        try_cast(moment as timestamptz)::timestamp,
        try_strptime(moment, {TIME_FORMATS}),
        timestamp '1970-01-01'
    )"""


def _read(connection: duckdb.DuckDBPyConnection, file: Path, name: str, text: str, label: str, time: str | None) -> int:
    """Make the table `given` (place, text, mark, moment) of the file's sound rows; returns the number of all, broken ones too.

    Args:
        file: in UTF-8, and in the format that its ending says.
        name: what the user calls the file.
        text, label, time: as write_snapshot is given them.
    """
    endings = {"json": JSON_ENDINGS, "parquet": PARQUET_ENDINGS, "csv": CSV_ENDINGS + TAB_ENDINGS}
    kind = next(kind for kind, of_kind in endings.items() if file.suffix in of_kind)
    parts = [part.strip() for part in text.split(",")]
    asked = {_plain(column) for column in (text, *parts, label, time or label)}
    table = Table("reviews", "", "optional", (), None, tuple(Column(column, "varchar", "text", "") for column in sorted(asked)))
    try:
        relation = open_relation(connection, LandingFile(table, file, name, kind), file.parent)
    except Unreadable as error:
        raise UnreadableReviews(f"{name} cannot be read: {_first_line(error)}") from None
    if not any(relation.names):
        raise UnreadableReviews(f"{name} cannot be read: no row of it is sound")
    wanted = parts if _plain(text) not in relation.names else [text]
    for column in (*wanted, label, *([time] if time else [])):
        if _plain(column) not in relation.names:
            raise UnreadableReviews(f"{name} has no column {column!r}; it has {', '.join(filter(None, relation.names))}")
    place = {column: f"c{number}::varchar" for number, column in enumerate(relation.names)}
    texts = ", ".join(f"nullif(trim({place[_plain(column)]}), '')" for column in wanted)
    moment = place[_plain(time)] if time else "null::varchar"
    try:
        connection.execute(
            f"""
            create table rows_read as
            select _row as place, _malformed as malformed, coalesce(concat_ws('. ', {texts}), '') as text,
                trim({place[_plain(label)]}) as mark, {moment} as moment
            from ({relation.sql})
            """,
            relation.parameters,
        )
    except duckdb.Error as error:
        try:
            explain_failure(connection, relation)
        except Unreadable as reason:
            raise UnreadableReviews(f"{name}: {_first_line(reason)}") from None
        raise UnreadableReviews(f"{name} cannot be read: {_first_line(error)}") from None
    connection.execute("create view given as select * exclude (malformed) from rows_read where malformed is null")
    return _count_broken(connection, name)


def _count_broken(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    """Tell how many rows are broken; returns the number of all.

    Raises:
        UnreadableReviews: most of them are, so the file is not what its name says.
    """
    ((rows, broken, first, reason),) = connection.execute(
        "select count(*), count(malformed), min(place) filter (malformed is not null), arg_min(malformed, place) from rows_read"
    ).fetchall()
    if broken:
        told = f"{broken:,} of {rows:,} rows are broken, the first of them is row {first:,}: {mask_emails(reason)}"
        if rows - broken < LEAST_SOUND * rows:
            raise UnreadableReviews(f"{name} cannot be read: {told}")
        log.warning("%s: %s; they are left out", name, told)
    return int(rows)


def _plain(column: str) -> str:
    """A column's name as files' names are compared."""
    return column.strip().lower()


def _unpacked(file: Path, folder: Path) -> Path:
    """A plain copy of the file in `folder`, text in UTF-8, named by what it is."""
    if not file.is_file():
        raise UnreadableReviews(f"there is no file {file}")
    inside, packed = file.name, folder / "unpacked"
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                names = [name for name in archive.namelist() if _ending(name) in READABLE and not name.startswith("__MACOSX")]
                if not names:
                    raise UnreadableReviews(f"{file.name} holds no file that ends in {', '.join(READABLE)}")
                inside = names[0]
                with archive.open(inside) as member, packed.open("wb") as out:
                    shutil.copyfileobj(member, out)
            file = packed
        elif _ending(file.name) == ".gz":
            inside = file.stem
            with gzip.open(file) as member, packed.open("wb") as out:
                shutil.copyfileobj(member, out)
            file = packed
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError) as error:
        raise UnreadableReviews(f"{file.name} cannot be unpacked: {_first_line(error)}") from None
    if _ending(inside) not in READABLE:
        raise UnreadableReviews(f"{file.name} ends in none of {', '.join(READABLE)} (or these with .gz or .zip)")
    plain = folder / f"given{_ending(inside)}"
    if plain.suffix in PARQUET_ENDINGS:
        shutil.copyfile(file, plain)
    else:
        with (
            file.open(encoding=_encoding(file), errors="replace", newline="") as given,
            plain.open("w", encoding="utf-8", newline="") as out,
        ):
            shutil.copyfileobj(given, out, 1 << 20)
    return plain


def _ending(name: str) -> str:
    return Path(name).suffix.lower()


def _encoding(file: Path) -> str:
    with file.open("rb") as opened:
        start = opened.read(4)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    for encoding in ("utf-8-sig", "gb18030"):
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            with file.open("rb") as opened:
                while block := opened.read(1 << 20):
                    decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            continue
        return encoding
    return "cp1252"


def _marks(connection: duckdb.DuckDBPyConnection, column: str) -> pa.Table:
    """What each mark of the label column means: table of mark, rating (NULL for classes), label."""
    counted = connection.execute("select mark from given where mark <> '' and trim(text) <> '' group by mark order by mark").fetchall()
    marks = [mark for (mark,) in counted]
    if not marks:
        raise UnreadableReviews(f"column {column} has no label beside a text")
    numbers = {mark: number for mark in marks if (number := _number(mark)) is not None}
    if len(set(numbers.values())) > 1:  # what is no number among numbers is no label
        return _of_numbers(numbers)
    named = {mark: CLASS_OF_NAME[mark.casefold()] for mark in marks if mark.casefold() in CLASS_OF_NAME}
    if len(set(named.values())) > 1:
        return _table(named, {})
    if not 2 <= len(marks) <= 3:
        shown = ", ".join(repr(mark[:30]) for mark in marks[:5])
        raise UnreadableReviews(f"column {column} holds neither stars nor two or three classes, but {len(marks)} different values: {shown}")
    labels = ("negative", "positive") if len(marks) == 2 else ("negative", "neutral", "positive")
    return _table(dict(zip(sorted(marks), labels, strict=True)), {})


def _of_numbers(numbers: dict[str, float]) -> pa.Table:
    kinds = sorted(set(numbers.values()))
    low, high = kinds[0], kinds[-1]
    are_stars = len(kinds) > 3 or (len(kinds) == 3 and low >= 1 and high in (4, 5))
    if not are_stars:
        labels = {low: "negative", high: "positive"}
        return _table({mark: labels.get(number, "neutral") for mark, number in numbers.items()}, {})
    if low >= 1 and high <= 5:
        stars = numbers
    elif low >= 0 and high <= 4:
        stars = {mark: number + 1 for mark, number in numbers.items()}
    else:
        low, high = (1.0, 10.0) if low >= 1 and 5 < high <= 10 else (0.0, 100.0) if low >= 0 and 10 < high <= 100 else (low, high)
        stars = {mark: 1 + 4 * (number - low) / (high - low) for mark, number in numbers.items()}
    whole = {mark: int(np.clip(math.floor(number + 0.5), 1, 5)) for mark, number in stars.items()}
    return _table({mark: ("negative", "negative", "neutral", "positive", "positive")[star - 1] for mark, star in whole.items()}, whole)


def _number(mark: str) -> float | None:
    try:
        number = float(mark)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _table(labels: dict[str, str], stars: dict[str, int]) -> pa.Table:
    return pa.table(
        {"mark": list(labels), "rating": pa.array([stars.get(mark) for mark in labels], pa.int32()), "label": [*labels.values()]}
    )


def _date(connection: duckdb.DuckDBPyConnection, column: str) -> None:
    """See that most moments can be read."""
    query = f"select avg(({_MOMENT} > timestamp '1970-01-01')::integer) from given where trim(text) <> ''"
    (dated,) = connection.execute(query).fetchone() or (0,)
    if (dated or 0) < LEAST_DATED:
        raise UnreadableReviews(f"column {column} holds no times: {100 * (dated or 0):.0f} % of its values are unix times or dates")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
