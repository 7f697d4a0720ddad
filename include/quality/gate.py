"""A gate: runs the suites of one stage, writes down what they found, and refuses the night where a check says stop."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from include.collect import warehouse
from include.errors import GateRefused
from include.masking import mask_emails, shown_value
from include.night import Night, write_atomically
from include.quality import project
from include.quality.checks import Check, Suite

log = logging.getLogger(__name__)

Gate = Literal["raw", "features", "serving"]
SHOWN_ROWS = 5
RESULTS = pa.schema(
    [
        ("suite", pa.string()),
        ("table_name", pa.string()),
        ("expectation", pa.string()),
        ("success", pa.bool_()),
        ("observed", pa.string()),
        ("severity", pa.string()),
    ]
)


@dataclass(frozen=True)
class Finding:
    """What one check found; `ran` is False where it could not be run, which counts as failed."""

    check: Check
    success: bool
    observed: str
    ran: bool = True


def check(night: Night, gate: Gate) -> None:
    """Run a gate's suites as the step check_<gate>.

    Writes nights/<night>/quality/<gate>.parquet (suite, table_name, expectation, success, observed, severity), one row a
    check; <gate>_offenders.json beside it (a list of table_name, expectation, severity, rows: up to five offending rows of
    every failed check, which are logged too); and the gate's pages of the shop's Data Docs.

    Raises:
        GateRefused: a check of severity 'stop' failed; the results are on disk by then.
    """
    with night.step(f"check_{gate}") as notes:
        with _catalogue(night, gate) as connection:
            suites = import_module(f"include.quality.{gate}").suites(connection, night)
            findings = _run(night, gate, suites, connection)
            failed = [finding for finding in findings if not finding.success]
            told = [_tell(connection, gate, finding, suites) for finding in failed]
        _write(night, gate, findings)
        write_atomically(night.folder / "quality" / f"{gate}_offenders.json", json.dumps(told, indent=1))
        refused = [finding for finding in failed if finding.check.severity == "stop"]
        notes |= {"checks": len(findings), "warnings": len(failed) - len(refused), "refusals": len(refused)}
        if refused:
            raise GateRefused(
                f"The {gate} gate refused: "
                + "; ".join(f"{finding.check.table}.{finding.check.name}: {finding.observed}" for finding in refused),
                f"See the rows above in the log and {docs_folder(night) / 'index.html'}, mend the cause and run the night again;"
                " until then the last release stays.",
            )


def docs_folder(night: Night) -> Path:
    """Where the shop's Data Docs lie; index.html is the way in."""
    return night.home / "docs" / night.shop / "quality"


@contextmanager
def _catalogue(night: Night, gate: Gate) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with an empty in-memory catalogue `gate` for views over all that is checked."""
    place = warehouse.MEMORY if gate == "features" else night.warehouse
    settings = night.settings
    connection = warehouse.connect(
        place, memory_gb=settings.warehouse_memory_gb, threads=settings.threads, temporary=night.shop_home / "tmp"
    )
    try:
        connection.execute("ATTACH ':memory:' AS gate")
        yield connection
    finally:
        connection.close()


def _run(night: Night, gate: Gate, suites: list[Suite], connection: duckdb.DuckDBPyConnection) -> list[Finding]:
    results = project.validate(night, gate, suites, connection, docs_folder(night))
    return [_finding(check, results[suite.name, check.table, check.name]) for suite in suites for check in suite.checks]


def _finding(check: Check, result: dict[str, Any]) -> Finding:
    if result["error"]:
        return Finding(check, False, mask_emails(f"could not be run: {result['error']}")[:300], ran=False)
    if check.observed is not None:
        return Finding(check, result["success"], check.observed)
    return Finding(check, result["success"], result["observed"])


def _tell(connection: duckdb.DuckDBPyConnection, gate: Gate, finding: Finding, suites: list[Suite]) -> dict[str, Any]:
    """Log a failed check with its first offending rows, in which no e-mail address is shown; returns both for the report."""
    check = finding.check
    level = logging.ERROR if check.severity == "stop" else logging.WARNING
    log.log(level, "%s gate, %s: %s.%s: %s", gate, check.severity, check.table, check.name, finding.observed)
    told: dict[str, Any] = {"table_name": check.table, "expectation": check.name, "severity": check.severity, "rows": []}
    if check.offenders is not None and finding.ran:
        query = next(suite.query for suite in suites if check in suite.checks)
        cursor = connection.execute(f"WITH checked AS ({query}) SELECT * FROM ({check.offenders}) LIMIT {SHOWN_ROWS}")
        names = [column[0] for column in cursor.description]
        told["rows"] = [
            {name: None if value is None else shown_value(str(value))[:80] for name, value in zip(names, row, strict=True)}
            for row in cursor.fetchall()
        ]
    for row in told["rows"]:
        log.log(level, "  %s", ", ".join(f"{name}={value!r}" for name, value in row.items()))
    return told


def _write(night: Night, gate: Gate, findings: list[Finding]) -> None:
    rows = [
        {
            "suite": gate,
            "table_name": finding.check.table,
            "expectation": finding.check.name,
            "success": finding.success,
            "observed": finding.observed,
            "severity": finding.check.severity,
        }
        for finding in findings
    ]
    folder = night.folder / "quality"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{gate}.parquet.new"
    pq.write_table(pa.Table.from_pylist(rows, schema=RESULTS), temporary)
    temporary.replace(folder / f"{gate}.parquet")
