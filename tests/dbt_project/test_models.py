"""dbt's own unit tests of the models, a build of an empty shop, and that everything is described."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import yaml

from include.collect.contract import load_contract
from include.collect.warehouse import connect, prepare
from include.night import Night, parse_as_of
from include.predictions import mark_ended
from include.settings import load_settings
from include.transform import PROJECT, run_dbt
from ml.model_spec import known_models

pytestmark = pytest.mark.slow

# Feature files named as the output table that is made of them.
ALIASES = {"product_sentiment_features": "product_sentiment", "alert_history": "sentiment_alerts"}
MODELS = sorted(PROJECT.glob("models/**/*.sql"))


def schema_of(path: Path) -> str:
    return path.relative_to(PROJECT / "models").parts[0]


@pytest.fixture(scope="module")
def empty_shop(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A night of a shop without a row, built by dbt, whose unit tests ran after it."""
    night = Night.open(load_settings(home=tmp_path_factory.mktemp("home")), parse_as_of("2026-03-01"))
    con = connect(night.warehouse, memory_gb=1, threads=1, temporary=night.shop_home / "tmp")
    prepare(con, load_contract())
    con.close()
    night.features.mkdir(parents=True)
    (night.folder / "collected.json").write_text(json.dumps({"inputs_digest": ""}))
    for model in known_models():
        mark_ended(night, model, absent="there is nothing to learn from")
    before = set(PROJECT.rglob("*"))
    outcome = run_dbt(night, [["build", "--exclude-resource-type", "unit_test"], ["test", "--select", "test_type:unit"]])
    assert outcome.status == 0, outcome.output[-6000:]
    left_behind = {path for path in set(PROJECT.rglob("*")) - before if "__pycache__" not in path.parts}
    assert left_behind == set(), "dbt writes into the night's folder, never into the checkout"
    return night


@pytest.fixture(scope="module")
def warehouse(empty_shop: Night) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(empty_shop.warehouse), read_only=True) as con:
        yield con


def test_every_model_with_logic_has_a_unit_test(empty_shop: Night) -> None:
    results = json.loads((empty_shop.folder / "dbt" / "run_results.json").read_text())["results"]
    tested = {result["unique_id"].split(".")[2] for result in results}
    logic = [path for path in MODELS if schema_of(path) in ("behaviour", "features", "predictions")]
    with_logic = {path.stem for path in logic if not path.stem.startswith("stg_")}
    with_logic |= {path.stem for path in MODELS if "plain_" in path.read_text() and schema_of(path) == "staging"}
    others = {"stg_events", "stg_orders", "stg_payments", "stg_customers", "customer_profiles", "bought_together", "trending_products"}
    assert with_logic | others <= tested
    assert {result["status"] for result in results} == {"pass"}


def test_empty_shop_gives_empty_tables(empty_shop: Night, warehouse: duckdb.DuckDBPyConnection) -> None:
    """All output tables come out typed and empty where there is nothing, but for the release's own row."""
    names = [name for (name,) in warehouse.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'serving'").fetchall()]
    rows = {name: warehouse.execute(f"SELECT count(*) FROM serving.{name}").fetchall()[0][0] for name in names}
    assert rows == {
        "bought_together": 0,
        "customer_profiles": 0,
        "model_metrics": 0,
        "product_aspects": 0,
        "product_sentiment": 0,
        "quality_results": 0,
        "recommendations": 0,
        "recommendations_by_category": 0,
        "recommendations_default": 0,
        "release": 1,
        "review_sentiment": 0,
        "sentiment_alerts": 0,
        "similar_products": 0,
        "suspect_reviews": 0,
        "ticket_sentiment": 0,
        "trending_products": 0,
    }
    features = {
        path.stem: warehouse.execute("SELECT count(*) FROM read_parquet(?)", [str(path)]).fetchall()[0][0]
        for path in empty_shop.features.iterdir()
    }
    assert features.pop("splits") == 3
    assert set(features) == {
        "customers",
        "dismissed",
        "interactions",
        "labels",
        "owned",
        "product_sentiment",
        "products",
        "review_scores",
        "reviews",
        "rules",
        "segments",
        "sentiment_alerts",
        "sentiment_rules",
        "sequences",
        "taken_variants",
        "tickets",
    }
    assert set(features.values()) == {0}


def test_every_model_and_column_is_described(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Every column of a built table has a description, and every description a column."""
    problems = []
    for path in MODELS:
        (model,) = yaml.safe_load(path.with_suffix(".yml").read_text())["models"]
        assert model["name"] == path.stem, f"{path.stem}.yml describes another model"
        relation = ALIASES.get(path.stem, path.stem)
        built = {name for name, *_ in warehouse.execute(f"DESCRIBE {schema_of(path)}.{relation}").fetchall()}
        described = {column["name"] for column in model["columns"] if column.get("description")}
        problems += [f"{path.stem}: no description"] * (not model.get("description"))
        problems += [f"{path.stem}.{column}: described or there, not both" for column in built ^ described]
    assert not problems


def test_descriptions_are_in_the_output_tables(warehouse: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = 'serving' AND coalesce(comment, '') = ''"
    assert warehouse.execute(query).fetchall() == []


def test_personal_data_stays_out_of_features_and_output(warehouse: duckdb.DuckDBPyConnection) -> None:
    """No column of the contract's personal ones gets beyond staging; `text` is a product's or review's, or a ticket's, masked."""
    personal = {column.name for table in load_contract() for column in table.columns if column.personal} - {"text"}
    query = "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name IN ('behaviour', 'features', 'predictions', 'serving')"
    assert [row for row in warehouse.execute(query).fetchall() if row[1] in personal] == []


def test_engine_functions_stay_in_macros() -> None:
    """What only DuckDB spells so is in macros/, that a second engine can be added without touching models."""
    only_duckdb = re.compile(
        r"\b(epoch|list|list_sort|struct_pack|read_parquet|to_days|to_minutes|sha256|hash|quantile_cont|median|string_agg)\(|::"
    )
    assert {(path.stem, name) for path in MODELS for name in only_duckdb.findall(path.read_text())} == set()
