"""The serving gate holds the shop's rules against every row of the lists: each rule broken once is named, and nothing else is."""

from __future__ import annotations

import logging
from collections.abc import Callable

import duckdb
import pytest
from small_shop import failed, fill_features, fill_serving, plant, replant

from include.errors import GateRefused
from include.night import Night
from include.quality import check

pytestmark = pytest.mark.slow

OTHERS = ("recommendations_by_category", "similar_products", "bought_together", "trending_products")


@pytest.fixture
def night(shop_night: Callable[..., Night]) -> Night:
    """Lists of p1 to p15, five each; customer number c has rank + c % 11, visitors p1 to p5."""
    night = shop_night()
    fill_features(night)
    fill_serving(night)
    plant(night, *(f"DELETE FROM serving.{table}" for table in OTHERS))
    return night


def rule(night: Night, *rows: str) -> None:
    """Add rules (rule_id, kind, product_id, segment, value) to the snapshot."""
    replant(night, "rules", f"FROM rows UNION ALL FROM (VALUES {', '.join(rows)})")


def refused(night: Night) -> dict[str, str]:
    with pytest.raises(GateRefused):
        check(night, "serving")
    return failed(night, "serving")


def test_a_blocked_product(night: Night, caplog: pytest.LogCaptureFixture) -> None:
    rule(night, "('b', 'block', 'p1', 'occasional', NULL)", "('n', 'block', 'p2', 'new', NULL)")
    with caplog.at_level(logging.ERROR):
        assert refused(night) == {"recommendations.no_blocked_product": "stop"}
    assert "customer_id='c0', rank='1', product_id='p1', rule_id='b'" in caplog.text
    rule(night, "('a', 'block', 'p2', NULL, NULL)")
    assert refused(night) == {"recommendations.no_blocked_product": "stop", "recommendations_default.no_blocked_product": "stop"}


def test_a_product_that_reviews_dislike(night: Night) -> None:
    rules = duckdb.sql(
        "SELECT 'least_sentiment' AS rule_id, 'block' AS kind, 'p1' AS product_id, NULL::VARCHAR AS segment, NULL::INT AS value"
    )
    rules.write_parquet(str(night.features / "sentiment_rules.parquet"))
    assert refused(night) == {"recommendations.no_blocked_product": "stop", "recommendations_default.no_blocked_product": "stop"}


def test_variants_of_one_product(night: Night) -> None:
    stands_for = "SELECT * REPLACE (CASE product_id WHEN '{}' THEN '{}' ELSE product_id END AS shown_product_id) FROM rows"
    replant(night, "products", stands_for.format("p2", "p1"))
    assert refused(night) == {"recommendations.one_variant_of_a_product": "stop"}
    replant(night, "products", stands_for.format("p1", "p18"))  # which half of the customers own
    assert refused(night) == {"recommendations.no_variant_of_owned_or_dismissed": "stop"}


def test_a_product_above_the_age_reached(night: Night) -> None:
    rule(night, "('m', 'minimum_age', 'p15', NULL, 18)")
    check(night, "serving")
    replant(night, "customers", "SELECT * REPLACE (CASE customer_id WHEN 'c10' THEN 0 ELSE reached_age END AS reached_age) FROM rows")
    assert refused(night) == {"recommendations.no_product_above_the_age_reached": "stop"}
    rule(night, "('d', 'minimum_age', 'p1', NULL, 16)")
    assert refused(night) == {
        "recommendations.no_product_above_the_age_reached": "stop",
        "recommendations_default.no_product_above_the_age_reached": "stop",
    }


def test_a_product_the_customer_took_off(night: Night) -> None:
    replant(night, "dismissed", "FROM rows UNION ALL SELECT 'c0', 'p1', TIMESTAMP '2026-02-01'")
    assert refused(night) == {"recommendations.no_dismissed_product": "stop"}


def test_more_than_a_limit_allows(night: Night, caplog: pytest.LogCaptureFixture) -> None:
    for product in range(1, 6):
        rule(night, f"('l', 'limit', 'p{product}', NULL, 5)", f"('s', 'limit', 'p{product}', 'new', 1)")
    check(night, "serving")
    replant(night, "rules", "SELECT * REPLACE (CASE rule_id WHEN 'l' THEN 4 ELSE value END AS value) FROM rows")
    with caplog.at_level(logging.ERROR):
        assert refused(night) == {"recommendations.limits_kept": "stop", "recommendations_default.limits_kept": "stop"}
    assert "customer_id='c0', rule_id='l', products='5', most='4'" in caplog.text


def test_pins_count_for_limits_but_are_no_fault(night: Night) -> None:
    """Of c0's five limited products two are allowed; that all five are the shop's own pins excuses them."""
    plant(night, "DELETE FROM serving.recommendations_default WHERE rank > 2")
    replant(night, "customers", "SELECT * REPLACE (CASE customer_id WHEN 'c0' THEN 'new' ELSE 'loyal' END AS segment) FROM rows")
    for place in range(1, 6):
        rule(night, f"('l', 'limit', 'p{place}', NULL, 2)", f"('{place}', 'pin', 'p{place}', 'new', {place})")
    assert refused(night) == {"recommendations.limits_kept": "stop"}
    plant(night, "DELETE FROM serving.recommendations WHERE customer_id <> 'c0'", "DELETE FROM serving.customer_profiles")
    replant(night, "customers", "FROM rows WHERE customer_id = 'c0'")
    check(night, "serving")


def test_a_pin_out_of_its_place(night: Night, caplog: pytest.LogCaptureFixture) -> None:
    """c0 has p3 at place 3 and c1 at place 2; c2 has it at place 1, which is too early; c11 is like c0 and took it off."""
    replant(night, "customers", "FROM rows WHERE customer_id IN ('c0', 'c1', 'c2', 'c3', 'c11')")
    plant(night, "DELETE FROM serving.recommendations WHERE customer_id NOT IN ('c0', 'c1', 'c2', 'c3', 'c11')")
    replant(night, "dismissed", "FROM rows UNION ALL SELECT 'c3', 'p3', TIMESTAMP '2026-02-01'")
    rule(night, "('a', 'pin', 'p3', 'occasional', 3)", "('far', 'pin', 'p9', 'occasional', 6)", "('else', 'pin', 'p9', 'new', 1)")
    with caplog.at_level(logging.ERROR):
        assert refused(night) == {"recommendations.pins_at_their_places": "stop"}
    for customer in ("c1", "c2"):
        assert f"customer_id='{customer}', rule_id='a', product_id='p3', place='3'" in caplog.text
    assert "customer_id='c0', rule_id" not in caplog.text and "customer_id='c3'" not in caplog.text


def test_a_list_that_limits_made_short_and_one_that_was_left_short(night: Night, caplog: pytest.LogCaptureFixture) -> None:
    """Two of everything above p2 at most: c0's p1 to p4 are all it may have; without p2 there is room for that."""
    replant(night, "customers", "FROM rows WHERE customer_id = 'c0'")
    plant(night, "DELETE FROM serving.recommendations WHERE customer_id <> 'c0' OR rank > 4")
    plant(night, "DELETE FROM serving.recommendations_default WHERE rank > 4")
    for product in (0, *range(3, 20)):
        rule(night, f"('l', 'limit', 'p{product}', NULL, 2)")
    check(night, "serving")
    plant(night, "DELETE FROM serving.recommendations WHERE rank = 2", "UPDATE serving.recommendations SET rank = rank - 1 WHERE rank > 2")
    with caplog.at_level(logging.ERROR):
        assert refused(night) == {"recommendations.every_customer_has_a_full_list": "stop"}
    assert "customer_id='c0', products='3', product_id='p2'" in caplog.text and "product_id='p5'" not in caplog.text


def test_a_customer_who_may_be_shown_little_has_a_full_list(night: Night) -> None:
    """Products blocked for the segment, above the age, owned and taken off are no gap in a list."""
    replant(night, "customers", "SELECT * REPLACE (0 AS reached_age) FROM rows WHERE customer_id = 'c0'")
    plant(night, "DELETE FROM serving.recommendations WHERE customer_id <> 'c0' OR rank > 2")
    rule(
        night,
        *(f"('b', 'block', 'p{product}', 'occasional', NULL)" for product in (0, *range(3, 15), 16)),
        "('c', 'minimum_age', 'p15', NULL, 18)",
    )
    replant(night, "dismissed", "FROM rows UNION ALL SELECT 'c0', 'p19', TIMESTAMP '2026-02-01'")
    check(night, "serving")
    replant(night, "dismissed", "FROM rows WHERE product_id <> 'p19'")
    assert refused(night) == {"recommendations.every_customer_has_a_full_list": "stop"}


def test_lists_by_category_hold_nothing_that_is_refused(night: Night) -> None:
    fill_serving(night)
    rule(night, "('b', 'block', 'p1', 'occasional', NULL)", "('m', 'minimum_age', 'p2', 'occasional', 21)")
    replant(night, "dismissed", "FROM rows UNION ALL SELECT 'c2', 'p3', TIMESTAMP '2026-02-01'")
    checks = ("no_blocked_product", "no_product_above_the_age_reached", "no_dismissed_product")
    found = refused(night)
    assert {name for name in found if "by_category" in name} == {f"recommendations_by_category.{name}" for name in checks}


def test_tables_for_everybody_hold_nothing_above_an_age(night: Night, caplog: pytest.LogCaptureFixture) -> None:
    """p1 may stand beside p0, which has the same minimum age, and nowhere else."""
    fill_serving(night)
    rule(night, "('m', 'minimum_age', 'p0', NULL, 18)", "('m', 'minimum_age', 'p1', NULL, 18)")
    with caplog.at_level(logging.ERROR):
        found = refused(night)
    for table in ("similar_products", "bought_together", "trending_products"):
        assert found[f"{table}.no_product_above_the_age"] == "stop"
    assert "product_id='p16', rank='1', similar_product_id='p0'" in caplog.text and "product_id='p0', rank='1', similar" not in caplog.text


def test_a_default_list_of_products_for_any_age(night: Night) -> None:
    """Where everything has a minimum age, visitors nobody knows have no list, and that is in order."""
    plant(night, "DELETE FROM serving.recommendations_default")
    assert refused(night) == {"recommendations_default.segment_all_exists": "stop"}
    rule(night, *(f"('a', 'minimum_age', 'p{product}', NULL, 18)" for product in range(20)))
    check(night, "serving")
