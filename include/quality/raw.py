"""The raw gate: the store contract held against what was collected, and tonight against the trailing nights."""

from __future__ import annotations

import duckdb

from include.collect.contract import Column, Contract, Table, load_contract
from include.collect.load import OVERWRITTEN
from include.collect.references import find_unmatched
from include.collect.visible import make_views
from include.night import Night
from include.publish.releases import latest_release_before
from include.quality.checks import Figures, Suite, TableChecks
from include.quality.profile import MIN_NIGHTS, MIN_ROWS, read_trailing, take_profile

FEW_CUSTOMERS = 20  # customers below whom each has a large share of everything
MIN_NEW_RATINGS, MIN_KNOWN_RATINGS = 50, 200


def suites(connection: duckdb.DuckDBPyConnection, night: Night) -> list[Suite]:
    """One suite a contract table over the rows visible at the night, and one of figures."""
    contract = load_contract()
    make_views(connection, contract, "warehouse", "gate", night.as_of_sql)
    filled = {table.name for table in contract if _one(connection, f"SELECT count(*) FROM (SELECT 1 FROM gate.{table.name} LIMIT 1)")}
    figures = Figures(connection)
    _loaded_types(connection, figures, contract)
    _refused(connection, figures, night, contract)
    _needed(figures, contract, filled)
    _references(connection, figures, night, contract)
    _rules(connection, figures)
    _largest_customer(connection, figures, night)
    _gone(connection, figures, night)
    _otherwise(connection, figures, night, contract)
    _volumes(connection, figures, night, contract)
    _times(connection, figures, night, contract)
    _rating_drift(connection, figures, night)
    return [_contract_suite(table) for table in contract] + [figures.suite()]


# ---- the contract ----------------------------------------------------------------------------------------------------
def _contract_suite(table: Table) -> Suite:
    checks = TableChecks(table.name, f"SELECT * FROM gate.{table.name}", table.key)
    checks.unique_key()
    for column in table.columns:
        _column_checks(checks, column)
    return checks.suite()


def _column_checks(checks: TableChecks, column: Column) -> None:
    """The rules of one column. Values of personal columns are never looked at, so none can end up in a report."""
    if column.required:
        checks.not_null(column.name)
    if column.personal:
        return
    if column.min is not None or column.max is not None:
        checks.between(column.name, column.min, column.max)
    if column.values:
        checks.in_set(column.name, column.values)


def _loaded_types(connection: duckdb.DuckDBPyConnection, figures: Figures, contract: Contract) -> None:
    """Every contract column exists in the raw table with the contract's type."""
    connection.execute("CREATE OR REPLACE TABLE gate.contract_columns (table_name VARCHAR, column_name VARCHAR, data_type VARCHAR)")
    for table in contract:
        rows = [(table.name, column.name, column.data_type) for column in table.columns]
        connection.executemany("INSERT INTO gate.contract_columns VALUES (?, ?, ?)", rows)
    connection.execute("""
        CREATE OR REPLACE TABLE gate.wrong_types AS
        SELECT c.table_name, c.column_name, c.data_type AS contract_type, lower(d.data_type) AS loaded_type
        FROM gate.contract_columns c
        LEFT JOIN duckdb_columns() d
            ON d.database_name = 'warehouse' AND d.schema_name = 'raw' AND d.table_name = c.table_name AND d.column_name = c.column_name
        WHERE lower(d.data_type) IS DISTINCT FROM c.data_type
        ORDER BY ALL""")
    for table in contract:
        wrong = f"SELECT * FROM gate.wrong_types WHERE table_name = '{table.name}' ORDER BY ALL"
        figures.add(
            table.name, "columns_of_wrong_type", "stop", _one(connection, f"SELECT count(*) FROM ({wrong})"), high=0, offenders=wrong
        )


# ---- what collecting refused -----------------------------------------------------------------------------------------
def _refused(connection: duckdb.DuckDBPyConnection, figures: Figures, night: Night, contract: Contract) -> None:
    """Shares of refused rows and files since the last published night: a night that was refused does not wash them clean."""
    published = latest_release_before(night.home, night.shop, night.as_of)
    connection.execute(
        """
        CREATE OR REPLACE TABLE gate.new_files AS
        SELECT * FROM warehouse.collect.files WHERE as_of <= ?::TIMESTAMP AND as_of > coalesce(?::TIMESTAMP, '-infinity'::TIMESTAMP)
        """,
        [night.as_of_sql, published.as_of if published else None],
    )
    limit = night.settings.max_quarantine_share
    for table in contract:
        files = f"FROM gate.new_files WHERE table_name = '{table.name}'"
        share = _one(connection, f"SELECT sum(rows_quarantined) / nullif(sum(rows_read), 0) {files}")
        hidden = ", ".join(f"'{column.name}'" for column in table.columns if column.personal) or "''"
        rows = f"""
            SELECT path, row_number, column_name, CASE WHEN column_name IN ({hidden}) THEN NULL ELSE value END AS value, reason
            FROM warehouse.collect.quarantine WHERE file_id IN (SELECT file_id {files}) ORDER BY ALL"""
        if share is not None:
            figures.add(table.name, "quarantine_share", "stop", share, high=limit, offenders=rows)
        refused = f"SELECT path, reason {files} AND status = 'refused' ORDER BY ALL"
        figures.add(table.name, "files_refused", "warn", _one(connection, f"SELECT count(*) FROM ({refused})"), high=0, offenders=refused)


def _needed(figures: Figures, contract: Contract, filled: set[str]) -> None:
    """Required tables hold rows, and at least one table of facts does."""
    for table in contract:
        if table.need == "required":
            figures.add(table.name, "holds_rows", "stop", float(table.name in filled), low=1)
    facts = [table.name for table in contract if table.need == "fact"]
    figures.add(" or ".join(facts), "fact_tables_with_rows", "stop", float(len(filled & set(facts))), low=1)


def _references(connection: duckdb.DuckDBPyConnection, figures: Figures, night: Night, contract: Contract) -> None:
    """Ids find the rows that they name: most of them, and hardly one only if it were spelt otherwise. A few that find nothing are told:
    facts may arrive before their table."""
    settings = night.settings
    for reference in find_unmatched(connection, contract, "gate"):
        name = f"{reference.column}_in_{reference.parent}"
        columns = ", ".join(dict.fromkeys((*contract.table(reference.table).key, reference.column)))
        lost = f"""SELECT {columns} FROM gate.{reference.table}
            WHERE {reference.column} NOT IN (SELECT id FROM ({reference.known})) ORDER BY ALL"""
        figures.add(reference.table, name, "warn", reference.unmatched, high=0, offenders=lost, note=reference.told)
        if reference.unmatched:
            shares = {
                "share_not": (reference.unmatched, settings.max_unmatched_share),
                "share_misspelt": (reference.misspelt, settings.max_misspelt_share),
            }
            for kind, (rows, high) in shares.items():
                figures.add(reference.table, f"{kind}_{name}", "stop", rows / reference.rows, high=high, note=reference.told)


def _largest_customer(connection: duckdb.DuckDBPyConnection, figures: Figures, night: Night) -> None:
    """No customer has an outlying share of all orders or events; who has trains nothing (dbt's known_customers)."""
    for table in ("orders", "events"):
        share = f"""SELECT max(rows) FILTER (customer_id IS NOT NULL) / sum(rows) FROM (
                SELECT customer_id, count(*) AS rows FROM gate.{table} GROUP BY customer_id)
            HAVING count(customer_id) >= {FEW_CUSTOMERS}"""
        largest = f"""SELECT customer_id, count(*) AS rows FROM gate.{table} WHERE customer_id IS NOT NULL
            GROUP BY customer_id ORDER BY rows DESC, customer_id LIMIT 1"""
        high = night.settings.max_customer_share
        figures.add(table, "largest_customers_share", "warn", _one(connection, share), high=high, offenders=largest)


def _gone(connection: duckdb.DuckDBPyConnection, figures: Figures, night: Night) -> None:
    """A snapshot does not lose a large part of its table at once: an export that was cut short looks like a shop that is closing."""
    for table in night.settings.snapshot_tables:
        lost = f"SELECT path, rows_held, rows_gone, as_of FROM gate.new_files WHERE table_name = '{table}' AND rows_gone > 0 ORDER BY ALL"
        share = _one(connection, f"SELECT max(rows_gone / nullif(rows_held, 0)) FROM ({lost})")
        figures.add(table, "share_gone_at_once", "stop", share, high=night.settings.max_snapshot_loss, offenders=lost)


def _otherwise(connection: duckdb.DuckDBPyConnection, figures: Figures, night: Night, contract: Contract) -> None:
    """Values of the new files that were taken otherwise than they were written: as missing, or rounded; and rows that take each other's
    place under one key, of which there are few where keys are right."""
    for table in contract:
        notes = f"""SELECT column_name, note, rows, path, row_number, value FROM warehouse.collect.notes
            WHERE table_name = '{table.name}' AND file_id IN (SELECT file_id FROM gate.new_files)
            ORDER BY rows DESC, column_name, note, path"""
        count = _one(connection, f"SELECT sum(rows) FROM ({notes})")
        if count:
            figures.add(table.name, "values_taken_otherwise", "warn", count, high=0, offenders=notes)
        overwritten = f"SELECT * FROM ({notes}) WHERE starts_with(note, '{OVERWRITTEN}')"
        share = _one(
            connection,
            f"""SELECT (SELECT sum(rows) FROM ({overwritten})) / sum(rows_read) FROM gate.new_files WHERE table_name = '{table.name}'""",
        )
        if share:
            figures.add(table.name, "share_overwritten", "stop", share, high=night.settings.max_quarantine_share, offenders=overwritten)


def _rules(connection: duckdb.DuckDBPyConnection, figures: Figures) -> None:
    """Every rule for the lists says what it is about and what it wants: one that could not be kept would be broken in silence."""
    silent = """
        SELECT rule_id, kind, product_id, category, brand, value FROM gate.rules
        WHERE coalesce(product_id, category, brand) IS NULL OR kind = 'pin' AND (product_id IS NULL OR value = 0)
            OR kind <> 'block' AND value IS NULL ORDER BY ALL"""
    figures.add("rules", "rules_that_say_nothing", "stop", _one(connection, f"SELECT count(*) FROM ({silent})"), high=0, offenders=silent)


# ---- tonight against the trailing nights -----------------------------------------------------------------------------
def _volumes(connection: duckdb.DuckDBPyConnection, figures: Figures, night: Night, contract: Contract) -> None:
    """New rows, and shares of missing values among them, beside what the trailing nights had."""
    take_profile(connection, night, contract)
    if read_trailing(connection, night) < MIN_NIGHTS:
        return
    usual = connection.execute("""
        SELECT p.table_name, p.rows, median(t.rows) FROM gate.profile p JOIN gate.trailing t USING (table_name)
        WHERE p.column_name IS NULL AND t.column_name IS NULL GROUP BY ALL ORDER BY ALL""").fetchall()
    for table, rows, median in usual:
        if median > 0:
            figures.add(table, "new_rows_against_trailing_nights", "warn", rows / median, low=night.settings.min_new_rows_share)
    jumps = connection.execute(f"""
        SELECT p.table_name, p.column_name, p.null_share - sum(t.null_share * t.rows) / sum(t.rows)
        FROM gate.profile p JOIN gate.trailing t USING (table_name, column_name)
        WHERE p.rows >= {MIN_ROWS} AND t.rows > 0 GROUP BY p.table_name, p.column_name, p.null_share
        HAVING sum(t.rows) >= {MIN_ROWS} ORDER BY ALL""").fetchall()
    for table, column, jump in jumps:
        figures.add(table, f"{column}_null_share_rise", "warn", jump, high=night.settings.max_null_rise)


def _times(connection: duckdb.DuckDBPyConnection, figures: Figures, night: Night, contract: Contract) -> None:
    """The newest fact is fresh, and nothing collected tonight is from after the as-of moment."""
    facts = [f"SELECT max({table.event_time}) AS newest_at FROM gate.{table.name}" for table in contract if table.need == "fact"]
    age = f"SELECT epoch(TIMESTAMP '{night.as_of_sql}' - max(newest_at)) / 86400 FROM ({' UNION ALL '.join(facts)})"
    figures.add("facts", "days_since_newest_fact", "warn", _one(connection, age), high=night.settings.freshness_days)
    for table in contract:
        if table.event_time:
            future = f"""
                SELECT {", ".join(table.key)}, {table.event_time} FROM warehouse.raw.{table.name}
                WHERE {table.event_time} >= TIMESTAMP '{night.as_of_sql}' AND _file_id IN (
                    SELECT file_id FROM warehouse.collect.files WHERE as_of = TIMESTAMP '{night.as_of_sql}') ORDER BY ALL"""
            count = _one(connection, f"SELECT count(*) FROM ({future})")
            figures.add(table.name, "rows_from_after_as_of", "warn", count, high=0, offenders=future)
        stamped = f"""SELECT {", ".join(table.key)}, updated_at FROM (
                SELECT {", ".join(table.key)}, updated_at FROM gate.{table.name}
                UNION SELECT {", ".join(table.key)}, updated_at FROM warehouse.raw.{table.name} WHERE _file_id IN (
                    SELECT file_id FROM warehouse.collect.files WHERE as_of = TIMESTAMP '{night.as_of_sql}'))
            WHERE updated_at >= TIMESTAMP '{night.as_of_sql}' ORDER BY ALL"""
        count = _one(connection, f"SELECT count(*) FROM ({stamped})")
        note = (
            "written after the night's moment; one of which no earlier version is known counts as it is, of the others the earlier version"
        )
        figures.add(table.name, "rows_stamped_after_as_of", "warn", count, high=0, offenders=stamped, note=note if count else "")


def _rating_drift(connection: duckdb.DuckDBPyConnection, figures: Figures, night: Night) -> None:
    """Population stability index of tonight's ratings against all earlier ones, half a review added to every rating."""
    drift = f"""
        WITH counts AS (
            SELECT rating, count(*) FILTER (is_new) + 0.5 AS new, count(*) FILTER (NOT is_new) + 0.5 AS known
            FROM (
                SELECT rating, _file_id IN (
                    SELECT file_id FROM warehouse.collect.files WHERE as_of = TIMESTAMP '{night.as_of_sql}') AS is_new
                FROM gate.reviews WHERE rating IS NOT NULL)
            GROUP BY rating
        ), shares AS (
            SELECT new / sum(new) OVER () AS p, known / sum(known) OVER () AS q, sum(new) OVER () AS n, sum(known) OVER () AS m FROM counts
        )
        SELECT CASE WHEN max(n) >= {MIN_NEW_RATINGS} AND max(m) >= {MIN_KNOWN_RATINGS} THEN round(sum((p - q) * ln(p / q)), 9) END
        FROM shares"""
    figures.add("reviews", "rating_drift", "warn", _one(connection, drift), high=night.settings.max_rating_drift)


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> float | None:
    row = connection.execute(query).fetchone()
    return None if row is None or row[0] is None else float(row[0])
