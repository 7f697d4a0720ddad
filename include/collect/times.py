"""How a text or a number becomes a time or a date, as SQL.

Traps of DuckDB 1.5 that shape it: the cast to TIMESTAMP drops an offset without a word, so times with one are cast to TIMESTAMPTZ; that
cast, after a named zone (Europe/Berlin), reads later rows without a zone in that zone, so only times with an offset of their own are given
to it; neither cast takes ISO 8601 without seconds where there is an offset, or its basic form; and both take `epoch` and `infinity`, and
the cast to DATE whatever follows a date (2026-11-28junk). So a value is cast only when a pattern has said what it is.
"""

from __future__ import annotations

_DATE = "[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}"
_MINUTES, _SECONDS = "[T ][0-9]{1,2}:[0-9]{2}", ":[0-9]{2}([.][0-9]+)?"
_OFFSET = "(Z|[+-](0[0-9]|1[0-4])(:?[0-9]{2})?)"
_LOCAL = f"{_DATE}({_MINUTES}({_SECONDS})?)?"
_WITH_OFFSET = f"{_DATE}{_MINUTES}{_SECONDS}{_OFFSET}"
_CALENDAR = {  # digits shaped like a calendar, and how strptime reads the first fourteen of them
    "(19|20|99)[0-9]{6}": "%Y%m%d",
    "(19|20)[0-9]{10}": "%Y%m%d%H%M",
    "(19|20|99)[0-9]{12}": "%Y%m%d%H%M%S",
    "(19|20)[0-9]{15}": "%Y%m%d%H%M%S",
}
_CALENDAR_HOUR = ("20[0-9]{8}", "%Y%m%d%H")  # unix seconds look like it too from 2033 on, and count where it is no calendar
# From, below (powers of ten), microseconds each. Up to the year 9999, which stands for never, seconds have twelve digits; milliseconds have
# twelve only before 2001.
_UNIX = ((8, 12, "1000000"), (12, 15, "1000"), (15, 18, "1"), (18, 19, "0.001"))

# What programs write where there is no time: MySQL's zero date and how PHP reads it, Excel's day 0, .NET's and Go's first moment, 0 and -1.
ZERO = "0000-00-00([T ][0:.]*)?Z?|-0001-11-30.*|00/00/0000|1900-01-00.*|-62135596800(000)?|0+([.]0+)?|-1([.]0+)?"


def time_of_text(given: str) -> str:
    """A TIMESTAMP in UTC out of a text; NULL where it is none.

    Taken are ISO 8601 (extended or basic; with or without seconds and offset; UTC where there is none; a named zone in brackets behind the
    offset is left out), a date, digits shaped like a calendar (yyyymmdd, then HH, HHMM, HHMMSS or HHMMSSmmm), and unix time in seconds,
    milliseconds, microseconds or nanoseconds. Digits shaped like a calendar are never unix time, and 1.76E+09 is none: it was rounded.
    """
    whole = f"regexp_replace({given}, '[.]0*$', '')"  # 20261120.0, as a table of numbers writes it
    return f"""CASE WHEN regexp_full_match({given}, '{_LOCAL}') THEN TRY_CAST({given} AS TIMESTAMP)
        WHEN regexp_full_match({given}, '{_WITH_OFFSET}') THEN TRY_CAST({given} AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
        WHEN regexp_full_match({given}, '[0-9]+([.][0-9]*)?') THEN {_of_digits(whole, f"TRY_CAST({given} AS DOUBLE)")}
        ELSE {_spelt_otherwise(given)} END"""


def time_of_number(given: str) -> str:
    """A TIMESTAMP in UTC out of a number: a calendar or unix time, as in a text."""
    digits = f"TRY_CAST({given} AS HUGEINT)::VARCHAR"
    return _of_digits(f"CASE WHEN {given} = trunc({given}) THEN {digits} ELSE '' END", f"{given}::DOUBLE")


def date_of_text(given: str) -> str:
    """A DATE out of a date, or out of a time as it is written (its own day, whatever its offset); NULL for all else."""
    return f"""CASE WHEN regexp_full_match({given}, '{_DATE}({_MINUTES}({_SECONDS})? ?{_OFFSET}?)?')
        THEN TRY_CAST(regexp_extract({given}, '^{_DATE}') AS DATE)
        WHEN regexp_full_match({given}, '(19|20)[0-9]{{6}}') THEN TRY_CAST(TRY_STRPTIME({given}, '%Y%m%d') AS DATE)
        ELSE TRY_CAST({_spelt_otherwise(given)} AS DATE) END"""


def _of_digits(digits: str, number: str) -> str:
    # DOUBLE is exact to the microsecond here, and its cast a hundred times faster than that of a wide DECIMAL.
    unix = " ".join(
        f"WHEN {number} >= 1e{low} AND {number} < 1e{high} THEN make_timestamp(({number} * {factor})::BIGINT)"
        for low, high, factor in _UNIX
    )
    calendar = " ".join(
        f"WHEN regexp_full_match({digits}, '{shape}') THEN TRY_STRPTIME(left({digits}, 14), '{form}')"
        f" + to_milliseconds(coalesce(TRY_CAST(substr({digits}, 15) AS BIGINT), 0))"
        for shape, form in _CALENDAR.items()
    )
    shape, form = _CALENDAR_HOUR
    return f"""CASE WHEN starts_with({digits}, '19') OR starts_with({digits}, '20') OR starts_with({digits}, '9999') THEN
            CASE {calendar} WHEN regexp_full_match({digits}, '{shape}') THEN coalesce(TRY_STRPTIME({digits}, '{form}'), CASE {unix} END)
            ELSE CASE {unix} END END
        ELSE CASE {unix} END END"""


def _spelt_otherwise(given: str) -> str:
    """A time with an offset, brought into the one spelling that DuckDB reads; few files need it."""
    text = f"upper({given})"
    for pattern, replacement in (
        (r"\[[A-Z_]+(/[A-Z_+-]+)*\]$", ""),  # Java's 2026-11-02T10:00:00+01:00[Europe/Berlin]
        (" ?(UTC|GMT)$", "Z"),
        (" ([+-][0-9:]+|Z)$", r"\1"),
        (r"^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})", r"\1-\2-\3T\4:\5:\6"),
        (r"^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})", r"\1-\2-\3T\4:\5"),
        (f"^({_DATE}{_MINUTES})({_OFFSET})$", r"\1:00\2"),
    ):
        text = f"regexp_replace({text}, '{pattern}', '{replacement}')"
    return f"""CASE WHEN regexp_full_match({text}, '{_LOCAL}') THEN TRY_CAST({text} AS TIMESTAMP)
        WHEN regexp_full_match({text}, '{_WITH_OFFSET}') THEN TRY_CAST({text} AS TIMESTAMPTZ) AT TIME ZONE 'UTC' END"""
