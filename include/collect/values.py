"""How a value as a file writes it becomes the contract's type, in three steps of SQL: written, given, value.

`written` is the text without blanks around it, or the typed value of a Parquet file. `given` is NULL where what is written says that there
is none. `value` is in the contract's type, NULL where it cannot be.
"""

from __future__ import annotations

import re
from datetime import datetime

from include.collect.contract import Column
from include.collect.times import ZERO, date_of_text, time_of_number, time_of_text
from include.sql import literal

JSON_TEXT = "JSON"  # the type a reader gives a text that a JSON file may have held as a list or an object

_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT", "UHUGEINT")
_FLOATS = ("FLOAT", "DOUBLE")
_NUMBERS = (*_WHOLE, *_FLOATS, "DECIMAL")
_TIMES = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE")
_ZONED = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ")
_NESTED = ("STRUCT", "MAP", "LIST", "UNION")
_YES = "('true', 't', 'yes', 'y', '1', '1.0', 'on', 'granted', 'accepted', 'subscribed', 'enabled')"
_NO = "('false', 'f', 'no', 'n', '0', '0.0', 'off', 'denied', 'declined', 'unsubscribed', 'disabled')"

# What databases, spreadsheets, pandas and web analytics write where they have nothing, in lower case.
NOTHING = (
    "null", "\\n", "nan", "none", "n/a", "#n/a", "<na>", "<null>", "#null!", "nat", "nil", "undefined", "(not set)", "(none)", "(null)",
    "(not provided)", "[]", "{}",
)  # fmt: skip
NO_TEXT = ("na", "-", "--", "?")  # nothing too where an id, a number, a time or a flag is wanted; as a text NA may be Namibia

# From this year on a time stands for "never" (9999-12-31, 2999-12-31); up to the first day of 1970, in any zone, no shop was on line
# (0001-01-01, 1900-01-01, unix time 0).
ENDLESS = "TIMESTAMP '2200-01-01'"
EARLIEST_BIRTH = "DATE '1900-01-02'"


def base_of(data_type: str) -> str:
    """A DuckDB type without its parameters; a list, struct or map is NESTED."""
    if data_type.endswith("]") or data_type.startswith(_NESTED):
        return "NESTED"
    return data_type.split("(")[0]


def written_sql(source: str, data_type: str, column: Column) -> str:
    """The value as it was written: trimmed text, NULL where blank; typed Parquet values stay as they are, unless the contract wants text.

    NUL characters are dropped from text: no database but this one can store them.
    """
    base = base_of(data_type)
    if base in ("VARCHAR", "ENUM", JSON_TEXT):
        text = source if base == "VARCHAR" else f"{source}::VARCHAR"
        trimmed = f"nullif(trim(replace({text}, chr(0), ''), e' \\t\\r\\n'), '')"
        ends = " OR ".join(f"suffix({text}, chr({code}))" for code in map(ord, " \t\r\n"))  # a fifth of the time of any pattern
        return f"CASE WHEN {text} < '!' OR {ends} OR contains({text}, chr(0)) THEN {trimmed} ELSE {text} END"
    if base == "NESTED":
        return f"to_json({source})::VARCHAR"
    if base in _FLOATS:
        known = f"CASE WHEN NOT isnan({source}) THEN {source} END"  # pandas has no other missing number
        # An id that a table of numbers holds as 17004.0 is 17004.
        whole = f"abs({source}) < 1e15 AND {source} = trunc({source})"
        return f"CASE WHEN {whole} THEN {source}::BIGINT::VARCHAR ELSE ({known})::VARCHAR END" if column.kind == "text" else known
    return f"{source}::VARCHAR" if column.kind == "text" or base in ("UUID", "BLOB") else source


def given_sql(column: Column, written: str, data_type: str) -> str:
    """What is written, NULL where it says that there is nothing."""
    base = base_of(data_type)
    is_time = column.kind in ("date", "timestamp")
    is_text = column.kind == "text" or base in ("VARCHAR", "ENUM", "UUID", "BLOB", "NESTED", JSON_TEXT)
    if not is_text:
        return f"CASE WHEN {written} > 0 THEN {written} END" if is_time and base in _NUMBERS else written
    words = "|".join(map(re.escape, NOTHING if column.kind == "text" and not column.is_id else (*NOTHING, *NO_TEXT)))
    # No IN: DuckDB makes a join of it for every column.
    nothing = f"({_may_be_a_word(written)}) AND regexp_full_match(lower({written}), {literal(words)})"
    nothing += "".join(f" OR {written} = {literal(id)}" for id in column.nobody)
    if is_time:
        nothing += f" OR ({written} < '1' OR starts_with({written}, '1900-01-00')) AND regexp_full_match({written}, '{ZERO}')"
    return f"CASE WHEN {nothing} THEN NULL ELSE {written} END"


def value_sql(column: Column, given: str, data_type: str) -> str:
    """The given value in the contract's type; NULL where it cannot be."""
    base = base_of(data_type)
    if column.kind == "text":
        if column.levels:
            texts = f"list_filter(from_json({given}, '[\"VARCHAR\"]'), lambda level: trim(level) <> '')"
            return f"CASE WHEN {_is_list_of_texts(given)} THEN nullif(array_to_string({texts}, ' > '), '') ELSE {given} END"
        return f"lower({given})" if column.values else given
    if column.kind in ("timestamp", "date"):
        return _time_or_date(column, given, base)
    if column.kind == "boolean":
        if base == "BOOLEAN":
            return given
        text = f"lower({given}::VARCHAR)"
        return f"CASE WHEN {text} IN {_YES} THEN true WHEN {text} IN {_NO} THEN false END"
    number = given if base in _NUMBERS else f"{given}::VARCHAR"
    if column.kind == "integer" and base not in _WHOLE:  # a plain cast would round 3.5 to 4
        exact = f"TRY_CAST({number} AS DOUBLE)"  # holds every integer of 32 bits
        return f"CASE WHEN {exact} = trunc({exact}) THEN TRY_CAST({exact} AS {column.data_type}) END"
    if column.kind == "double":
        return f"CASE WHEN isfinite(TRY_CAST({number} AS DOUBLE)) THEN TRY_CAST({number} AS DOUBLE) END"
    return f"TRY_CAST({number} AS {column.data_type})"


def nested_sql(given: str, data_type: str) -> str:
    """Whether a text column holds a list or an object. In a CSV file only what cannot well be meant as a text counts as one."""
    opens = f"({given} >= '[' AND {given} < '\\' OR {given} >= '{{' AND {given} < '|')"
    shape = "" if base_of(data_type) in ("NESTED", JSON_TEXT) else f" AND regexp_matches({given}, '^(\\[\\s*[\"\\[{{]|\\{{\\s*\")')"
    return f"{opens}{shape} AND json_valid({given})"


def meant_sql(column: Column, value: str, latest: str) -> str | None:
    """Whether an optional time or date can be meant, where the column has a limit: else it counts as missing. None where it has none."""
    if column.required or column.kind not in ("date", "timestamp"):
        return None
    if column.kind == "date":
        return f"{value} BETWEEN {EARLIEST_BIRTH} AND {ENDLESS if column.future else latest}"
    return f"{value} > TIMESTAMP '1970-01-02' AND {value} < {ENDLESS}"


def rounded_sql(column: Column, given: str, value: str, data_type: str) -> str | None:
    """Whether an amount was written with more digits than the contract keeps. None where the column or its type has no such thing."""
    if column.kind != "decimal":
        return None
    base, digits = base_of(data_type), int(column.data_type.rstrip(")").split(",")[1])
    if base in ("VARCHAR", "ENUM", JSON_TEXT):
        return f"regexp_matches({given}, '[.][0-9]{{{digits}}}[0-9]*[1-9]') AND {value} IS NOT NULL"
    if base in _FLOATS:  # 9.99 as a binary fraction is no rounding
        return f"abs({given} - {value}::DOUBLE) > greatest(1, abs({given})) * 1e-9"
    return f"{given} <> {value}" if base == "DECIMAL" else None


def moment_sql(moment: datetime) -> str:
    """A naive UTC moment as SQL."""
    return f"TIMESTAMP '{moment:%Y-%m-%d %H:%M:%S}'"


def _time_or_date(column: Column, given: str, base: str) -> str:
    if base in (*_TIMES, *_ZONED):
        local = f"{given} AT TIME ZONE 'UTC'" if base in _ZONED else given
        return f"TRY_CAST({local} AS {column.data_type})"
    if column.kind == "date":
        return date_of_text(f"{given}::VARCHAR")
    return time_of_number(given) if base in _NUMBERS else time_of_text(given)


def _may_be_a_word(written: str) -> str:
    """Whether a value begins as one of the words does: most do not, and a comparison costs next to nothing."""
    first = sorted({letter for word in (*NOTHING, *NO_TEXT) for letter in (word[0], word[0].upper())})
    return " OR ".join(f"{written} >= {literal(letter)} AND {written} < {literal(chr(ord(letter) + 1))}" for letter in first)


def _is_list_of_texts(given: str) -> str:
    return f"starts_with({given}, '[') AND json_valid({given}) AND json_structure({given})::VARCHAR = '[\"VARCHAR\"]'"
