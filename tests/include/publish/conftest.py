"""A warehouse whose serving tables are ready to be published, made by hand in SQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb
import pytest

from include.night import Night

SERVING = {
    "recommendations": "SELECT 'c' || c AS customer_id, r::INTEGER AS rank, 'p' || (r + c % 7) AS product_id, 1.0 / r AS score,"
    " 'collaborative' AS strategy, 'Because' AS reason, 'p0' AS because_product_id FROM range({customers}) t(c), range(1, 6) u(r)",
    "recommendations_default": "SELECT 'all' AS segment, 1 AS rank, 'p1' AS product_id, 1.0 AS score",
    "similar_products": "SELECT 'p1' AS product_id, 1 AS rank, 'p2' AS similar_product_id, 0.5 AS score, 'content' AS strategy",
    "recommendations_by_category": "SELECT 'c1' AS customer_id, 'Tea' AS category, 1 AS rank, 'p1' AS product_id, 1.0 AS score",
    "bought_together": "SELECT 'p1' AS product_id, 1 AS rank, 'p2' AS bought_product_id, 0.5 AS score",
    "trending_products": "SELECT 'all' AS category, 1 AS rank, 'p2' AS product_id, 2.5 AS score",
    "review_sentiment": "SELECT 'r1' AS review_id, 'p1' AS product_id, 'positive' AS sentiment, 0.9 AS score",
    "ticket_sentiment": "SELECT 't1' AS ticket_id, 'p1' AS product_id, 'negative' AS sentiment, -0.9 AS score",
    "sentiment_alerts": "SELECT 'p1' AS product_id, TIMESTAMP '2026-01-01' AS raised_at",
    "product_aspects": "SELECT 'p1' AS product_id, 'lid' AS aspect",
    "suspect_reviews": "SELECT 'r1' AS review_id, 'copy' AS reason",
    "product_sentiment": "SELECT 'p1' AS product_id, 1 AS reviews, 0.9 AS mean_score",
    "customer_profiles": "SELECT 'c1' AS customer_id, 'new' AS segment",
    "model_metrics": "SELECT 'recommender' AS model, 'champion' AS role, 'ndcg@10' AS metric, 0.1 AS value, 'test' AS split",
    "quality_results": "SELECT 'raw' AS suite, 'orders' AS table_name, 'rows' AS expectation, true AS success, '7' AS observed,"
    " 'stop' AS severity",
    "release": "SELECT TIMESTAMP '{as_of}' AS as_of, '{source}' AS source, 'built' AS status, '{shop}' AS shop",
}


@pytest.fixture
def ready_night(open_night: Callable[..., Night]) -> Callable[..., Night]:
    """Opens a night and leaves it as the gates do: ready_night("2026-03-01", customers=10, **settings)."""

    def ready_night(as_of: str, customers: int = 10, **settings: Any) -> Night:
        night = open_night(as_of, **settings)
        with duckdb.connect(str(night.warehouse)) as warehouse:
            warehouse.execute("CREATE SCHEMA IF NOT EXISTS serving")
            for table, select in SERVING.items():
                select = select.format(customers=customers, as_of=night.as_of_sql, shop=night.shop, source=night.settings.source)
                release_id = f"{night.key}-0123abcd"
                warehouse.execute(f"CREATE OR REPLACE TABLE serving.{table} AS SELECT *, '{release_id}' AS release_id FROM ({select})")
            warehouse.execute("COMMENT ON COLUMN serving.recommendations.rank IS 'Place in the list, it''s from 1.'")
            (night.folder / "quality").mkdir(exist_ok=True)
            warehouse.execute(
                "COPY (SELECT 'serving' AS suite, 'recommendations' AS table_name, 'ranks' AS expectation, true AS success,"
                f" '0' AS observed, 'stop' AS severity) TO '{night.folder}/quality/serving.parquet'"
            )
        for gate in ("raw", "features", "serving"):
            with night.step(f"check_{gate}"):
                pass
        return night

    return ready_night
