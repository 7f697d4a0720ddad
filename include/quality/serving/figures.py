"""The serving gate's figures: how much of the catalogue the lists show, and how far they moved since yesterday."""

from __future__ import annotations

import duckdb

from include.night import Night
from include.publish.releases import Release, latest_release_before
from include.publish.replacing import replaced_release
from include.quality.checks import Figures, Severity
from include.sql import literal
from include.tables import served_tables

SAMPLED_CUSTOMERS = 50_000  # lists compared with yesterday's, at most about this many


def check_release_ids(connection: duckdb.DuckDBPyConnection, figures: Figures) -> None:
    """Every row is of this release."""
    for name in served_tables():
        strange = f"SELECT DISTINCT release_id FROM gate.{name} WHERE coalesce(release_id, '') NOT IN (SELECT release_id FROM gate.release)"
        (count,) = connection.execute(f"SELECT count(*) FROM ({strange})").fetchall()[0]
        figures.add(name, "other_release_ids", "stop", count, high=0, offenders=f"{strange} ORDER BY ALL")


def check_coverage(connection: duckdb.DuckDBPyConnection, figures: Figures, night: Night) -> None:
    """Share of the available products that are in some list, of those that could be."""
    query = """
        SELECT count(DISTINCT product_id) / nullif(least(count(*), (SELECT count(*) FROM gate.available)), 0) FROM gate.recommendations"""
    (share,) = connection.execute(query).fetchall()[0]
    figures.add("recommendations", "coverage_of_the_catalogue", "warn", share, low=night.settings.min_coverage)


def _release_before(connection: duckdb.DuckDBPyConnection, night: Night) -> Release | None:
    """The release that this night takes from the shop's customers, which may be one that was put back by hand; else the latest before it.

    A night that is run again is held against the night before, as the first time, not against itself.
    """
    tonight = {release_id for (release_id,) in connection.execute("SELECT release_id FROM gate.release").fetchall()}
    replaced = replaced_release(night)
    if replaced and replaced.shop == night.shop and replaced.release_id not in tonight:
        return replaced
    return latest_release_before(night.home, night.shop, night.as_of)


def check_since_yesterday(connection: duckdb.DuckDBPyConnection, figures: Figures, night: Night) -> None:
    """Against the release that the shop's customers saw before; nothing where there is none. A dry run loses nobody, so it is only told."""
    yesterday = _release_before(connection, night)
    if yesterday is None:
        return
    connection.execute(f"ATTACH {literal(yesterday.path)} AS yesterday (READ_ONLY)")
    for name in (table.name for table in served_tables().values() if table.compared_with_yesterday):
        rows = f"SELECT (SELECT count(*) FROM gate.{name}) / nullif((SELECT count(*) FROM yesterday.main.{name}), 0)"
        (share,) = connection.execute(rows).fetchall()[0]
        figures.add(name, "rows_against_yesterday", "warn", share, low=night.settings.min_rows_share)

    lost = """
        SELECT DISTINCT customer_id FROM yesterday.main.recommendations
        WHERE customer_id NOT IN (SELECT customer_id FROM gate.recommendations WHERE customer_id IS NOT NULL)"""
    counts = f"SELECT (SELECT count(*) FROM ({lost})), (SELECT count(DISTINCT customer_id) FROM yesterday.main.recommendations)"
    gone, before = connection.execute(counts).fetchall()[0]
    share = gone / before if before else None
    offenders = f"{lost} ORDER BY ALL"
    figures.add(
        "recommendations",
        "customers_lost_since_yesterday",
        "warn",
        share,
        high=night.settings.warn_customers_lost,
        offenders=offenders,
    )
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
    figures.add("recommendations", "overlap_with_yesterday", "warn", overlap, low=night.settings.min_overlap)
