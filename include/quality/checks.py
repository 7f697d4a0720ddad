"""What a gate is made of: suites of checks, each an expectation with a severity and the rows to show when it fails."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import duckdb
import great_expectations.expectations as gxe
from great_expectations.core.types import Comparable
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.metadata_types import FailureSeverity

from include.sql import literal

Severity = Literal["warn", "stop"]
SEVERITIES = {"warn": FailureSeverity.WARNING, "stop": FailureSeverity.CRITICAL}


class ExpectNoOffendingRows(gxe.UnexpectedRowsExpectation):
    """The query finds no row. Only the count is asked for; the parent runs the query a second time to fetch rows."""

    metric_dependencies: ClassVar[tuple[str, ...]] = ("unexpected_rows_query.row_count",)

    def _validate(self, metrics: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        count = metrics["unexpected_rows_query.row_count"]
        return {"success": count == 0, "result": {"observed_value": count}}


@dataclass(frozen=True)
class Check:
    """One promise about one table.

    Attributes:
        name: what is promised, unique within its suite.
        table: the table it is about, as the results name it.
        severity: 'stop' refuses the night, 'warn' only tells.
        expectation: what Great Expectations validates against the suite's rows.
        offenders: a SELECT of the rows that break it, over `checked` (the suite's rows); keys and columns without personal data only.
        observed: the figure to report; the count of offending rows where it is None.
    """

    name: str
    table: str
    severity: Severity
    expectation: Expectation
    offenders: str | None = None
    observed: str | None = None


@dataclass(frozen=True)
class Suite:
    """Checks over the rows of one SELECT."""

    name: str
    query: str
    checks: tuple[Check, ...]


class TableChecks:
    """Collects the checks of one table; each method adds one.

    Args:
        table: its name in the results.
        query: SELECT of the rows that are checked; all SQL below sees them as `checked`.
        key: the columns that identify a row, shown with every offending row.
        shown: columns shown with them.
        suite_name: of the suite, where a table has several.
    """

    def __init__(self, table: str, query: str, key: Sequence[str], shown: Sequence[str] = (), suite_name: str = "") -> None:
        self.table, self.query, self.key, self.shown = table, query, tuple(key), tuple(shown)
        self.suite_name = suite_name or table
        self.checks: list[Check] = []

    def suite(self) -> Suite:
        """The checks so far."""
        return Suite(self.suite_name, self.query, tuple(self.checks))

    def not_null(self, column: str, severity: Severity = "stop") -> None:
        self._add(
            f"{column}_not_null", severity, gxe.ExpectColumnValuesToNotBeNull, self._rows(f'"{column}" IS NULL', column), column=column
        )

    def unique_key(self, severity: Severity = "stop") -> None:
        """The key occurs once. Great Expectations' own check counts in a window over all rows: six times the time of a GROUP BY."""
        columns = ", ".join(f'"{column}"' for column in self.key)
        offenders = f"SELECT {columns}, count(*) AS rows FROM checked GROUP BY {columns} HAVING count(*) > 1 ORDER BY {columns}"
        self.no_rows(f"{'_and_'.join(self.key)}_unique", severity, offenders)

    def between(self, column: str, low: Comparable | None, high: Comparable | None, severity: Severity = "stop") -> None:
        """Every value that is not NULL lies in the closed interval; None leaves an end open."""
        bounds = " OR ".join(f'"{column}" {sign} {bound}' for sign, bound in (("<", low), (">", high)) if bound is not None)
        name = f"{column}_between_{'any' if low is None else low}_and_{'any' if high is None else high}"
        expectation = gxe.ExpectColumnValuesToBeBetween
        self._add(name, severity, expectation, self._rows(bounds, column), column=column, min_value=low, max_value=high)

    def in_set(self, column: str, values: Iterable[str], severity: Severity = "stop") -> None:
        """Every value that is not NULL is one of `values`, which come from code or the contract, never from data."""
        allowed = sorted(values)
        offenders = self._rows(f'"{column}" NOT IN ({", ".join(map(quoted, allowed))})', column)
        self._add(f"{column}_allowed", severity, gxe.ExpectColumnValuesToBeInSet, offenders, column=column, value_set=allowed)

    def has_rows(self, severity: Severity = "stop") -> None:
        self._add("has_rows", severity, gxe.ExpectTableRowCountToBeBetween, None, min_value=1)

    def no_rows(self, name: str, severity: Severity, offenders: str) -> None:
        """The SELECT `offenders` over `checked` finds nothing."""
        query = f"WITH checked AS (SELECT * FROM {{batch}}) {offenders}"
        self._add(name, severity, ExpectNoOffendingRows, offenders, unexpected_rows_query=query)

    def none_where(self, name: str, severity: Severity, condition: str, *shown: str) -> None:
        """No row meets `condition`; offending rows are shown by key and the columns `shown`."""
        self.no_rows(name, severity, self._rows(condition, *shown))

    def _rows(self, condition: str, *shown: str) -> str:
        columns = ", ".join(f'"{column}"' for column in dict.fromkeys((*self.key, *self.shown, *shown)))
        return f"SELECT {columns} FROM checked WHERE {condition} ORDER BY ALL"

    def _add(self, name: str, severity: Severity, kind: type[Expectation], offenders: str | None, **arguments: Any) -> None:
        expectation = kind(severity=SEVERITIES[severity], meta={"check": name, "table": self.table}, **arguments)
        self.checks.append(Check(name, self.table, severity, expectation, offenders))


class Figures:
    """Checks of single figures (shares, ages, drift): each is a row of one small table, validated against its bounds.

    A figure that cannot be known yet (NULL: no earlier night, too few rows) passes and says so.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self.checks: list[Check] = []
        connection.execute(
            "CREATE OR REPLACE TABLE gate.figures (table_name VARCHAR, figure VARCHAR, value DOUBLE, low DOUBLE, high DOUBLE)"
        )

    def add(
        self,
        table: str,
        name: str,
        severity: Severity,
        value: float | None,
        low: float | None = None,
        high: float | None = None,
        offenders: str | None = None,
        note: str = "",
    ) -> None:
        """The figure `value` lies in [low, high]; `offenders` is a SELECT that shows what lies behind it, `note` says more of it."""
        self.connection.execute("INSERT INTO gate.figures VALUES (?, ?, ?, ?, ?)", [table, name, value, low, high])
        condition = f"table_name = {quoted(table)} AND figure = {quoted(name)} AND (NOT isfinite(value) OR value < low OR value > high)"
        expectation = ExpectNoOffendingRows(
            unexpected_rows_query=f"SELECT * FROM {{batch}} WHERE {condition}",
            severity=SEVERITIES[severity],
            meta={"check": name, "table": table},
        )
        bounds = " and ".join(f"{word} {bound:.6g}" for word, bound in (("at least", low), ("at most", high)) if bound is not None)
        observed = "not known yet" if value is None else f"{value:.6g} ({bounds})" + (f": {note}" if note else "")
        self.checks.append(Check(name, table, severity, expectation, offenders, observed))

    def suite(self) -> Suite:
        return Suite("figures", "SELECT * FROM gate.figures", tuple(self.checks))


def quoted(text: str) -> str:
    """A name from code or the contract as an SQL string, without the signs that mark placeholders on the way."""
    assert not set(text) & set("{}:"), text
    return literal(text)
