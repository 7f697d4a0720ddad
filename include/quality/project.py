"""The Great Expectations side of a gate: one project, one checkpoint, one build of the Data Docs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
import great_expectations as gx
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.data_context import AbstractDataContext
from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults, ProgressBarsConfig

from include.night import Night
from include.quality.checks import Suite
from include.quality.duckdb_source import DuckDBDatasource

SITE = "quality"
# Counts, no values: the pages put a shop's values into HTML as they are. Offending rows are in the log and beside the results.
RESULT_FORMAT = {"result_format": "SUMMARY", "partial_unexpected_count": 0}
Results = dict[tuple[str, str, str], dict[str, Any]]


def validate(night: Night, gate: str, suites: list[Suite], connection: duckdb.DuckDBPyConnection, docs: Path) -> Results:
    """Validate all suites through `connection` and build their pages under `docs`.

    Returns, by (suite, table, check): success, observed (a text) and error (what kept the check from running, or None).
    """
    store = night.shop_home / "quality" / "validations"
    context = _open(store, docs)
    source = context.data_sources.add_duckdb(name="nightshelf")
    assert isinstance(source, DuckDBDatasource)
    source.read_through(connection)
    definitions = []
    for suite in suites:
        name = f"{gate}.{suite.name}"
        rows = source.add_query_asset(name=name, query=suite.query).add_batch_definition_whole_table(gate)
        kept = context.suites.add(gx.ExpectationSuite(name=name, expectations=[check.expectation for check in suite.checks]))
        definitions.append(context.validation_definitions.add(gx.ValidationDefinition(name=name, data=rows, suite=kept)))
    checkpoint = context.checkpoints.add(gx.Checkpoint(name=gate, validation_definitions=definitions, result_format=RESULT_FORMAT))
    run = checkpoint.run(run_id=RunIdentifier(run_name=night.key, run_time=night.as_of))
    source.let_go()

    # The docs action would rebuild the whole index once for every suite; this builds the same pages once.
    _forget_old_runs(store, docs, night)
    context.build_data_docs(site_names=[SITE], resource_identifiers=list(run.run_results))

    found: Results = {}
    for result in run.run_results.values():
        for one in result.results:
            assert one.expectation_config is not None and one.expectation_config.meta is not None
            meta = one.expectation_config.meta
            found[result.suite_name.split(".", 1)[1], meta["table"], meta["check"]] = _read(one)
    return found


def _open(store: Path, docs: Path) -> AbstractDataContext:
    """Suites are code, so only validation results are kept on disk: the index of the docs is made from them."""
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
        data_docs_sites={
            SITE: {
                "class_name": "SiteBuilder",
                "show_how_to_buttons": False,
                "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs)},
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            }
        },
    )
    config.stores["validation_results_store"]["store_backend"] = {
        "class_name": "TupleFilesystemStoreBackend",
        "base_directory": str(store),
    }
    return gx.get_context(project_config=config, mode="ephemeral")


def _forget_old_runs(store: Path, docs: Path, night: Night) -> None:
    """Keep the results and pages of as many nights as releases are kept, and of this one."""
    runs = [path for path in store.glob("*/*/*") if path.is_dir()]
    names = sorted({path.name for path in runs}, reverse=True)
    kept = {*names[: night.settings.keep_releases], night.key}
    for run in runs:
        if run.name not in kept:
            shutil.rmtree(docs / "validations" / run.relative_to(store), ignore_errors=True)
            shutil.rmtree(run)


def _read(one: Any) -> dict[str, Any]:
    """One validation result in plain words."""
    info = one.exception_info or {}
    errors = [info] if "raised_exception" in info else list(info.values())
    error = next((e["exception_message"] for e in errors if e.get("raised_exception")), None)
    result = one.result
    if "unexpected_count" in result:
        observed = f"{result['unexpected_count'] or 0} of {result['element_count']} rows"
    else:
        observed = f"{result.get('observed_value')} rows"
    return {"success": bool(one.success), "observed": observed, "error": error}
