"""A night's features as they would have been when its test days began, so that settings are chosen on validation days alone.

The validation days take the place of the test days, as many days before them that of the validation days, and nothing later exists.
A model is fitted and judged on such a snapshot as on any other.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb

from include.night import Night

# of the interactions before the days that are judged, how many at most lie in the days on which the model makes its choices
MOST_OF_CHOICES = 0.34

_STARTS = """
    CREATE TABLE starts AS
    WITH given AS (
        SELECT max(starts_at) FILTER (split = 'validation') AS test_starts_at, max(starts_at) FILTER (split = 'test') AS ends_at
        FROM read_parquet($splits)
    ), cut AS (
        SELECT quantile_disc(occurred_at, 1 - $most) AS moment FROM read_parquet($interactions), given WHERE occurred_at < test_starts_at
    )
    SELECT test_starts_at, ends_at,
        coalesce(greatest(test_starts_at - (ends_at - test_starts_at), date_trunc('day', moment)), test_starts_at) AS validation_starts_at
    FROM given, cut"""

_FILES = {
    "customers": "SELECT c.* FROM read_parquet($customers) c SEMI JOIN asked USING (customer_id) ORDER BY customer_id",
    "products": "SELECT * FROM read_parquet($products) ORDER BY product_id",
    "interactions": """
        SELECT i.* REPLACE (
            CASE WHEN occurred_at >= test_starts_at THEN 'test' WHEN occurred_at >= validation_starts_at THEN 'validation'
                ELSE 'train' END AS split)
        FROM read_parquet($interactions) i SEMI JOIN asked USING (customer_id), starts
        WHERE occurred_at < ends_at ORDER BY customer_id, occurred_at, product_id, event_type""",
    "labels": """
        SELECT customer_id, product_id, split, min(occurred_at) AS first_at FROM backtested WHERE is_target AND split <> 'train'
        GROUP BY customer_id, product_id, split ORDER BY split, customer_id, product_id""",
    "review_scores": """
        SELECT r.* FROM read_parquet($review_scores) r, starts WHERE reviewed_at < ends_at
        ORDER BY product_id, reviewed_at, score, weight""",
    "splits": """
        SELECT 'train' AS split, least((SELECT min(occurred_at) FROM backtested), validation_starts_at) AS starts_at,
            validation_starts_at AS ends_at FROM starts
        UNION ALL SELECT 'validation', validation_starts_at, test_starts_at FROM starts
        UNION ALL SELECT 'test', test_starts_at, ends_at FROM starts ORDER BY starts_at, ends_at""",
}


def write_backtest(night: Night, out: Path, share: float) -> None:
    """Write the snapshot of a share of the night's customers into the folder `out`, which is made anew.

    Args:
        night: a night whose features are there; they are only read.
        out: gets what a recommender learns from: customers, products, interactions, labels, review_scores, splits.
        share: of the customers, in (0, 1]; by hash, the same ones in every run and with every smaller share among them.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    files = {name: str(night.features / f"{name}.parquet") for name in ("customers", "products", "interactions", "review_scores", "splits")}
    settings = night.settings
    with duckdb.connect(config={"memory_limit": f"{settings.warehouse_memory_gb}GB", "threads": settings.threads}) as connection:
        connection.execute("SET temp_directory = $folder", {"folder": str(night.shop_home / "tmp")})
        connection.execute(_STARTS, {"splits": files["splits"], "interactions": files["interactions"], "most": MOST_OF_CHOICES})
        connection.execute(
            """
            CREATE TABLE asked AS SELECT customer_id FROM read_parquet($customers)
            WHERE ('0x' || substr(md5(customer_id || $seed), 1, 8))::BIGINT < $share * 4294967296""",
            {"customers": files["customers"], "seed": str(settings.seed), "share": share},
        )
        for name, select in _FILES.items():
            if name == "labels":
                connection.read_parquet(str(out / "interactions.parquet")).create_view("backtested")
            used = {file: path for file, path in files.items() if f"${file}" in select}
            connection.execute(f"CREATE TABLE written AS {select}", used)
            connection.table("written").write_parquet(str(out / f"{name}.parquet"), compression="zstd")
            connection.execute("DROP TABLE written")
