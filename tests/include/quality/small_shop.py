"""A small shop that is in order, made by hand in SQL at each of the three gates."""

from __future__ import annotations

import duckdb

from include.collect import warehouse
from include.collect.contract import load_contract
from include.night import Night
from include.quality import Gate

AS_OF = "2026-03-01"
NOW = f"TIMESTAMP '{AS_OF}'"
CUSTOMERS, PRODUCTS, LIST_LENGTH = 30, 20, 5

# (table, columns, SELECT of their values); every row comes from file 1 unless a test says otherwise.
RAW = {
    "customers": (
        "customer_id, name, email, registered_at",
        f"'c' || i, 'Name ' || i, i || '@example.org', {NOW} - INTERVAL 90 DAY FROM range(30) t(i)",
    ),
    "products": ("product_id, title, price, created_at", f"'p' || i, 'Product ' || i, 1 + i, {NOW} - INTERVAL 90 DAY FROM range(20) t(i)"),
    "orders": (
        "order_id, customer_id, ordered_at, status, total",
        f"'o' || i, 'c' || i % 30, {NOW} - (1 + i % 60) * INTERVAL 1 DAY, 'paid', 10 FROM range(300) t(i)",
    ),
    "order_items": ("order_id, line_number, product_id, quantity", "'o' || i, 1, 'p' || i % 20, 1 FROM range(300) t(i)"),
    "reviews": (
        "review_id, product_id, customer_id, rating, text, reviewed_at",
        f"'r' || i, 'p' || i % 20, 'c' || i % 30, 1 + i % 5, 'Text ' || i, {NOW} - (1 + i % 60) * INTERVAL 1 DAY FROM range(300) t(i)",
    ),
}

FEATURES = {
    "splits": f"""
        SELECT * FROM (VALUES ('train', TIMESTAMP '2025-12-01', {NOW} - INTERVAL 14 DAY),
            ('validation', {NOW} - INTERVAL 14 DAY, {NOW} - INTERVAL 7 DAY),
            ('test', {NOW} - INTERVAL 7 DAY, {NOW})) t(split, starts_at, ends_at)""",
    "interactions": f"""
        SELECT 'c' || i % 30 AS customer_id, 'p' || i % 20 AS product_id, 'purchase' AS event_type,
            {NOW} - (1 + i % 60) * INTERVAL 1 DAY AS occurred_at, 5.0::DOUBLE AS event_weight, 5.0::DOUBLE AS weight, true AS is_target,
            CASE WHEN i % 60 < 7 THEN 'test' WHEN i % 60 < 14 THEN 'validation' ELSE 'train' END AS split
        FROM range(300) t(i)""",
    "labels": f"""
        SELECT 'c' || c AS customer_id, 'p' || p AS product_id, split, first_at
        FROM range(30) t(c), range(4) u(p),
            (VALUES ('validation', {NOW} - INTERVAL 10 DAY), ('test', {NOW} - INTERVAL 3 DAY)) v(split, first_at)""",
    "owned": f"SELECT 'c' || c AS customer_id, 'p' || (18 + c % 2) AS product_id, {NOW} - INTERVAL 2 DAY AS first_at FROM range(30) t(c)",
    "products": f"""
        SELECT 'p' || i AS product_id, 'Product ' || i AS title, 'Tea' AS category, 'Product ' || i AS text, i <> 17 AS is_available,
            false AS is_repeatable, {NOW} - INTERVAL 90 DAY AS created_at, 'p' || i AS shown_product_id FROM range(20) t(i)""",
    "customers": """
        SELECT 'c' || i AS customer_id, 'occasional' AS segment, true AS consent, 10::BIGINT AS interactions, 18 AS reached_age
        FROM range(30) t(i)""",
    "dismissed": f"SELECT 'c0' AS customer_id, 'p18' AS product_id, {NOW} - INTERVAL 2 DAY AS dismissed_at",
    "rules": "SELECT 'm' AS rule_id, 'minimum_age' AS kind, 'p17' AS product_id, NULL::VARCHAR AS segment, 18 AS value WHERE false",
    "sequences": f"""
        SELECT 'c' || i AS customer_id, ['p1', 'p2'] AS product_ids, ['view', 'cart'] AS event_types,
            [{NOW} - INTERVAL 2 DAY, {NOW} - INTERVAL 1 DAY] AS occurred_ats, ['test', 'test'] AS splits FROM range(30) t(i)""",
    "tickets": f"""
        SELECT 't' || i AS ticket_id, 'p' || i AS product_id, 'Where is it?' AS text, {NOW} - (20 - i) * INTERVAL 1 HOUR AS opened_at
        FROM range(20) t(i)""",
    "reviews": f"""
        SELECT 'r' || i AS review_id, 'p' || i % 20 AS product_id, 'c' || i % 30 AS customer_id, 'Text' AS text, 1 + i % 5 AS rating,
            CASE WHEN 1 + i % 5 <= 2 THEN 'negative' WHEN 1 + i % 5 = 3 THEN 'neutral' ELSE 'positive' END AS label,
            {NOW} - (300 - i) * INTERVAL 1 HOUR AS reviewed_at,
            CASE WHEN i < 200 THEN 'train' WHEN i < 230 THEN 'validation' ELSE 'test' END AS split FROM range(300) t(i)""",
}

SERVING = {
    "recommendations": """
        SELECT 'c' || c AS customer_id, r::INTEGER AS rank, 'p' || (r + c % 11) AS product_id, 1.0::DOUBLE / r AS score,
            'collaborative' AS strategy,
            'Because you bought p19' AS reason, 'p19' AS because_product_id, 1.0::DOUBLE AS propensity
        FROM range({customers}) t(c), range(1, 6) u(r)""",
    "recommendations_default": """
        SELECT 'all' AS segment, r::INTEGER AS rank, 'p' || r AS product_id, 1.0::DOUBLE / r AS score FROM range(1, 6) t(r)""",
    "recommendations_by_category": """
        SELECT 'c' || c AS customer_id, 'Tea' AS category, r::INTEGER AS rank, 'p' || (r + c % 11) AS product_id, 1.0::DOUBLE / r AS score
        FROM range({customers}) t(c), range(1, 3) u(r)""",
    "similar_products": """
        SELECT 'p' || p AS product_id, r::INTEGER AS rank, 'p' || (p + r) % 17 AS similar_product_id, 1.0::DOUBLE / r AS score,
            'content' AS strategy
        FROM range(17) t(p), range(1, 4) u(r)""",
    "bought_together": """
        SELECT 'p' || p AS product_id, r::INTEGER AS rank, 'p' || (p + r) % 17 AS bought_product_id, 0.5::DOUBLE / r AS score,
            3.0::DOUBLE / r AS lift, 4::BIGINT AS orders FROM range(17) t(p), range(1, 3) u(r)""",
    "trending_products": """
        SELECT category, r::INTEGER AS rank, 'p' || r AS product_id, 5.0::DOUBLE / r AS score, 9::BIGINT AS recent_customers,
            2.5::DOUBLE AS usual_customers FROM (VALUES ('all'), ('Tea')) t(category), range(1, 3) u(r)""",
    "review_sentiment": """
        SELECT 'r' || i AS review_id, 'p1' AS product_id, 'positive' AS sentiment, 0.7::DOUBLE AS score,
            0.1::DOUBLE AS p_negative, 0.1::DOUBLE AS p_neutral, 0.8::DOUBLE AS p_positive, '1' AS model_version FROM range(300) t(i)""",
    "ticket_sentiment": """
        SELECT 't' || i AS ticket_id, 'p1' AS product_id, 'negative' AS sentiment, -0.7::DOUBLE AS score,
            0.8::DOUBLE AS p_negative, 0.1::DOUBLE AS p_neutral, 0.1::DOUBLE AS p_positive, '1' AS model_version FROM range(20) t(i)""",
    "product_sentiment": """
        SELECT 'p' || i AS product_id, 15::BIGINT AS reviews, 0.5::DOUBLE AS mean_score, 0.4::DOUBLE AS recent_score,
            0.0::DOUBLE AS trend, i = 3 AS alert, 0.5::DOUBLE AS p_value, 0.5::DOUBLE AS q_value
        FROM range(20) t(i)""",
    "sentiment_alerts": """
        SELECT 'p3' AS product_id, {now} - n * INTERVAL 2 DAY AS raised_at, 0.5::DOUBLE AS score_before, -0.1::DOUBLE AS score_then,
            CASE WHEN n > 1 THEN {now} - INTERVAL 3 DAY END AS cleared_at, CASE WHEN n > 1 THEN 'recovered' END AS cleared_because
        FROM range(1, 3) t(n)""",
    "product_aspects": """
        SELECT 'p' || i AS product_id, 'lid' AS aspect, 4::BIGINT AS mentions, 0.5::DOUBLE AS score, 3::BIGINT AS positive,
            1::BIGINT AS negative, 'The lid fits.' AS example, 'r1' AS example_review_id FROM range(5) t(i)""",
    "suspect_reviews": """
        SELECT 'r' || i AS review_id, 'copy' AS reason, 'r0' AS like_review_id, 0.25::DOUBLE AS weight FROM range(1, 4) t(i)""",
    "customer_profiles": """
        SELECT 'c' || i AS customer_id, 'occasional' AS segment, 3.0::DOUBLE AS recency_days, 4::BIGINT AS frequency,
            40::DECIMAL(18, 2) AS monetary, NULL::DOUBLE AS churn_probability FROM range(30) t(i)""",
    "model_metrics": """
        SELECT 'recommender' AS model, 'champion' AS role, 'ndcg@10' AS metric, 0.2::DOUBLE AS value, 'popularity' AS baseline,
            0.1::DOUBLE AS baseline_value, 'test' AS split, {now} AS evaluated_at""",
    "quality_results": """
        SELECT 'raw' AS suite, 'orders' AS table_name, 'order_id_unique' AS expectation, true AS success, '0' AS observed,
            'stop' AS severity""",
    "release": "SELECT {now} AS as_of, {now} AS created_at, 'files' AS source, '{shop}' AS shop, 'built' AS status",
}

Results = dict[str, tuple[bool, str, str]]


def fill_raw(night: Night) -> None:
    """All contract tables, of one file each taken in this night."""
    with duckdb.connect(str(night.warehouse)) as connection:
        warehouse.prepare(connection, load_contract())
        for number, (table, (columns, select)) in enumerate(RAW.items(), start=1):
            versions = f"{number} AS _file_id, 1 AS _row, TIMESTAMP '2026-01-01' AS _valid_from"
            connection.execute(
                f"INSERT INTO raw.{table} ({columns}, _file_id, _row, _valid_from) SELECT *, {versions} FROM (SELECT {select})"
            )
            (rows,) = connection.execute(f"SELECT count(*) FROM raw.{table}").fetchall()[0]
            ledger = "file_id, table_name, path, status, rows_read, rows_loaded, rows_duplicate, rows_quarantined, as_of"
            connection.execute(
                f"INSERT INTO collect.files ({ledger}) VALUES (?, ?, ?, 'loaded', ?, ?, 0, 0, ?::TIMESTAMP)",
                [number, table, f"{table}/1.csv", rows, rows, night.as_of_sql],
            )


def fill_features(night: Night) -> None:
    night.features.mkdir(parents=True, exist_ok=True)
    for name, select in FEATURES.items():
        duckdb.sql(select).write_parquet(str(night.features / f"{name}.parquet"))


def fill_serving(night: Night, customers: int = CUSTOMERS) -> None:
    night.predictions.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(night.warehouse)) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS serving")
        for table in SERVING:
            rows = serving_sql(night, table, customers)
            connection.execute(f"CREATE OR REPLACE TABLE serving.{table} AS SELECT *, '{night.key}-0123abcd' AS release_id FROM ({rows})")
        connection.execute(f"COPY serving.recommendations TO '{night.predictions}/recommendations.parquet' (FORMAT parquet)")


def publish(night: Night) -> None:
    """Copy the serving tables into a release, as publishing does."""
    publish_nothing_but(night, *SERVING)


def publish_nothing_but(night: Night, *tables: str) -> None:
    """Make a release of these serving tables only, filled as a night in order fills them."""
    night.releases.mkdir(parents=True, exist_ok=True)
    release_id = f"{night.key}-0123abcd"
    with duckdb.connect(str(night.releases / f"{release_id}.duckdb")) as connection:
        for table in tables:
            connection.execute(f"CREATE TABLE {table} AS SELECT *, '{release_id}' AS release_id FROM ({serving_sql(night, table)})")


def serving_sql(night: Night, table: str, customers: int = CUSTOMERS) -> str:
    return SERVING[table].format(customers=customers, now=f"TIMESTAMP '{night.as_of_sql}'", shop=night.shop)


def plant(night: Night, *statements: str) -> None:
    """Run SQL on the warehouse."""
    with duckdb.connect(str(night.warehouse)) as connection:
        for statement in statements:
            connection.execute(statement)


def replant(night: Night, file: str, select: str) -> None:
    """Rewrite a feature file as a SELECT over its rows, which the SELECT calls `rows`."""
    path = night.features / f"{file}.parquet"
    with duckdb.connect() as connection:
        connection.read_parquet(str(path)).create("rows")
        connection.sql(select).write_parquet(str(path))


def results(night: Night, gate: Gate) -> Results:
    """What the gate wrote, by table.check: (success, observed, severity)."""
    path = night.folder / "quality" / f"{gate}.parquet"
    rows = duckdb.read_parquet(str(path)).project("table_name || '.' || expectation, success, observed, severity").fetchall()
    assert len({name for name, *_ in rows}) == len(rows), "a check is named twice"
    return {name: (success, observed, severity) for name, success, observed, severity in rows}


def failed(night: Night, gate: Gate) -> dict[str, str]:
    """Failed checks by table.check, with their severity."""
    return {name: severity for name, (success, _, severity) in results(night, gate).items() if not success}
