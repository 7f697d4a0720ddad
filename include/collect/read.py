"""Reading a landing file as one SQL relation, whatever its format.

A row's number counts data rows from 1: a CSV header is not counted, and neither are blank lines. A quoted CSV value with
line breaks is part of one row, and a malformed line is a row too.
"""

from __future__ import annotations

import errno
import glob
import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import duckdb

from include.collect.csv_lines import HEADER_AGAIN, MAX_LINE_BYTES, mend, normalised, read_header
from include.collect.landing import CHUNK_BYTES, LandingFile, Text, Unreadable, inspect_text
from include.collect.values import JSON_TEXT
from include.sql import identifier, literal

SOURCE_COLUMNS = ("_file", "_row")  # where a mapped row came from, as its source wrote it


@dataclass(frozen=True)
class Relation:
    """A file as SQL: `sql` selects _row BIGINT, _malformed VARCHAR (the reason, NULL for a sound row) and c0, c1, ...

    Attributes:
        parameters: values of the ? in `sql`.
        names: the file's column names, normalised, in the order of c0, c1, ...
        types: their DuckDB types.
    """

    sql: str
    parameters: list[str]
    names: list[str]
    types: list[str]


def open_relation(con: duckdb.DuckDBPyConnection, file: LandingFile, scratch: Path) -> Relation:
    """Make a file readable by SQL.

    Args:
        con: connection that will run the SQL.
        file: the landing file.
        scratch: an existing folder for files in between; whoever calls clears it.

    Raises:
        Unreadable: truncated or not what its name says, not UTF-8, without a header, or without required columns.
    """
    readers = {"csv": _csv, "json": _json, "parquet": _parquet}
    try:
        relation = readers[file.format](con, file, scratch)
    except (OSError, EOFError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Unreadable(f"cannot be read: {error}") from error
    named = [name for name in relation.names if name]
    takes_back = file.table.key and "deleted_at" in named  # a row that takes another back says no more than which
    missing = [name for name in (file.table.key if takes_back else file.table.required_columns) if name not in named]
    if missing:  # a file without a header shows its first row here, which may be a person's
        found = f"{len(named)} columns" if file.table.has_personal_data else ", ".join(named)[:300] or "none"
        raise Unreadable(f"required columns missing: {', '.join(missing)} (found: {found})")
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise Unreadable(f"two columns are named {twice[0]}")
    return relation


def explain_failure(con: duckdb.DuckDBPyConnection, relation: Relation) -> None:
    """Raise Unreadable if the file itself is why reading failed, found by reading it to nowhere.

    The reason is the first line of the database's message without what it quotes, which may be a person's.
    """
    try:
        con.execute(f"SELECT max(hash(COLUMNS(*))) FROM ({relation.sql})", relation.parameters).fetchall()
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        reason = f"a line is longer than {MAX_LINE_BYTES >> 20} MiB" if "Maximum line size" in str(error) else _first_line(error)
        raise Unreadable(f"cannot be read: {reason}") from error


def _parquet(con: duckdb.DuckDBPyConnection, file: LandingFile, scratch: Path) -> Relation:
    path = file.path
    if path.name.lower().endswith(".gz"):
        path = scratch / "unpacked.parquet"
        with gzip.open(file.path, "rb") as packed, path.open("wb") as unpacked:
            while chunk := packed.read(CHUNK_BYTES):
                unpacked.write(chunk)
    scan = "read_parquet(?, file_row_number = true, binary_as_string = true, hive_partitioning = false)"
    try:
        described = con.execute(f"DESCRIBE SELECT * EXCLUDE (file_row_number) FROM {scan}", [_literal(path)]).fetchall()
    except duckdb.Error as error:
        raise Unreadable(f"no Parquet file: {_first_line(error)}") from error
    columns = "".join(f", {identifier(row[0])} AS c{i}" for i, row in enumerate(described))
    sql = f"SELECT file_row_number + 1 AS _row, NULL::VARCHAR AS _malformed{columns} FROM {scan}"
    return Relation(sql, [_literal(path)], normalised([row[0] for row in described]), [row[1] for row in described])


def _csv(con: duckdb.DuckDBPyConnection, file: LandingFile, scratch: Path) -> Relation:
    text = inspect_text(file.path)
    header, delimiter = read_header(text.head, file.table)
    names, width = normalised(header), len(header)
    types = ["VARCHAR"] * width
    scan = _scan([f"c{i}" for i in range(width)], delimiter)
    if _reads_whole(con, file.path, scan, delimiter, text, header):
        malformed = f"CASE WHEN {_is_header(names)} THEN '{HEADER_AGAIN}' END"
        sql = f"SELECT row_number() OVER () AS _row, {malformed} AS _malformed, * FROM {scan}"
        return Relation(sql, [_literal(file.path)], names, types)
    target = scratch / "mended.csv"
    mend(file.path, target, delimiter, header, file.table)
    scan = _scan(["r", "m", *(f"c{i}" for i in range(width))], ",", "new_line = '\\n',")
    sql = f"SELECT r::BIGINT AS _row, nullif(m, '') AS _malformed, * EXCLUDE (r, m) FROM {scan}"
    return Relation(sql, [_literal(target)], names, types)


def _is_header(names: list[str]) -> str:
    """Whether a row says the names of the columns once more, as where two files were put one behind the other."""
    first = len(names[0].encode())
    same = (f"lower(trim(c{i}, ' \t\ufeff')) = {literal(name)}" for i, name in enumerate(names) if name)
    return " AND ".join((f"strlen(c0) BETWEEN {first} AND {first + 8}", *same))


def _reads_whole(con: duckdb.DuckDBPyConnection, path: Path, scan: str, delimiter: str, text: Text, header: list[str]) -> bool:
    """Whether strict reading meets no error, accounts for every line (one a row, one more for each line break in a value), and no value
    with line breaks may have swallowed a record.

    A blank line fails that, and so does a file of one column, where a blank line would be a row.
    """
    width = len(header)
    if width == 1 or text.bare_returns:
        return False
    columns = range(width) if text.quotes else ()
    breaks = " + ".join(["0", *(f"coalesce(sum(strlen(c{i}) - strlen(replace(c{i}, chr(10), ''))), 0)" for i in columns)])
    swallows = " OR ".join(["false", *(_may_swallow(i, width, delimiter) for i in columns)])
    try:
        counted = con.execute(f"SELECT count(*) + {breaks}, count(*) FILTER ({swallows}) FROM {scan}", [_literal(path)]).fetchone()
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error:
        return False
    lines, swallowing = counted or (0, 0)
    return bool(lines + 1 + sum(name.count("\n") for name in header) == text.lines and not swallowing)


def _may_swallow(at: int, width: int, delimiter: str) -> str:
    """Whether a line of the value of column `at` has as many delimiters as a record: the lines within it, or what ends its record."""
    lines, delimiters = f"string_split(c{at}, chr(10))", f"(strlen(line) - strlen(replace(line, '{delimiter}', '')))"
    inner = f"len(list_filter({lines}[2:-2], lambda line: {delimiters} = {width - 1})) > 0"
    last = f"len(list_filter({lines}[-1:], lambda line: {delimiters} = {at})) > 0"
    return f"CASE WHEN contains(c{at}, chr(10)) THEN {inner} OR {last} ELSE false END"


def _scan(columns: list[str], delimiter: str, options: str = "") -> str:
    typed = ", ".join(f"'{name}': 'VARCHAR'" for name in columns)
    return (
        f"read_csv(?, columns = {{{typed}}}, header = true, delim = '{delimiter}', quote = '\"', escape = '\"', {options} "
        f"auto_detect = false, strict_mode = true, parallel = false, max_line_size = {MAX_LINE_BYTES}, hive_partitioning = false)"
    )


def _json(con: duckdb.DuckDBPyConnection, file: LandingFile, _: Path) -> Relation:
    """One object a line, one array of objects, or objects one behind the other. Lines are taken as they are, so that a malformed one costs
    only itself."""
    parameters = [_literal(file.path)]
    head = inspect_text(file.path).head.lstrip()
    if not head:
        raise Unreadable("empty")
    if head.startswith("["):
        scan = f"SELECT json::VARCHAR AS line FROM read_json_objects(?, format = 'array', maximum_object_size = {MAX_LINE_BYTES})"
    elif _runs_over_lines(head):
        scan = f"SELECT json::VARCHAR AS line FROM read_json_objects(?, format = 'unstructured', maximum_object_size = {MAX_LINE_BYTES})"
    else:  # no sound JSON holds chr(1), so every line is one value
        scan = f"""SELECT ltrim(line, chr(65279)) AS line FROM read_csv(?, columns = {{'line': 'VARCHAR'}}, header = false, delim = '\x01',
            quote = '', escape = '', auto_detect = false, strict_mode = false, parallel = false, max_line_size = {MAX_LINE_BYTES},
            hive_partitioning = false)"""
    judged = f"""SELECT row_number() OVER () AS _row, line, CASE WHEN NOT json_valid(line) THEN 'malformed line: not JSON'
        WHEN json_type(line) <> 'OBJECT' THEN 'malformed line: not a JSON object' END AS _malformed
        FROM ({scan}) WHERE trim(line, e' \\t\\r') <> ''"""
    try:
        sets = con.execute(f"SELECT DISTINCT json_keys(line) FROM ({judged}) WHERE _malformed IS NULL", parameters).fetchall()
    except duckdb.Error as error:
        explain_failure(con, Relation(scan, parameters, [], []))
        raise error
    keys = sorted({key for (found,) in sets for key in found})
    by_name: dict[str, list[str]] = {}
    for key, name in zip(keys, normalised(keys), strict=True):
        by_name.setdefault(name, []).append(key)
    wanted = [name for name in by_name if name in (*file.table.column_names, *SOURCE_COLUMNS)]
    if not set(wanted) & set(file.table.column_names):
        _explain_wrapping(con, judged, parameters)
    twice = sorted({name for (found,) in sets for name in wanted if normalised(found).count(name) > 1})
    if twice:  # {"title": "first", "title": "second"}: nobody knows which is meant
        is_twice = " OR ".join(f"len(list_filter(json_keys(line), lambda key: lower(trim(key)) = {literal(name)})) > 1" for name in twice)
        judged = f"""SELECT _row, line, CASE WHEN _malformed IS NULL AND ({is_twice}) THEN 'malformed line: a key is given twice'
            ELSE _malformed END AS _malformed FROM ({judged})"""
    spelt = [key for name in wanted for key in by_name[name]]
    paths = ", ".join(literal("/" + key.replace("~", "~0").replace("/", "~1")) for key in spelt)
    place = {key: at for at, key in enumerate(spelt, 1)}
    columns = "".join(
        f", coalesce({', '.join(f'found[{place[key]}]' for key in by_name[name])}) AS c{i}"
        for i, name in enumerate(by_name)
        if name in wanted
    )
    found = f"CASE WHEN _malformed IS NULL THEN json_extract_string(line, [{paths}]::VARCHAR[]) END"
    sql = f"SELECT _row, _malformed{columns} FROM (SELECT _row, _malformed, {found} AS found FROM ({judged}))"
    return Relation(sql, parameters, list(by_name), [JSON_TEXT] * len(by_name))


def _runs_over_lines(head: str) -> bool:
    """Whether the first object of a file goes on in the lines below it, as where it was printed for people."""
    first, _, rest = head.partition("\n")
    first, second = first.strip(), rest.lstrip()[:1]
    follows = {"{": '"}', ",": '"', "[": '"{[]-0123456789tfn', ":": '"{[-0123456789tfn'}
    return first.startswith("{") and second != "" and second in follows.get(first[-1], "")


def _explain_wrapping(con: duckdb.DuckDBPyConnection, judged: str, parameters: list[str]) -> None:
    """Raise Unreadable where the rows lie as a list within an object, such as {"products": [{...}, {...}]}."""
    held = con.execute(
        f"""SELECT key FROM (SELECT line, unnest(json_keys(line)) AS key FROM ({judged}) WHERE _malformed IS NULL)
        WHERE json_type(line, '/' || key) = 'ARRAY' ORDER BY key LIMIT 1""",
        parameters,
    ).fetchone()
    if held:
        raise Unreadable(
            f"the rows lie within an object, under {held[0]!r}: write the list alone, [{{...}}, {{...}}], or one object a line"
        )


def _literal(path: Path) -> str:
    """A path as DuckDB reads it: a name with a * or [ in it is a name, not a pattern."""
    return glob.escape(str(path))


def _first_line(error: Exception) -> str:
    return re.sub(r'"[^"]*"?', '"..."', str(error).splitlines()[0])[:300]
