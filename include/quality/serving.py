"""The serving gate: what the shop's customers are about to see, and how far it moved since yesterday."""

from __future__ import annotations

import duckdb

from include.errors import GateRefused
from include.night import Night
from include.publish.releases import Release, latest_release_before
from include.publish.replacing import replaced_release
from include.quality import serving_lists, serving_tables
from include.quality.checks import Figures, Severity, Suite
from include.quality.features import open_features
from include.sql import literal

TABLES = (
    "recommendations",
    "recommendations_default",
    "similar_products",
    "review_sentiment",
    "product_sentiment",
    "customer_profiles",
    "model_metrics",
    "quality_results",
    "release",
    "bought_together",
    "trending_products",
    "recommendations_by_category",
    "sentiment_alerts",
    "suspect_reviews",
    "product_aspects",
    "ticket_sentiment",
)
MIN_COVERAGE = 0.05  # share of the catalogue that the lists show
MIN_OVERLAP = 0.2  # mean share of a list that was in the same customer's list yesterday
WARN_CUSTOMERS_LOST = 0.05
MIN_ROWS_SHARE = 0.5  # of yesterday's rows in the same table
SAMPLED_CUSTOMERS = 50_000  # lists compared with yesterday's, at most about this many


def suites(connection: duckdb.DuckDBPyConnection, night: Night) -> list[Suite]:
    """One suite a serving table, and one of figures.

    A table of predictions may be empty only where the model wrote none, because the shop cannot have it.

    Raises:
        GateRefused: a serving table or feature file is missing.
    """
    _open_tables(connection, night)
    has_limits = serving_lists.open_lists(connection, night)
    figures = Figures(connection)
    recommends = (night.predictions / "recommendations.parquet").is_file()
    _release_ids(connection, figures)
    _coverage(connection, figures)
    _since_yesterday(connection, figures, night)
    whole_lists = serving_lists.check_lists(night, recommends, has_limits)
    tables = [
        serving_lists.check_recommendations(night, recommends),
        serving_lists.check_recommendations_default(night, recommends),
        serving_lists.check_recommendations_by_category(),
        serving_lists.check_similar_products(),
        serving_lists.check_bought_together(),
        serving_lists.check_trending_products(),
        serving_tables.check_sentiment("review"),
        serving_tables.check_sentiment("ticket"),
        serving_tables.check_product_sentiment(),
        serving_tables.check_sentiment_alerts(night),
        serving_tables.check_suspect_reviews(),
        serving_tables.check_product_aspects(),
        serving_tables.check_customer_profiles(),
        serving_tables.check_model_metrics(),
        serving_tables.check_quality_results(),
        serving_tables.check_release(night),
    ]
    return [whole_lists.suite("lists"), *(table.suite() for table in tables), figures.suite()]


def _open_tables(connection: duckdb.DuckDBPyConnection, night: Night) -> None:
    found = connection.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_catalog = 'warehouse' AND table_schema = 'serving'"
    ).fetchall()
    missing = sorted(set(TABLES) - {name for (name,) in found})
    if missing:
        raise GateRefused(f"The warehouse has no serving table {', '.join(missing)}", "Run the serve step of this night again.")
    for name in TABLES:
        connection.execute(f"CREATE OR REPLACE VIEW gate.{name} AS SELECT * FROM warehouse.serving.{name}")
    open_features(connection, night, ("customers", "products", "owned", "dismissed", "rules", "reviews", "tickets"), prefix="known_")
    if (night.features / "sentiment_rules.parquet").is_file():
        files = ", ".join(literal(night.features / f"{name}.parquet") for name in ("rules", "sentiment_rules"))
        connection.execute(f"CREATE OR REPLACE VIEW gate.known_rules AS SELECT * FROM read_parquet([{files}])")


# ---- figures ---------------------------------------------------------------------------------------------------------
def _release_ids(connection: duckdb.DuckDBPyConnection, figures: Figures) -> None:
    for name in TABLES:
        strange = f"SELECT DISTINCT release_id FROM gate.{name} WHERE coalesce(release_id, '') NOT IN (SELECT release_id FROM gate.release)"
        (count,) = connection.execute(f"SELECT count(*) FROM ({strange})").fetchall()[0]
        figures.add(name, "other_release_ids", "stop", count, high=0, offenders=f"{strange} ORDER BY ALL")


def _coverage(connection: duckdb.DuckDBPyConnection, figures: Figures) -> None:
    """Share of the available products that are in some list, of those that could be."""
    query = """
        SELECT count(DISTINCT product_id) / nullif(least(count(*), (SELECT count(*) FROM gate.available)), 0) FROM gate.recommendations"""
    (share,) = connection.execute(query).fetchall()[0]
    figures.add("recommendations", "coverage_of_the_catalogue", "warn", share, low=MIN_COVERAGE)


def _release_before(connection: duckdb.DuckDBPyConnection, night: Night) -> Release | None:
    """The release that this night takes from the shop's customers, which may be one that was put back by hand; else the latest before it.

    A night that is run again is held against the night before, as the first time, not against itself.
    """
    tonight = {release_id for (release_id,) in connection.execute("SELECT release_id FROM gate.release").fetchall()}
    replaced = replaced_release(night)
    if replaced and replaced.shop == night.shop and replaced.release_id not in tonight:
        return replaced
    return latest_release_before(night.home, night.shop, night.as_of)


def _since_yesterday(connection: duckdb.DuckDBPyConnection, figures: Figures, night: Night) -> None:
    """Against the release that the shop's customers saw before; nothing where there is none. A dry run loses nobody, so it is only told."""
    yesterday = _release_before(connection, night)
    if yesterday is None:
        return
    connection.execute(f"ATTACH {literal(yesterday.path)} AS yesterday (READ_ONLY)")
    for name in TABLES[:6]:
        rows = f"SELECT (SELECT count(*) FROM gate.{name}) / nullif((SELECT count(*) FROM yesterday.main.{name}), 0)"
        (share,) = connection.execute(rows).fetchall()[0]
        figures.add(name, "rows_against_yesterday", "warn", share, low=MIN_ROWS_SHARE)

    lost = """
        SELECT DISTINCT customer_id FROM yesterday.main.recommendations
        WHERE customer_id NOT IN (SELECT customer_id FROM gate.recommendations WHERE customer_id IS NOT NULL)"""
    counts = f"SELECT (SELECT count(*) FROM ({lost})), (SELECT count(DISTINCT customer_id) FROM yesterday.main.recommendations)"
    gone, before = connection.execute(counts).fetchall()[0]
    share = gone / before if before else None
    offenders = f"{lost} ORDER BY ALL"
    figures.add("recommendations", "customers_lost_since_yesterday", "warn", share, high=WARN_CUSTOMERS_LOST, offenders=offenders)
    limit = night.settings.max_customers_lost
    note = f"{gone:,} of the {before:,} customers of release {yesterday.release_id} are gone, the limit is NIGHTSHELF_MAX_CUSTOMERS_LOST"
    severity: Severity = "stop" if night.settings.publish else "warn"
    figures.add("recommendations", "most_customers_kept_since_yesterday", severity, share, high=limit, offenders=offenders, note=note)

    (overlap,) = connection.execute(f"""
        WITH sampled AS (
            SELECT customer_id FROM gate.lists WHERE products > 0
            AND hash(customer_id) % (1 + (SELECT count(*) FROM gate.lists) // {SAMPLED_CUSTOMERS}) = 0
        ), today AS (SELECT customer_id, product_id FROM gate.recommendations SEMI JOIN sampled USING (customer_id)),
        before AS (SELECT customer_id, product_id FROM yesterday.main.recommendations SEMI JOIN sampled USING (customer_id)),
        lists AS (
            SELECT customer_id, least(t.products, b.products) AS products
            FROM (SELECT customer_id, count(*) AS products FROM today GROUP BY ALL) t
            JOIN (SELECT customer_id, count(*) AS products FROM before GROUP BY ALL) b USING (customer_id)
        ), kept AS (SELECT customer_id, count(*) AS kept FROM today JOIN before USING (customer_id, product_id) GROUP BY ALL)
        SELECT round(avg(coalesce(kept, 0) / products), 9) FROM lists LEFT JOIN kept USING (customer_id)""").fetchall()[0]
    figures.add("recommendations", "overlap_with_yesterday", "warn", overlap, low=MIN_OVERLAP)
