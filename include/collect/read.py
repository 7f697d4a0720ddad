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

from include.collect.csv_lines import MAX_LINE_BYTES, mend, normalised, read_header
from include.collect.landing import CHUNK_BYTES, LandingFile, Text, Unreadable, inspect_text

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
    missing = [name for name in file.table.required_columns if name not in named]
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
    columns = "".join(f', "{row[0].replace(chr(34), chr(34) * 2)}" AS c{i}' for i, row in enumerate(described))
    sql = f"SELECT file_row_number + 1 AS _row, NULL::VARCHAR AS _malformed{columns} FROM {scan}"
    return Relation(sql, [_literal(path)], normalised([row[0] for row in described]), [row[1] for row in described])


def _csv(con: duckdb.DuckDBPyConnection, file: LandingFile, scratch: Path) -> Relation:
    text = inspect_text(file.path)
    header, delimiter = read_header(text.head, file.table)
    names, width = normalised(header), len(header)
    types = ["VARCHAR"] * width
    scan = _scan([f"c{i}" for i in range(width)], delimiter)
    if _reads_whole(con, file.path, scan, width, text, header):
        return Relation(
            f"SELECT row_number() OVER () AS _row, NULL::VARCHAR AS _malformed, * FROM {scan}", [_literal(file.path)], names, types
        )
    target = scratch / "mended.csv"
    mend(file.path, target, delimiter, header)
    scan = _scan(["r", "m", *(f"c{i}" for i in range(width))], ",", "new_line = '\\n',")
    sql = f"SELECT r::BIGINT AS _row, nullif(m, '') AS _malformed, * EXCLUDE (r, m) FROM {scan}"
    return Relation(sql, [_literal(target)], names, types)


def _reads_whole(con: duckdb.DuckDBPyConnection, path: Path, scan: str, width: int, text: Text, header: list[str]) -> bool:
    """Whether strict reading meets no error and accounts for every line: one a row, one more for each line break in a value.

    A blank line fails that, and so does a file of one column, where a blank line would be a row.
    """
    if width == 1 or text.bare_returns:
        return False
    breaks = "+".join(f"coalesce(sum(strlen(c{i}) - strlen(replace(c{i}, chr(10), ''))), 0)" for i in range(width)) if text.quotes else "0"
    try:
        (lines,) = con.execute(f"SELECT count(*) + {breaks} FROM {scan}", [_literal(path)]).fetchone() or (0,)
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error:
        return False
    return bool(lines + 1 + sum(name.count("\n") for name in header) == text.lines)


def _scan(columns: list[str], delimiter: str, options: str = "") -> str:
    typed = ", ".join(f"'{name}': 'VARCHAR'" for name in columns)
    return (
        f"read_csv(?, columns = {{{typed}}}, header = true, delim = '{delimiter}', quote = '\"', escape = '\"', {options} "
        f"auto_detect = false, strict_mode = true, parallel = false, max_line_size = {MAX_LINE_BYTES}, hive_partitioning = false)"
    )


def _json(con: duckdb.DuckDBPyConnection, file: LandingFile, _: Path) -> Relation:
    """One object a line, or one array of objects. Lines are taken as they are, so that a malformed one costs only itself."""
    parameters = [_literal(file.path)]
    head = inspect_text(file.path).head.lstrip()
    if not head:
        raise Unreadable("empty")
    if head.startswith("["):
        scan = f"SELECT json::VARCHAR AS line FROM read_json_objects(?, format = 'array', maximum_object_size = {MAX_LINE_BYTES})"
    else:  # no sound JSON holds chr(1), so every line is one value
        scan = f"""SELECT ltrim(line, chr(65279)) AS line FROM read_csv(?, columns = {{'line': 'VARCHAR'}}, header = false, delim = '\x01',
            quote = '', escape = '', auto_detect = false, strict_mode = false, parallel = false, max_line_size = {MAX_LINE_BYTES},
            hive_partitioning = false)"""
    judged = f"""SELECT row_number() OVER () AS _row, line, CASE WHEN NOT json_valid(line) THEN 'malformed line: not JSON'
        WHEN json_type(line) <> 'OBJECT' THEN 'malformed line: not a JSON object' END AS _malformed
        FROM ({scan}) WHERE trim(line, e' \\t\\r') <> ''"""
    try:
        keys = con.execute(
            f"""SELECT DISTINCT unnest(keys) AS key
            FROM (SELECT DISTINCT json_keys(line) AS keys FROM ({judged}) WHERE _malformed IS NULL) ORDER BY key""",
            parameters,
        ).fetchall()
    except duckdb.Error as error:
        explain_failure(con, Relation(scan, parameters, [], []))
        raise error
    names = normalised([key for (key,) in keys])
    wanted = [i for i, name in enumerate(names) if name in (*file.table.column_names, *SOURCE_COLUMNS)]
    paths = ", ".join("'/" + keys[i][0] + "'" for i in wanted)
    columns = "".join(f", found[{at}] AS c{i}" for at, i in enumerate(wanted, 1))
    found = f"CASE WHEN _malformed IS NULL THEN json_extract_string(line, [{paths}]::VARCHAR[]) END"
    sql = f"SELECT _row, _malformed{columns} FROM (SELECT _row, _malformed, {found} AS found FROM ({judged}))"
    return Relation(sql, parameters, names, ["VARCHAR"] * len(names))


def _literal(path: Path) -> str:
    """A path as DuckDB reads it: a name with a * or [ in it is a name, not a pattern."""
    return glob.escape(str(path))


def _first_line(error: Exception) -> str:
    return re.sub(r'"[^"]*"?', '"..."', str(error).splitlines()[0])[:300]
