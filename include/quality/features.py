"""The features gate: what the models are about to learn from."""

from __future__ import annotations

import duckdb

from include.collect.contract import load_contract
from include.errors import GateRefused
from include.night import Night
from include.quality.checks import Figures, Suite, TableChecks
from include.sql import literal

FILES = ("interactions", "labels", "owned", "dismissed", "rules", "products", "customers", "sequences", "reviews", "tickets", "splits")
SPLITS = ("train", "validation", "test")

# Personal names that are no personal data in these files: a review's and a product's text is published by the shop, a ticket's is masked.
PUBLIC_COLUMNS = {("products", "text"), ("reviews", "text"), ("tickets", "text")}


def suites(connection: duckdb.DuckDBPyConnection, night: Night) -> list[Suite]:
    """One suite a feature file, and one of figures.

    Raises:
        GateRefused: a file is missing.
    """
    open_features(connection, night, FILES)
    figures = Figures(connection)
    _figures(connection, figures, night)
    _personal_columns(connection, figures, night)
    tables = [
        _interactions(night),
        _labels(),
        _owned(),
        _dismissed(),
        _rules(),
        _products(),
        _customers(),
        _sequences(),
        _reviews(night),
        _tickets(night),
        _splits(night),
    ]
    return [table.suite() for table in tables] + [figures.suite()]


def open_features(connection: duckdb.DuckDBPyConnection, night: Night, files: tuple[str, ...], prefix: str = "") -> None:
    """Make a view gate.<prefix><file> over each feature file.

    Raises:
        GateRefused: a file is missing.
    """
    missing = [name for name in files if not (night.features / f"{name}.parquet").is_file()]
    if missing:
        raise GateRefused(f"{night.features}: no {', '.join(missing)}.parquet", "Run the transform step of this night again.")
    for name in files:
        path = literal(night.features / f"{name}.parquet")
        connection.execute(f"CREATE OR REPLACE VIEW gate.{prefix}{name} AS SELECT * FROM read_parquet({path})")


def _table(name: str, *key: str) -> TableChecks:
    return TableChecks(name, f"SELECT * FROM gate.{name}", key)


def _interactions(night: Night) -> TableChecks:
    checks = _table("interactions", "customer_id", "product_id", "event_type", "occurred_at")
    checks.has_rows()
    for column in (*checks.key, "weight", "split", "is_target"):
        checks.not_null(column)
    checks.in_set("split", SPLITS)
    checks.none_where("weights_finite_and_positive", "stop", "NOT isfinite(weight) OR weight <= 0 OR NOT isfinite(event_weight)", "weight")
    checks.none_where("customers_known", "stop", "customer_id NOT IN (SELECT customer_id FROM gate.customers)")
    shown = "SELECT product_id FROM gate.products WHERE product_id = shown_product_id"
    checks.none_where("products_known", "stop", f"product_id NOT IN ({shown})")
    checks.none_where("before_as_of", "stop", f"occurred_at >= TIMESTAMP '{night.as_of_sql}'")
    starts = "(SELECT starts_at FROM gate.splits WHERE split = '{}')"
    leak = (
        f"split = 'train' AND occurred_at >= least({starts.format('validation')}, {starts.format('test')})"
        f" OR split = 'validation' AND occurred_at >= {starts.format('test')}"
    )
    checks.none_where("no_row_learned_from_lies_in_a_later_split", "stop", leak, "split")
    checks.none_where("in_the_window_of_its_split", "stop", _outside_window("occurred_at"), "split")
    return checks


def _labels() -> TableChecks:
    checks = _table("labels", "customer_id", "product_id", "split")
    checks.unique_key()
    checks.not_null("first_at")
    checks.in_set("split", SPLITS[1:])
    checks.none_where("in_the_window_of_its_split", "stop", _outside_window("first_at"), "first_at")
    checks.none_where("customers_known", "stop", "customer_id NOT IN (SELECT customer_id FROM gate.customers)")
    return checks


def _owned() -> TableChecks:
    checks = _table("owned", "customer_id", "product_id")
    checks.unique_key()
    for column in (*checks.key, "first_at"):
        checks.not_null(column)
    checks.none_where("products_known", "stop", "product_id NOT IN (SELECT product_id FROM gate.products)")
    return checks


def _dismissed() -> TableChecks:
    checks = _table("dismissed", "customer_id", "product_id")
    checks.unique_key()
    for column in checks.key:
        checks.not_null(column)
    return checks


def _rules() -> TableChecks:
    checks = _table("rules", "rule_id", "product_id", "segment")
    checks.unique_key()
    for column in ("rule_id", "kind", "product_id"):
        checks.not_null(column)
    checks.in_set("kind", ("block", "pin", "limit", "minimum_age"))
    checks.none_where("values_of_all_but_blocks", "stop", "kind <> 'block' AND value IS NULL", "kind")
    checks.none_where("products_known", "stop", "product_id NOT IN (SELECT product_id FROM gate.products)")
    places = (
        "SELECT segment, value AS place, count(*) AS pins FROM checked WHERE kind = 'pin' GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL"
    )
    checks.no_rows("one_pin_a_place", "stop", places)
    return checks


def _products() -> TableChecks:
    checks = _table("products", "product_id")
    checks.has_rows()
    checks.unique_key()
    for column in ("product_id", "text", "is_available", "is_repeatable", "shown_product_id"):
        checks.not_null(column)
    shown = "SELECT product_id FROM gate.products WHERE product_id = shown_product_id"
    checks.none_where("variants_stand_for_themselves_or_are_stood_for", "stop", f"shown_product_id NOT IN ({shown})", "shown_product_id")
    return checks


def _customers() -> TableChecks:
    checks = _table("customers", "customer_id")
    checks.unique_key()
    checks.not_null("customer_id")
    checks.not_null("segment")
    checks.not_null("reached_age")
    checks.between("interactions", 0, None)
    return checks


def _sequences() -> TableChecks:
    checks = _table("sequences", "customer_id")
    checks.unique_key()
    checks.none_where("lists_of_one_length", "stop", "len(product_ids) NOT IN (len(event_types)) OR len(product_ids) <> len(occurred_ats)")
    checks.none_where("in_order_of_time", "stop", "list_sort(occurred_ats) <> occurred_ats")
    return checks


def _reviews(night: Night) -> TableChecks:
    checks = _table("reviews", "review_id")
    checks.unique_key()
    checks.not_null("review_id")
    checks.in_set("split", SPLITS)
    checks.in_set("label", ("negative", "neutral", "positive"))
    meaning = "CASE WHEN rating <= 2 THEN 'negative' WHEN rating = 3 THEN 'neutral' ELSE 'positive' END"
    checks.none_where(
        "label_says_what_the_rating_says", "stop", f"label IS NOT NULL AND (rating IS NULL OR label <> {meaning})", "rating", "label"
    )
    checks.none_where("split_only_where_labelled", "stop", "(split IS NULL) <> (label IS NULL)", "label", "split")
    checks.none_where("before_as_of", "stop", f"reviewed_at >= TIMESTAMP '{night.as_of_sql}'", "reviewed_at")
    _no_address(checks)
    later = """
        SELECT split, min(reviewed_at) AS first_at, max(reviewed_at) AS last_at FROM checked WHERE split IS NOT NULL GROUP BY split
        QUALIFY last_at > min(first_at) OVER (ORDER BY array_position(['train', 'validation', 'test'], split)
            ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) ORDER BY ALL"""
    checks.no_rows("no_split_reaches_into_a_later_one", "stop", later)
    return checks


def _tickets(night: Night) -> TableChecks:
    checks = _table("tickets", "ticket_id")
    checks.unique_key()
    checks.not_null("ticket_id")
    checks.none_where("before_as_of", "stop", f"opened_at >= TIMESTAMP '{night.as_of_sql}'", "opened_at")
    _no_address(checks)
    return checks


def _no_address(checks: TableChecks) -> None:
    checks.none_where("no_address_in_a_text", "stop", r"regexp_matches(text, '[\w.+-]+@[\w-]+\.[A-Za-z][A-Za-z]')")


def _splits(night: Night) -> TableChecks:
    checks = _table("splits", "split")
    checks.unique_key()
    checks.in_set("split", SPLITS)
    checks.none_where("windows_begin_before_they_end", "stop", "starts_at > ends_at", "starts_at", "ends_at")
    missing = "SELECT unnest(['train', 'validation', 'test']) AS split EXCEPT SELECT split FROM checked ORDER BY ALL"
    checks.no_rows("all_three", "stop", missing)
    checks.none_where("nothing_after_as_of", "stop", f"starts_at > TIMESTAMP '{night.as_of_sql}'", "starts_at")
    return checks


def _outside_window(moment: str) -> str:
    """A row's moment lies outside the window of its split, both taken as half-open; an end that is not set is open."""
    return (
        f"{moment} < (SELECT s.starts_at FROM gate.splits s WHERE s.split = checked.split)"
        f" OR {moment} >= (SELECT s.ends_at FROM gate.splits s WHERE s.split = checked.split)"
    )


def _figures(connection: duckdb.DuckDBPyConnection, figures: Figures, night: Night) -> None:
    labels, textless, targets = connection.execute("""
        SELECT
            (SELECT count(*) FROM gate.labels WHERE split = 'test'),
            (SELECT avg((text = '')::INTEGER) FROM gate.products),
            (SELECT count(DISTINCT event_type) FROM gate.interactions WHERE is_target)""").fetchall()[0]
    figures.add("labels", "enough_in_test", "warn", labels, low=night.settings.min_test_labels)
    empty = "SELECT product_id FROM gate.products WHERE text = '' ORDER BY ALL"
    figures.add("products", "share_without_text", "warn", textless, high=night.settings.max_textless_share, offenders=empty)
    figures.add("interactions", "types_of_target", "stop", targets, high=1)


def _personal_columns(connection: duckdb.DuckDBPyConnection, figures: Figures, night: Night) -> None:
    """No feature file has a column that the contract calls personal in any table."""
    personal = {column.name for table in load_contract() for column in table.columns if column.personal}
    for path in sorted(night.features.glob("*.parquet")):
        columns = connection.execute("SELECT name FROM parquet_schema(?)", [str(path)]).fetchall()
        found = sorted({name for (name,) in columns if name in personal and (path.stem, name) not in PUBLIC_COLUMNS})
        names = ", ".join(f"('{name}')" for name in found)
        offenders = f"SELECT column_name FROM (VALUES {names}) t(column_name) ORDER BY ALL" if found else None
        figures.add(path.stem, "personal_columns", "stop", len(found), high=0, offenders=offenders)
