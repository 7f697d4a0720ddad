"""The checks of one table of the release: what it declares of itself; `tables/<table>.py` adds to them."""

from __future__ import annotations

import duckdb

from include.night import Night
from include.quality.checks import TableChecks
from include.sql import literal
from include.tables import ServedTable
from ml.model_spec import known_models


class ServedChecks(TableChecks):
    """Begins with what the table declares (see `include.tables`).

    Attributes:
        night: whose gate this is.
        connection: sees the tables of the night as `gate.<table>`, its feature files as `gate.known_<file>`.
        is_written: False where the table is made of predictions of a model that the shop cannot have.
    """

    def __init__(self, table: ServedTable, night: Night, connection: duckdb.DuckDBPyConnection) -> None:
        super().__init__(table.name, f"SELECT * FROM gate.{table.name}", table.key, shown=table.shown)
        self.night, self.connection = night, connection
        files = known_models()[table.writer].writes if table.writer else ()
        self.is_written = table.writer is None or any((night.predictions / f"{file}.parquet").is_file() for file in files)
        self._add_declared(table)

    def _add_declared(self, table: ServedTable) -> None:
        self.unique_key()
        if self.is_written and table.if_empty != "fine":
            self.has_rows(table.if_empty)
        for column in dict.fromkeys((*table.key, *table.not_null)):
            self.not_null(column)
        for column, values in table.allowed.items():
            self.in_set(column, values)
        for column, (low, high) in table.between.items():
            self.between(column, low, high)
        for column, file in table.references.items():
            known = f"SELECT {file.removesuffix('s')}_id FROM gate.known_{file}"
            self.none_where(f"{column}_known", "stop", f"{column} NOT IN ({known})", column)
        for row in table.rows:
            never = row.never.replace("$as_of", f"TIMESTAMP {literal(self.night.as_of_sql)}")
            self.none_where(row.name, row.severity, never, *row.shown)
