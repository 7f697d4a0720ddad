"""Whole dbt stages on a tiny demo shop: as of the night, the same twice, the same a day at a time, and failures explained."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest

from include.collect import collect
from include.night import Night, parse_as_of
from include.predictions import mark_ended
from include.release_id import code_version, lineage_told, release_id
from include.settings import load_settings
from include.sources import land
from include.transform import TransformFailed, build, run_dbt
from ml.model_spec import known_models
from tests.conftest import TINY_SHOP

pytestmark = pytest.mark.slow

Rows = dict[str, list[tuple]]

BEHAVIOUR = (
    "sessions",
    "product_days",
    "product_events",
    "session_funnel",
    "category_funnel",
    "customer_rfm",
    "customer_interests",
    "product_activity",
)
LATE_EVENT = "event_id,event_type,occurred_at,customer_id,product_id\nlate,view,2026-01-31 03:04:05,somebody late,P000001\n"

# What models and gates leave for the serving stage, as SELECTs.
PREDICTIONS = {
    "recommendations": """SELECT 'c1' AS customer_id, 1 AS rank, 'p1' AS product_id, 0.5 AS score, 'knn' AS strategy, 'why' AS reason,
        NULL AS because_product_id, 1.0 AS propensity""",
    "review_sentiment": """SELECT review_id, product_id, 'positive' AS sentiment, 0.9 AS score, 0.0 AS p_negative, 0.1 AS p_neutral,
        0.9 AS p_positive, 'v1' AS model_version, text_hash FROM '{features}/reviews.parquet'""",
    "metrics_a": """SELECT 'a' AS model, 'champion' AS role, 'ndcg' AS metric, 0.1 AS value, NULL AS baseline, NULL AS baseline_value,
        'test' AS split, TIMESTAMP '2026-03-01' AS evaluated_at""",
    "metrics_b": """SELECT 'b' AS model, 'champion' AS role, 'f1' AS metric, 0.2 AS value, 'linear' AS baseline, 0.1 AS baseline_value,
        'test' AS split, TIMESTAMP '2026-03-01' AS evaluated_at""",
}
GATE = "SELECT '{gate}' AS suite, 't' AS table_name, 'e' AS expectation, true AS success, '1' AS observed, 'warning' AS severity"


@dataclass
class Built:
    """What a build left: the snapshot, the behaviour tables and the step's own notes."""

    night: Night
    features: Rows
    behaviour: Rows
    notes: dict[str, Any] = field(default_factory=dict)


def open_collected(home: Path, as_of: str, **settings: Any) -> Night:
    night = Night.open(load_settings(**(TINY_SHOP | {"home": home} | settings)), parse_as_of(as_of))
    land(night)
    collect(night)
    return night


def built(night: Night) -> Built:
    """Build the features stage and read back every row: of the snapshot in the order it lies there."""
    build(night, "features")
    files = sorted(night.features.glob("*.parquet"))
    snapshot = {path.stem: duckdb.execute("SELECT * FROM read_parquet(?)", [str(path)]).fetchall() for path in files}
    with duckdb.connect(str(night.warehouse), read_only=True) as con:
        tables = {name: con.execute(f"SELECT * FROM behaviour.{name} ORDER BY ALL").fetchall() for name in BEHAVIOUR}
    return Built(night, snapshot, tables, night.steps()[-1]["notes"])


def write_predictions(night: Night) -> None:
    quality = night.folder / "quality"
    for folder in (night.predictions, quality):
        folder.mkdir(parents=True)
    for name, query in PREDICTIONS.items():
        duckdb.execute(f"COPY ({query.format(features=night.features)}) TO '{night.predictions}/{name}.parquet'")
    for model in known_models():
        mark_ended(night, model, absent="there is none" if model == "aspects" else None)
    for gate in ("raw", "features", "serving"):
        duckdb.execute(f"COPY ({GATE.format(gate=gate)}) TO '{quality}/{gate}.parquet'")


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One shop: a first night, the next, the next built anew, the first again to its end, and one with an event told late."""
    home = tmp_path_factory.mktemp("home")
    found: dict[str, Any] = {"first": built(open_collected(home, "2026-03-01"))}
    second = open_collected(home, "2026-03-02")
    found["second"] = built(second)
    found["parsed"] = json.loads((second.shop_home / "dbt" / "perf_info.json").read_text())
    (second.shop_home / "transformed.json").unlink()
    found["second_anew"] = built(second)

    first = Night.open(found["first"].night.settings, found["first"].night.as_of)
    found["first_again"] = built(first)
    write_predictions(first)
    build(first, "sentiment")
    build(first, "serving")
    with duckdb.connect(str(first.warehouse), read_only=True) as con:
        names = con.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'serving'").fetchall()
        found["serving"] = {name: con.execute(f"SELECT * FROM serving.{name}").fetchall() for (name,) in names}
        found["types"] = dict(
            con.execute("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'customer_profiles'").fetchall()
        )

    (first.landing / "events" / "late.csv").write_text(LATE_EVENT)
    found["late"] = built(open_collected(home, "2026-03-03"))
    return found


def test_one_more_day_comes_out_as_if_all_were_built_anew(nights: dict[str, Any]) -> None:
    assert nights["second"].notes["full_refresh"] is False
    assert nights["second_anew"].notes["full_refresh"] is True
    assert nights["second"].behaviour == nights["second_anew"].behaviour
    assert nights["second"].features == nights["second_anew"].features
    assert nights["second"].features["interactions"] != nights["first"].features["interactions"]


def test_dbt_does_not_parse_the_project_again_for_another_night(nights: dict[str, Any]) -> None:
    assert nights["parsed"]["path_count"] > 0
    assert nights["parsed"]["parsed_path_count"] == 0


def test_a_past_night_knows_nothing_of_later_rows(nights: dict[str, Any]) -> None:
    """The first night, run again with a day more in the warehouse, gives the same tables row for row."""
    assert nights["first_again"].notes["full_refresh"] is True
    assert nights["first_again"].features == nights["first"].features
    assert nights["first_again"].behaviour == nights["first"].behaviour


def test_an_event_told_late_is_built_in(nights: dict[str, Any]) -> None:
    """It is older than the look-back, so the incremental models are built anew."""
    assert nights["late"].notes["full_refresh"] is True
    assert [row[0] for row in nights["late"].behaviour["sessions"] if row[0] == "somebody late"] == ["somebody late"]


def test_snapshot_keeps_its_promises(nights: dict[str, Any]) -> None:
    snapshot = nights["first"].features
    assert {name for name, rows in snapshot.items() if not rows} == {"taken_variants"}, "the demo shop has no variants"
    with duckdb.connect() as con:
        for path in nights["first"].night.features.glob("*.parquet"):
            con.execute(f"CREATE VIEW {path.stem} AS SELECT * FROM read_parquet('{path}')")

        def count(query: str) -> int:
            return int(con.execute(f"SELECT count(*) FROM {query}").fetchall()[0][0])

        assert count("interactions WHERE occurred_at >= TIMESTAMP '2026-03-01'") == 0
        assert count("customers WHERE NOT consent") > 0
        assert count("interactions JOIN customers USING (customer_id) WHERE NOT consent") == 0
        assert count("interactions ANTI JOIN products USING (product_id)") == 0
        assert count("interactions AS i JOIN splits AS s USING (split) WHERE i.occurred_at NOT BETWEEN starts_at AND ends_at") == 0
        assert count("labels JOIN splits USING (split) WHERE first_at NOT BETWEEN starts_at AND ends_at") == 0
        assert count("owned JOIN products USING (product_id) WHERE is_repeatable") == 0
        assert count("(SELECT unnest(product_ids) FROM sequences)") == count("interactions")
        for name, key in {
            "interactions": "customer_id, occurred_at, product_id, event_type",
            "labels": "split, customer_id, product_id",
            "sequences": "customer_id",
        }.items():
            assert snapshot[name] == con.execute(f"SELECT * FROM {name} ORDER BY {key}").fetchall()


def test_serving_tables_hold_the_predictions_of_the_night(nights: dict[str, Any]) -> None:
    night, rows = nights["first"].night, nights["serving"]
    name = release_id(night)
    assert re.fullmatch(r"20260301T000000-[0-9a-f]{8}", name)
    assert rows["recommendations"] == [("c1", 1, "p1", 0.5, "knn", "why", None, name, 1.0)]
    assert [row[0] for row in rows["model_metrics"]] == ["a", "b"]
    assert [row[0] for row in rows["quality_results"]] == ["features", "raw"], "what an earlier try's serving gate left is not taken"
    assert len(rows["review_sentiment"]) == len(nights["first"].features["reviews"])
    assert all(abs(row[2] - 0.9) < 1e-9 and row[5] is False for row in rows["product_sentiment"])
    assert len(rows["product_sentiment"]) > 0
    assert rows["similar_products"] == []
    assert (nights["types"]["monetary"], nights["types"]["last_seen_at"]) == ("DECIMAL(18,2)", "TIMESTAMP")


def test_release_row_and_documentation(nights: dict[str, Any]) -> None:
    night = nights["first"].night
    ((released, as_of, _, source, version, input_rows, quarantined, status, shop, lineage, absent),) = nights["serving"]["release"]
    assert (released, str(as_of), source, version) == (release_id(night), "2026-03-01 00:00:00", "demo", code_version())
    assert (status, shop, lineage, absent) == ("built", "demo", lineage_told(night), "aspects: there is none")
    collected = json.loads((night.folder / "collected.json").read_text())
    assert 0 < input_rows <= collected["rows_loaded"]
    assert quarantined == collected["rows_quarantined"]
    assert "customer_profiles" in (night.home / "docs" / "demo" / "index.html").read_text()


def test_failure_names_the_model_or_the_test(tmp_path: Path) -> None:
    night = open_collected(tmp_path, "2026-03-01", demo_customers=10, demo_products=5, demo_days=3)
    with duckdb.connect(str(night.warehouse)) as con:
        con.execute("ALTER TABLE raw.reviews RENAME TO hidden")
    with pytest.raises(TransformFailed, match=r"model\.nightshelf\.stg_reviews.*reviews does not exist"):
        build(night, "features")
    assert night.steps()[-1]["status"] == "failed"
    assert not (night.shop_home / "transformed.json").exists()
    with duckdb.connect(str(night.warehouse)) as con:
        con.execute("ALTER TABLE raw.hidden RENAME TO reviews")
        con.execute("INSERT INTO raw.products BY NAME SELECT * FROM raw.products LIMIT 1")
    with pytest.raises(TransformFailed, match=r"Rows break a promise.*unique_stg_products_product_id.*Got 1 result"):
        build(night, "features")


def test_a_dbt_that_cannot_start_says_why(tmp_path: Path) -> None:
    night = open_collected(tmp_path, "2026-03-01", demo_customers=10, demo_products=5, demo_days=3)
    outcome = run_dbt(night, [["build", "--selector", "no_such_stage"]])
    assert outcome.status == 2
    assert "no_such_stage" in outcome.output
