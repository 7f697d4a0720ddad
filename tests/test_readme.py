"""What the README promises is there: its SQL runs on a real release, and every name in it exists."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from include.night import Night, parse_as_of
from include.settings import Settings, load_settings
from include.sources import known_sources, land
from include.tables import served_tables
from tests.conftest import CHECKOUT
from tests.whole_night import STEPS

pytestmark = pytest.mark.slow

README = (CHECKOUT / "README.md").read_text()
EXAMPLES = re.findall(r"```sql\n(.*?)```", README, re.DOTALL)

# The output tables others build on, with their columns in order: more may be added at the end, none changed.
OUTPUT_TABLES = {
    "recommendations": """
        customer_id VARCHAR, rank INTEGER, product_id VARCHAR, score DOUBLE, strategy VARCHAR, reason VARCHAR,
        because_product_id VARCHAR, release_id VARCHAR""",
    "recommendations_default": "segment VARCHAR, rank INTEGER, product_id VARCHAR, score DOUBLE, release_id VARCHAR",
    "recommendations_by_category": """
        customer_id VARCHAR, category VARCHAR, rank INTEGER, product_id VARCHAR, score DOUBLE, release_id VARCHAR""",
    "similar_products": """
        product_id VARCHAR, rank INTEGER, similar_product_id VARCHAR, score DOUBLE, strategy VARCHAR, release_id VARCHAR""",
    "bought_together": """
        product_id VARCHAR, rank INTEGER, bought_product_id VARCHAR, score DOUBLE, lift DOUBLE, orders BIGINT, release_id VARCHAR""",
    "trending_products": """
        category VARCHAR, rank INTEGER, product_id VARCHAR, score DOUBLE, recent_customers BIGINT, usual_customers DOUBLE,
        release_id VARCHAR""",
    "review_sentiment": """
        review_id VARCHAR, product_id VARCHAR, sentiment VARCHAR, score DOUBLE, p_negative DOUBLE, p_neutral DOUBLE, p_positive DOUBLE,
        model_version VARCHAR, release_id VARCHAR""",
    "ticket_sentiment": """
        ticket_id VARCHAR, product_id VARCHAR, sentiment VARCHAR, score DOUBLE, p_negative DOUBLE, p_neutral DOUBLE, p_positive DOUBLE,
        model_version VARCHAR, release_id VARCHAR""",
    "product_sentiment": """
        product_id VARCHAR, reviews BIGINT, mean_score DOUBLE, recent_score DOUBLE, trend DOUBLE, alert BOOLEAN, release_id VARCHAR""",
    "sentiment_alerts": """
        product_id VARCHAR, raised_at TIMESTAMP, score_before DOUBLE, score_then DOUBLE, unhappy_then BIGINT, reviews_then BIGINT,
        p_value DOUBLE, q_value DOUBLE, cleared_at TIMESTAMP, cleared_because VARCHAR, release_id VARCHAR""",
    "suspect_reviews": """
        review_id VARCHAR, reason VARCHAR, product_id VARCHAR, customer_id VARCHAR, reviewed_at TIMESTAMP, reviews BIGINT,
        like_review_id VARCHAR, weight DOUBLE, release_id VARCHAR""",
    "product_aspects": """
        product_id VARCHAR, aspect VARCHAR, mentions BIGINT, score DOUBLE, positive BIGINT, negative BIGINT, example VARCHAR,
        example_review_id VARCHAR, release_id VARCHAR""",
    "customer_profiles": """
        customer_id VARCHAR, segment VARCHAR, recency_days DOUBLE, frequency BIGINT, monetary DECIMAL(18,2), top_category VARCHAR,
        interests VARCHAR, last_seen_at TIMESTAMP, churn_probability DOUBLE, next_purchase_days DOUBLE, release_id VARCHAR""",
    "model_metrics": """
        model VARCHAR, role VARCHAR, metric VARCHAR, value DOUBLE, baseline VARCHAR, baseline_value DOUBLE, split VARCHAR,
        evaluated_at TIMESTAMP, release_id VARCHAR""",
    "quality_results": """
        suite VARCHAR, table_name VARCHAR, expectation VARCHAR, success BOOLEAN, observed VARCHAR, severity VARCHAR, release_id VARCHAR""",
    "release": """
        release_id VARCHAR, as_of TIMESTAMP, created_at TIMESTAMP, source VARCHAR, code_version VARCHAR, input_rows BIGINT,
        quarantined_rows BIGINT, status VARCHAR""",
}
# Of these a good night may find none: trends, alerts, failed checks, what belongs to one certain product in a tiny shop.
MAY_BE_EMPTY = (
    "bought_together",
    "product_aspects",
    "trending_products",
    "product_sentiment",
    "quality_results",
    "review_sentiment",
    "sentiment_alerts",
    "suspect_reviews",
    "ticket_sentiment",
)


def table_of(example: str) -> str:
    (table,) = re.findall(r"FROM (\w+)", example)
    return str(table)


@pytest.mark.parametrize("example", EXAMPLES, ids=table_of)
def test_an_sql_example_runs_on_a_real_release(example: str, published_night: Night) -> None:
    with duckdb.connect(str(published_night.serving), read_only=True) as release:
        rows = release.execute(example).fetchall()
    assert rows or table_of(example) in MAY_BE_EMPTY


def test_every_output_table_has_its_example() -> None:
    assert served_tables().keys() == OUTPUT_TABLES.keys()
    assert [table_of(example) for example in EXAMPLES] == re.findall(r"^\*\*`(\w+)`\*\*:", README, re.MULTILINE) == list(OUTPUT_TABLES)


@pytest.mark.parametrize("table", OUTPUT_TABLES)
def test_an_output_table_keeps_its_columns(table: str, published_night: Night) -> None:
    with duckdb.connect(str(published_night.serving), read_only=True) as release:
        columns = release.execute(
            "SELECT column_name, data_type, comment FROM duckdb_columns() WHERE schema_name = 'main' AND table_name = $table"
            " ORDER BY column_index",
            {"table": table},
        ).fetchall()
    promised = [tuple(column.split()) for column in re.split(r",\s", OUTPUT_TABLES[table])]
    assert [(name, kind) for name, kind, _ in columns[: len(promised)]] == promised
    assert all(comment for _, _, comment in columns), "every column is described in the file itself"


def test_the_ids_of_the_examples_are_in_the_demo_shop(home: Path) -> None:
    ids = set(re.findall(r"_id = '(\w+)'", "".join(EXAMPLES)))
    night = Night.open(load_settings(home=home), parse_as_of("2026-03-01"))
    land(night)
    query = "SELECT customer_id FROM read_parquet($customers) UNION ALL SELECT product_id FROM read_parquet($products)"
    folders = {table: f"{night.landing}/{table}/*" for table in ("customers", "products")}
    known = {name for (name,) in duckdb.execute(query, folders).fetchall()}
    assert len(ids) == 2 and ids <= known


def test_every_make_target_named_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert {"nightly", "ui", "check-source", "rollback", "test", "check", "bench"} <= named <= targets


def test_every_setting_named_is_there() -> None:
    named = set(re.findall(r"\bNIGHTSHELF_([A-Z_]+)\b", README)) | {"DEMO_PRODUCTS", "DEMO_DAYS"}
    assert "`_PRODUCTS`, `_DAYS`" in README, "they are named by their last word"
    assert {name.lower() for name in named} <= Settings.model_fields.keys()


def test_the_sources_named_are_those_there_are() -> None:
    table = README[README.index("| `SOURCE=` |") :].split("\n\n")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == sorted(known_sources())


def test_the_tasks_named_are_the_steps_of_a_night() -> None:
    table = README[README.index("| task |") :].split("\n\n")[0]
    assert re.findall(r"`(\w+)`", "".join(re.findall(r"^\|([^|]+)\|", table, re.MULTILINE))) == ["open_night", *STEPS]


def test_every_file_linked_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert [link for link in links if not (CHECKOUT / link).exists()] == []
