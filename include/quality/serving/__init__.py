"""The serving gate: what the shop's customers are about to see, and how far it moved since yesterday.

Every table is held to what it declares of itself (see `include.tables`), and to `tables/<table>.py` where it has such a file.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

import duckdb

from include.errors import GateRefused
from include.night import Night
from include.quality.checks import Figures, Suite, TableChecks
from include.quality.features import open_features
from include.quality.serving import figures as gate_figures
from include.quality.serving import tables as by_hand
from include.quality.serving.lists import open_lists
from include.quality.serving.served import ServedChecks
from include.sql import literal
from include.tables import ServedTable, served_tables

# feature files that checks written by hand read
KNOWN = ("customers", "products", "owned", "dismissed", "rules", "reviews", "tickets")


def suites(connection: duckdb.DuckDBPyConnection, night: Night) -> list[Suite]:
    """One suite a serving table, those of whole lists, and one of figures.

    A table of predictions may be empty only where the model wrote none, because the shop cannot have it.

    Raises:
        GateRefused: a serving table or feature file is missing.
    """
    _open_tables(connection, night)
    open_lists(connection, night)
    figures = Figures(connection)
    gate_figures.check_release_ids(connection, figures)
    gate_figures.check_coverage(connection, figures, night)
    gate_figures.check_since_yesterday(connection, figures, night)
    checks = [found for table in served_tables().values() for found in _checks_of(table, night, connection)]
    return [*(found.suite() for found in checks), figures.suite()]


def _checks_of(table: ServedTable, night: Night, connection: duckdb.DuckDBPyConnection) -> list[TableChecks]:
    """What the table declares, then what is written by hand for it."""
    checks = ServedChecks(table, night, connection)
    if table.name not in {module.name for module in pkgutil.iter_modules(by_hand.__path__)}:
        return [checks]
    module = import_module(f"{by_hand.__name__}.{table.name}")
    module.check(checks)
    return [checks, *(module.more(checks) if hasattr(module, "more") else [])]


def _open_tables(connection: duckdb.DuckDBPyConnection, night: Night) -> None:
    found = connection.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_catalog = 'warehouse' AND table_schema = 'serving'"
    ).fetchall()
    missing = sorted(served_tables().keys() - {name for (name,) in found})
    if missing:
        raise GateRefused(f"The warehouse has no serving table {', '.join(missing)}", "Run the serve step of this night again.")
    for name in served_tables():
        connection.execute(f"CREATE OR REPLACE VIEW gate.{name} AS SELECT * FROM warehouse.serving.{name}")
    referenced = {file for table in served_tables().values() for file in table.references.values()}
    open_features(connection, night, tuple(sorted({*KNOWN, *referenced})), prefix="known_")
    if (night.features / "sentiment_rules.parquet").is_file():
        files = ", ".join(literal(night.features / f"{name}.parquet") for name in ("rules", "sentiment_rules"))
        connection.execute(f"CREATE OR REPLACE VIEW gate.known_rules AS SELECT * FROM read_parquet([{files}])")
