"""The raw gate: a shop in order passes, and each planted fault is caught with its severity."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import duckdb
import pytest
from small_shop import NOW, failed, fill_raw, plant, publish_nothing_but, results

from include.errors import GateRefused
from include.night import Night
from include.quality import check

pytestmark = pytest.mark.slow

OpenNight = Callable[..., Night]


@pytest.fixture
def night(shop_night: OpenNight) -> Night:
    night = shop_night()
    fill_raw(night)
    return night


def test_a_shop_in_order_passes_twice_with_the_same_results(night: Night) -> None:
    check(night, "raw")
    path = night.folder / "quality" / "raw.parquet"
    first = path.read_bytes()
    check(night, "raw")
    assert path.read_bytes() == first
    assert failed(night, "raw") == {}
    found = results(night, "raw")
    assert found["orders.order_id_unique"] == (True, "0 rows", "stop")
    assert found["payments.amount_between_0_and_any"] == (True, "0 of 0 rows", "stop"), "an absent optional table passes"
    assert found["orders.quarantine_share"] == (True, "0 (at most 0.05)", "stop")
    assert night.steps()[-1]["notes"] == {"checks": len(found), "warnings": 0, "refusals": 0}


def test_every_broken_rule_of_the_contract_is_named(night: Night, caplog: pytest.LogCaptureFixture) -> None:
    plant(
        night,
        "INSERT INTO raw.orders SELECT * FROM raw.orders WHERE order_id = 'o1'",
        "UPDATE raw.orders SET status = '<b>lost</b>' WHERE order_id = 'o2'",
        "UPDATE raw.orders SET customer_id = 'ghost' WHERE order_id = 'o3'",
        "UPDATE raw.reviews SET rating = 11 WHERE review_id = 'r4'",
        "UPDATE raw.order_items SET product_id = NULL WHERE order_id = 'o5'",
        "UPDATE raw.products SET price = -1 WHERE product_id = 'p6'",
        "UPDATE raw.order_items SET product_id = 'unheard of' WHERE order_id = 'o7'",
        "INSERT INTO raw.order_items SELECT * FROM raw.order_items WHERE order_id = 'o8'",
        "ALTER TABLE raw.customers ALTER region TYPE INTEGER",
    )
    with caplog.at_level(logging.WARNING), pytest.raises(GateRefused) as refusal:
        check(night, "raw")
    expected = {
        "orders.order_id_unique": "stop",
        "orders.status_allowed": "stop",
        "orders.customer_id_in_customers": "warn",
        "reviews.rating_between_1_and_5": "stop",
        "order_items.product_id_not_null": "stop",
        "products.price_between_0_and_any": "stop",
        "order_items.product_id_in_products": "warn",
        "order_items.order_id_and_line_number_unique": "stop",
        "customers.columns_of_wrong_type": "stop",
    }
    assert failed(night, "raw") == expected
    for name, severity in expected.items():
        assert (name in refusal.value.problem) == (severity == "stop")
    assert "review_id='r4', rating='11'" in caplog.text
    assert "order_id='o3', customer_id='ghost'" in caplog.text
    assert "region" in caplog.text
    assert night.steps()[-1]["status"] == "failed"
    offenders = json.loads((night.folder / "quality" / "raw_offenders.json").read_text())
    assert {f"{told['table_name']}.{told['expectation']}": told["severity"] for told in offenders} == expected
    assert {"order_id": "o2", "status": "<b>lost</b>"} in [row for told in offenders for row in told["rows"]]
    pages = [path.read_text() for path in (night.home / "docs" / night.shop / "quality").rglob("*.html")]
    assert len(pages) == 13, "eleven tables, the figures and the index"
    assert not any("<b>lost" in page for page in pages), "a shop's values never become markup"


def test_a_rule_that_says_nothing_stops_the_night(night: Night, caplog: pytest.LogCaptureFixture) -> None:
    """Everything of it fits the contract column by column, and still nobody could keep it."""
    rules = {
        "good": "'block', 'p1', NULL, NULL, NULL",
        "about nothing": "'block', NULL, NULL, NULL, 3",
        "pin of a brand": "'pin', NULL, NULL, 'Fjord', 1",
        "pin at no place": "'pin', 'p1', NULL, NULL, 0",
        "no value": "'limit', NULL, 'Tea', NULL, NULL",
    }
    columns = "rule_id, kind, product_id, category, brand, value, _file_id, _row, _valid_from"
    for rule_id, values in rules.items():
        plant(night, f"INSERT INTO raw.rules ({columns}) VALUES ('{rule_id}', {values}, 9, 1, TIMESTAMP '2026-01-01')")
    with caplog.at_level(logging.WARNING), pytest.raises(GateRefused, match=r"refused: rules\.rules_that_say_nothing: 4 \(at most 0\)"):
        check(night, "raw")
    assert all((f"rule_id='{rule_id}'" in caplog.text) == (rule_id != "good") for rule_id in rules)


def test_rows_that_are_not_visible_tonight_are_not_judged(night: Night) -> None:
    plant(
        night,
        f"INSERT INTO raw.orders (order_id, ordered_at, total, _file_id, _valid_from) VALUES ('o1', {NOW} + INTERVAL 1 DAY, -1, 9, {NOW})",
        "INSERT INTO raw.orders SELECT * REPLACE (-1 AS total, TIMESTAMP '2026-01-02' AS _superseded_at) FROM raw.orders"
        " WHERE order_id = 'o2'",
    )
    check(night, "raw")
    assert failed(night, "raw") == {}


def test_what_collecting_refused_and_stale_or_future_rows(night: Night, caplog: pytest.LogCaptureFixture) -> None:
    plant(
        night,
        "UPDATE collect.files SET rows_quarantined = 16, rows_loaded = 284 WHERE table_name = 'reviews'",
        "UPDATE collect.files SET rows_quarantined = 15, rows_loaded = 285 WHERE table_name = 'orders'",
        "INSERT INTO collect.quarantine VALUES (5, 'reviews', 'reviews/1.csv', 7, 'rating', '11', 'above 5', NULL)",
        "UPDATE collect.files SET rows_quarantined = 15 WHERE table_name = 'customers'",
        "INSERT INTO collect.quarantine VALUES (1, 'customers', 'customers/1.csv', 8, 'email', 'secret@example.org', 'too long', NULL)",
        "INSERT INTO collect.files (file_id, table_name, path, status, reason, rows_read, as_of)"
        f" VALUES (9, 'events', 'events/2.csv.gz', 'refused', 'truncated', 0, {NOW})",
        f"UPDATE raw.orders SET ordered_at = {NOW} + INTERVAL 1 MINUTE WHERE order_id IN ('o1', 'o2')",
        "DELETE FROM raw.order_items WHERE order_id IN ('o1', 'o2')",
        f"DELETE FROM raw.reviews WHERE reviewed_at > {NOW} - INTERVAL 4 DAY",
        f"UPDATE raw.orders SET ordered_at = {NOW} - INTERVAL 5 DAY WHERE ordered_at BETWEEN {NOW} - INTERVAL 4 DAY AND {NOW}",
    )
    with caplog.at_level(logging.WARNING), pytest.raises(GateRefused, match=r"reviews\.quarantine_share: 0\.0533333 \(at most 0\.05\)"):
        check(night, "raw")
    assert failed(night, "raw") == {
        "reviews.quarantine_share": "stop",
        "customers.quarantine_share": "stop",
        "events.files_refused": "warn",
        "orders.rows_from_after_as_of": "warn",
        "facts.days_since_newest_fact": "warn",
    }
    assert "path='reviews/1.csv', row_number='7', column_name='rating', value='11', reason='above 5'" in caplog.text
    assert "column_name='email', value=None" in caplog.text
    assert "secret" not in caplog.text
    assert "path='events/2.csv.gz', reason='truncated'" in caplog.text


@pytest.mark.parametrize(
    ("emptied", "refused"),
    [(["products"], "products.holds_rows"), (["orders", "reviews"], "orders or events or reviews.fact_tables_with_rows")],
)
def test_what_a_night_cannot_do_without(night: Night, emptied: list[str], refused: str) -> None:
    plant(night, *(f"DELETE FROM raw.{table}" for table in emptied))
    with pytest.raises(GateRefused):
        check(night, "raw")
    assert [name for name, severity in failed(night, "raw").items() if severity == "stop"] == [refused]


def test_a_refused_night_does_not_wash_its_quarantine_clean(night: Night, shop_night: OpenNight) -> None:
    plant(night, "UPDATE collect.files SET rows_quarantined = 60, rows_loaded = 240 WHERE table_name = 'reviews'")
    with pytest.raises(GateRefused):
        check(night, "raw")
    second = shop_night("2026-03-02")
    plant(
        second,
        "INSERT INTO collect.files"
        " SELECT * REPLACE (11 AS file_id, 0 AS rows_quarantined, 300 AS rows_loaded, TIMESTAMP '2026-03-02' AS as_of)"
        " FROM collect.files WHERE table_name = 'reviews'",
    )
    with pytest.raises(GateRefused, match=r"reviews\.quarantine_share: 0\.1 "):
        check(second, "raw")
    publish_nothing_but(night, "release")
    check(second, "raw")
    assert results(second, "raw")["reviews.quarantine_share"][1] == "0 (at most 0.05)", "counted from the last published night on"


def test_tonight_is_compared_with_earlier_nights_only(night: Night, shop_night: OpenNight) -> None:
    """Three usual nights of 100 new reviews; then one of 60 with half the texts missing and all ratings low, then of 20."""
    for day in range(1, 5):
        night = shop_night(f"2026-03-{day:02}", keep_releases=2)
        rows, text, rating = (100, "'fine'", "1 + i % 5") if day < 4 else (60, "CASE WHEN i % 2 = 0 THEN 'fine' END", "1")
        take_reviews(night, day, rows, text, rating)
        if day < 4:
            check(night, "raw")
            assert failed(night, "raw") == {}
    check(night, "raw")
    assert failed(night, "raw") == {"reviews.text_null_share_rise": "warn", "reviews.rating_drift": "warn"}
    assert results(night, "raw")["reviews.text_null_share_rise"][1] == "0.5 (at most 0.2)"

    plant(night, "DELETE FROM raw.reviews WHERE review_id LIKE 'n4-%' AND _row > 20")
    check(night, "raw")
    found = results(night, "raw")
    assert found["reviews.new_rows_against_trailing_nights"] == (False, "0.2 (at least 0.3)", "warn")
    assert found["reviews.rating_drift"][:2] == (True, "not known yet"), "twenty ratings are too few to judge"

    pages = (night.home / "docs" / night.shop / "quality" / "validations" / "raw" / "orders").iterdir()
    assert sorted(path.name for path in pages) == ["20260303T000000", "20260304T000000"], "docs are kept for as many nights as releases"

    third = shop_night("2026-03-03")
    check(third, "raw")
    assert failed(third, "raw") == {}, "an earlier night run again knows nothing of the fourth"


def take_reviews(night: Night, day: int, rows: int, text: str, rating: str) -> None:
    at = f"TIMESTAMP '{night.as_of_sql}' - INTERVAL 1 HOUR"
    plant(
        night,
        "INSERT INTO raw.reviews (review_id, product_id, customer_id, rating, text, reviewed_at, _file_id, _row, _valid_from)"
        f" SELECT 'n{day}-' || i, 'p1', 'c1', {rating}, {text}, {at}, {100 + day}, i, {at} FROM range(1, {rows + 1}) t(i)",
        "INSERT INTO collect.files (file_id, table_name, path, status, rows_read, rows_loaded, rows_duplicate, rows_quarantined, as_of)"
        f" VALUES ({100 + day}, 'reviews', 'reviews/{day}.csv', 'loaded', {rows}, {rows}, 0, 0, TIMESTAMP '{night.as_of_sql}')",
    )


def test_the_warehouse_is_free_again_after_a_gate(night: Night) -> None:
    check(night, "raw")
    config = {"access_mode": "read_only"}
    with duckdb.connect(str(night.warehouse), config=config) as connection:
        assert connection.execute("SELECT count(*) FROM raw.orders").fetchall() == [(300,)]


def test_ids_spelt_otherwise_stop_the_night_and_say_why(night: Night, shop_night: OpenNight, caplog: pytest.LogCaptureFixture) -> None:
    plant(night, "UPDATE raw.orders SET customer_id = customer_id || '.0' WHERE order_id LIKE 'o1%'")
    with caplog.at_level(logging.WARNING), pytest.raises(GateRefused) as refusal:
        check(night, "raw")
    assert failed(night, "raw") == {"orders.customer_id_in_customers": "warn", "orders.share_misspelt_customer_id_in_customers": "stop"}
    assert "111 of 300 find nothing in customers, such as 'c0.0' (there is 'c0')" in refusal.value.problem
    assert "likely cause: numbers written as decimals" in refusal.value.problem
    assert "order_id='o1', customer_id='c1.0'" in caplog.text
    check(shop_night(max_misspelt_share=0.4), "raw")


def test_ids_that_mostly_find_nothing_stop_the_night(night: Night, shop_night: OpenNight) -> None:
    plant(night, "UPDATE raw.order_items SET product_id = 'gone ' || product_id WHERE order_id < 'o7'")
    with pytest.raises(GateRefused, match="share_not_product_id_in_products"):
        check(night, "raw")
    check(shop_night(max_unmatched_share=0.9), "raw")


def test_a_customer_with_a_large_share_of_the_orders_is_told(night: Night) -> None:
    plant(night, "UPDATE raw.orders SET customer_id = 'c7' WHERE order_id LIKE 'o1%'")
    check(night, "raw")
    assert failed(night, "raw") == {"orders.largest_customers_share": "warn"}


def test_a_snapshot_that_loses_much_stops_the_night_until_it_is_whole_again(shop_night: OpenNight) -> None:
    night = shop_night(snapshot_tables=["products"])
    fill_raw(night)
    lost = "UPDATE collect.files SET rows_held = 20, rows_gone = {} WHERE table_name = 'products'"
    plant(night, lost.format(4))
    check(night, "raw")
    plant(night, lost.format(5))
    with pytest.raises(GateRefused, match=r"products.share_gone_at_once: 0.25 \(at most 0.2\)"):
        check(night, "raw")


def test_what_was_taken_otherwise_and_what_was_stamped_later_is_told(night: Night, caplog: pytest.LogCaptureFixture) -> None:
    plant(
        night,
        f"INSERT INTO collect.notes VALUES (1, 'products', 'p.csv', 'price', 'rounded', 3, 7, '1.23456', {NOW})",
        f"UPDATE raw.products SET updated_at = {NOW} + INTERVAL 1 HOUR WHERE product_id < 'p15'",
    )
    with caplog.at_level(logging.WARNING):
        check(night, "raw")
    assert failed(night, "raw") == {"products.values_taken_otherwise": "warn", "products.rows_stamped_after_as_of": "warn"}
    assert "products.rows_stamped_after_as_of: 7 (at most 0): written after the night's moment" in caplog.text
    assert "column_name='price', note='rounded', rows='3'" in caplog.text


def test_what_is_gone_is_not_judged(night: Night) -> None:
    plant(
        night,
        f"UPDATE raw.products SET price = -1, _gone_at = {NOW} - INTERVAL 1 SECOND WHERE product_id = 'p6'",
        f"UPDATE raw.reviews SET rating = 11, deleted_at = {NOW} - INTERVAL 1 SECOND WHERE review_id = 'r4'",
    )
    check(night, "raw")
    assert set(failed(night, "raw")) == {"order_items.product_id_in_products", "reviews.product_id_in_products"}
