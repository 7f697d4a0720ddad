"""The contract's rules as SQL: what refuses a value, and what of it is taken otherwise than it was written, which is noted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from include.collect.contract import Column
from include.collect.values import meant_sql, moment_sql, nested_sql, rounded_sql
from include.masking import EMAIL_SQL
from include.sql import literal

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


@dataclass(frozen=True)
class Cell:
    """The names under which the steps of one column's value stand in SQL, and the type that its file gives it."""

    column: Column
    data_type: str
    written: str
    given: str
    parsed: str
    value: str


def rules_of(cell: Cell, latest: datetime) -> list[Rule]:
    """What can be wrong with a value, the first that holds being the reason.

    Args:
        cell: the column's value in its steps.
        latest: times after it are from the future (naive UTC).
    """
    column, given, value = cell.column, cell.given, cell.value
    rules = []
    if column.required:
        rules.append(Rule(f"{given} IS NULL", "missing"))
    if column.kind == "text":
        if not column.values and not column.personal:  # what is personal is published nowhere
            nested = nested_sql(value, cell.data_type)
            rules.append(Rule(nested, "a list or an object where one text is wanted"))
    else:
        if column.kind == "decimal":
            rules.append(
                Rule(f"{cell.parsed} IS NULL AND regexp_full_match({given}::VARCHAR, '-?[0-9.]*,[0-9]+')", "not an amount: write 12.50")
            )
        rules.append(Rule(f"{given} IS NOT NULL AND {cell.parsed} IS NULL", f"not {_NAMES[column.kind]}"))
    if column.values:
        allowed = ", ".join(map(literal, column.values))
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
            rules.append(Rule(f"{value} > {moment_sql(latest)}", "in the future"))
    return rules


def notes_of(cell: Cell, latest: datetime) -> list[Rule]:
    """What is taken otherwise than it was written, or taken as it is and worth a word."""
    column = cell.column
    notes = [Rule(f"{cell.written} IS NOT NULL AND {cell.given} IS NULL", "says that there is none: taken as missing")]
    if meant := meant_sql(column, cell.parsed, moment_sql(latest)):
        notes.append(Rule(f"NOT ({meant})", "cannot be meant: taken as missing"))
    if rounded := rounded_sql(column, cell.given, cell.value, cell.data_type):
        notes.append(Rule(rounded, f"more digits than {column.data_type} keeps: rounded"))
    if column.nobody and not column.also:
        notes.append(Rule(f"contains({cell.given}, '@') AND regexp_full_match({cell.given}, {EMAIL_SQL})", "an e-mail address as an id"))
    return notes
