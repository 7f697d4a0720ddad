"""The features gate: a snapshot in order passes, and each planted fault is caught with its severity."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from small_shop import NOW, failed, fill_features, replant, results

from include.errors import GateRefused
from include.night import Night
from include.quality import check

pytestmark = pytest.mark.slow

OpenNight = Callable[..., Night]


@pytest.fixture
def night(shop_night: OpenNight) -> Night:
    night = shop_night()
    fill_features(night)
    return night


def test_a_snapshot_in_order_passes_twice_with_the_same_results(night: Night) -> None:
    check(night, "features")
    path = night.folder / "quality" / "features.parquet"
    first = path.read_bytes()
    check(night, "features")
    assert path.read_bytes() == first
    assert failed(night, "features") == {}
    assert results(night, "features")["labels.enough_in_test"] == (True, "120 (at least 100)", "warn")


def test_faults_in_what_models_learn_from(night: Night, caplog: pytest.LogCaptureFixture) -> None:
    first = "(SELECT occurred_at FROM rows WHERE split = 'test' ORDER BY ALL LIMIT 1)"
    replant(night, "interactions", f"SELECT * REPLACE (CASE WHEN occurred_at = {first} THEN 'train' ELSE split END AS split) FROM rows")
    weights = "CASE customer_id WHEN 'c3' THEN 'nan'::DOUBLE WHEN 'c4' THEN 0 ELSE weight END"
    replant(night, "interactions", f"SELECT * REPLACE ({weights} AS weight) FROM rows")
    replant(
        night, "interactions", "SELECT * REPLACE (CASE customer_id WHEN 'c5' THEN 'ghost' ELSE customer_id END AS customer_id) FROM rows"
    )
    replant(
        night, "interactions", "SELECT * REPLACE (CASE product_id WHEN 'p7' THEN 'unheard of' ELSE product_id END AS product_id) FROM rows"
    )
    replant(night, "interactions", "SELECT * REPLACE (CASE customer_id WHEN 'c8' THEN 'view' ELSE event_type END AS event_type) FROM rows")
    early = f"CASE WHEN customer_id = 'c1' AND split = 'test' THEN {NOW} - INTERVAL 8 DAY ELSE first_at END"
    replant(night, "labels", f"SELECT * REPLACE ({early} AS first_at) FROM rows UNION ALL SELECT * FROM rows WHERE customer_id = 'c2'")
    replant(night, "owned", f"SELECT * FROM rows UNION ALL SELECT 'c6', 'p1', {NOW} - INTERVAL 30 DAY")
    replant(
        night,
        "products",
        "SELECT * REPLACE (CASE product_id WHEN 'p9' THEN NULL ELSE '' END AS text) FROM rows UNION ALL FROM rows WHERE product_id = 'p10'",
    )
    replant(
        night,
        "customers",
        "SELECT *, customer_id || '@example.org' AS email FROM rows UNION ALL SELECT *, '' FROM rows WHERE customer_id = 'c11'",
    )
    replant(night, "sequences", "SELECT * REPLACE (CASE customer_id WHEN 'c12' THEN ['p1'] ELSE product_ids END AS product_ids) FROM rows")
    replant(
        night,
        "sequences",
        "SELECT * REPLACE (CASE customer_id WHEN 'c13' THEN list_reverse(occurred_ats) ELSE occurred_ats END AS occurred_ats) FROM rows",
    )
    replant(night, "reviews", "SELECT * REPLACE (CASE review_id WHEN 'r14' THEN 'neutral' ELSE label END AS label) FROM rows")
    replant(
        night,
        "reviews",
        "SELECT * REPLACE (CASE review_id WHEN 'r299' THEN 'train' WHEN 'r15' THEN NULL ELSE split END AS split) FROM rows",
    )
    replant(night, "dismissed", "FROM rows UNION ALL FROM rows")
    replant(night, "tickets", "SELECT * REPLACE (CASE ticket_id WHEN 't3' THEN 'I am me@example.org' ELSE text END AS text) FROM rows")
    broken = (
        "('x', 'forbid', 'p1', NULL, 1), ('y', 'limit', 'ghost', NULL, NULL), ('z', 'pin', 'p1', 'all', 1), ('w', 'pin', 'p2', 'all', 1)"
    )
    replant(night, "rules", f"FROM rows UNION ALL FROM (VALUES {broken})")
    replant(night, "splits", "SELECT * FROM rows WHERE split <> 'validation'")
    with caplog.at_level(logging.WARNING), pytest.raises(GateRefused):
        check(night, "features")
    assert failed(night, "features") == {
        "interactions.no_row_learned_from_lies_in_a_later_split": "stop",
        "interactions.in_the_window_of_its_split": "stop",
        "interactions.weights_finite_and_positive": "stop",
        "interactions.customers_known": "stop",
        "interactions.products_known": "stop",
        "interactions.types_of_target": "stop",
        "labels.customer_id_and_product_id_and_split_unique": "stop",
        "labels.in_the_window_of_its_split": "stop",
        "dismissed.customer_id_and_product_id_unique": "stop",
        "rules.kind_allowed": "stop",
        "rules.values_of_all_but_blocks": "stop",
        "rules.products_known": "stop",
        "rules.one_pin_a_place": "stop",
        "products.product_id_unique": "stop",
        "products.text_not_null": "stop",
        "products.share_without_text": "warn",
        "customers.customer_id_unique": "stop",
        "customers.personal_columns": "stop",
        "sequences.lists_of_one_length": "stop",
        "sequences.in_order_of_time": "stop",
        "reviews.label_says_what_the_rating_says": "stop",
        "reviews.split_only_where_labelled": "stop",
        "reviews.no_split_reaches_into_a_later_one": "stop",
        "tickets.no_address_in_a_text": "stop",
        "splits.all_three": "stop",
    }
    assert "column_name='email'" in caplog.text and "@example.org" not in caplog.text


def test_a_snapshot_of_nothing(night: Night) -> None:
    """Without a single interaction the night stops; few test labels and no optional rows only warn or pass."""
    for file in ("interactions", "labels", "owned", "dismissed", "rules", "sequences", "reviews", "tickets"):
        replant(night, file, "FROM rows LIMIT 0")
    with pytest.raises(GateRefused, match=r"refused: interactions\.has_rows: 0 rows\n"):
        check(night, "features")
    assert failed(night, "features") == {"interactions.has_rows": "stop", "labels.enough_in_test": "warn"}


def test_a_missing_file_is_named(night: Night) -> None:
    (night.features / "owned.parquet").unlink()
    with pytest.raises(GateRefused, match=r"no owned\.parquet"):
        check(night, "features")


def test_a_home_with_a_hostile_name(shop_night: OpenNight) -> None:
    """Paths are data: quotes, braces, colons and percent signs in them change nothing."""
    night = shop_night()
    odd = shop_night(home=night.home / "o'clock {batch} :x %s DROP")
    fill_features(odd)
    check(odd, "features")
    assert failed(odd, "features") == {}
