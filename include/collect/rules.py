"""The contract's rules as SQL: how a value given as text (or typed, in Parquet) becomes the contract's type, and what refuses it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from include.collect.contract import Column

_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT", "UHUGEINT")
_NUMBERS = (*_WHOLE, "FLOAT", "DOUBLE", "DECIMAL")
_TIMES = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE")
_ZONED = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ")
_NESTED = ("STRUCT", "MAP", "LIST", "UNION")
_DATE, _CLOCK, _OFFSET = (
    "[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}",
    "[T ][0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?",
    "(Z|[+-](0[0-9]|1[0-4])(:?[0-9]{2})?)",
)
_YES, _NO = "('true', 't', 'yes', 'y', '1', '1.0')", "('false', 'f', 'no', 'n', '0', '0.0')"
_NAMES = {
    "integer": "a whole number",
    "decimal": "an amount",
    "double": "a number",
    "boolean": "yes or no",
    "date": "a date",
    "timestamp": "a time",
}


@dataclass(frozen=True)
class Rule:
    """`broken` is a SQL condition over the row; NULL counts as kept. `reason` says in words what is wrong."""

    broken: str
    reason: str


def given_sql(source: str, data_type: str) -> str:
    """The value as it was given: trimmed text, NULL where blank; typed Parquet values stay as they are.

    NUL characters are dropped from text: no database but this one can store them.
    """
    if data_type == "VARCHAR" or data_type.startswith("ENUM"):
        return f"nullif(trim(replace({source}::VARCHAR, chr(0), ''), e' \\t\\r\\n'), '')"
    if data_type.endswith("]") or data_type.startswith(_NESTED):
        return f"to_json({source})::VARCHAR"
    return f"{source}::VARCHAR" if data_type.startswith(("UUID", "BLOB")) else source


def value_sql(column: Column, given: str, data_type: str) -> str:
    """The given value in the contract's type; NULL where it cannot be."""
    base = data_type.split("(")[0]
    if column.kind == "text":
        text = f"{given}::VARCHAR"
        return f"lower({text})" if column.values else text
    if column.kind == "timestamp":
        return _time(given, base)
    if column.kind == "date":
        return f"TRY_CAST({given} AS DATE)" if base in (*_TIMES, *_ZONED) else f"TRY_CAST({given}::VARCHAR AS DATE)"
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


def _time(given: str, base: str) -> str:
    """ISO 8601 with or without offset, a date, or unix time in seconds, milliseconds or microseconds; UTC.

    Two traps of DuckDB 1.5 shape this. The cast to TIMESTAMP drops an offset without a word, so times with one are cast to
    TIMESTAMPTZ. That cast, after a named zone (Europe/Berlin), reads later rows without a zone in that zone, so only
    times with an offset of their own are given to it, and named zones are refused.
    """
    if base in _TIMES:
        return f"TRY_CAST({given} AS TIMESTAMP)"
    if base in _ZONED:
        return f"{given} AT TIME ZONE 'UTC'"
    # DOUBLE is exact to the microsecond here, and its cast a hundred times faster than that of a wide DECIMAL.
    number = f"TRY_CAST({given if base in _NUMBERS else f'{given}::VARCHAR'} AS DOUBLE)"
    unix = " ".join(
        f"WHEN {number} >= 1e{digits} AND {number} < 1e{digits + 3} THEN make_timestamp(({number} * {factor})::BIGINT)"
        for digits, factor in ((8, "1000000"), (11, "1000"), (14, "1"))
    )
    if base in _NUMBERS:
        return f"CASE {unix} END"
    text = f"replace(replace(replace({given}::VARCHAR, ' +', '+'), ' -', '-'), ' UTC', 'Z')"
    iso = f"""CASE WHEN regexp_full_match({text}, '{_DATE}({_CLOCK})?') THEN TRY_CAST({text} AS TIMESTAMP)
        WHEN regexp_full_match({text}, '{_DATE}{_CLOCK}{_OFFSET}') THEN TRY_CAST({text} AS TIMESTAMPTZ) AT TIME ZONE 'UTC' END"""
    return f"coalesce({iso}, CASE {unix} END)"


def rules_of(column: Column, given: str, value: str, latest: datetime) -> list[Rule]:
    """What can be wrong with a value, the first that holds being the reason.

    Args:
        column: the contract's column.
        given, value: SQL of the value as given and in the contract's type.
        latest: times after it are from the future (naive UTC).
    """
    rules = []
    if column.required:
        rules.append(Rule(f"{given} IS NULL", "missing"))
    if column.kind != "text":
        rules.append(Rule(f"{given} IS NOT NULL AND {value} IS NULL", f"not {_NAMES[column.kind]}"))
    if column.values:
        allowed = ", ".join("'" + value.replace("'", "''") + "'" for value in column.values)
        rules.append(Rule(f"{value} NOT IN ({allowed})", f"not one of {', '.join(column.values)}"))
    if column.min is not None:
        rules.append(Rule(f"{value} < {column.min!r}", f"below {column.min}"))
    if column.max is not None:
        rules.append(Rule(f"{value} > {column.max!r}", f"above {column.max}"))
    if column.kind == "timestamp":
        rules.append(Rule(f"{value} < TIMESTAMP '1970-01-01'", "before 1970"))
    if column.kind in ("timestamp", "date"):
        rules.append(Rule(f"NOT isfinite({value})", f"not {_NAMES[column.kind]}"))
        if not column.future:
            rules.append(Rule(f"{value} > TIMESTAMP '{latest:%Y-%m-%d %H:%M:%S}'", "in the future"))
    return rules
