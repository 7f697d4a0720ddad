"""The serving gate: tables in order pass, and each planted fault is caught with its severity."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable

import duckdb
import pytest
from small_shop import SERVING, failed, fill_features, fill_serving, plant, publish, replant, results

from include.errors import GateRefused
from include.night import Night
from include.publish.releases import serve
from include.quality import check

pytestmark = pytest.mark.slow

OpenNight = Callable[..., Night]


@pytest.fixture
def night(shop_night: OpenNight) -> Night:
    night = shop_night()
    fill_features(night)
    fill_serving(night)
    return night


def test_tables_in_order_pass_twice_with_the_same_results(night: Night) -> None:
    check(night, "serving")
    path = night.folder / "quality" / "serving.parquet"
    first = path.read_bytes()
    check(night, "serving")
    assert path.read_bytes() == first
    assert failed(night, "serving") == {}


def test_faults_in_the_lists(night: Night, caplog: pytest.LogCaptureFixture) -> None:
    plant(
        night,
        "DELETE FROM serving.recommendations WHERE customer_id = 'c0' AND rank = 5",
        "UPDATE serving.recommendations SET rank = 7 WHERE customer_id = 'c1' AND rank = 5",
        "UPDATE serving.recommendations SET product_id = 'p4' WHERE customer_id = 'c2' AND rank IN (1, 2)",
        "UPDATE serving.recommendations SET product_id = 'p19' WHERE customer_id = 'c3' AND rank = 1",
        "UPDATE serving.recommendations SET product_id = 'p17' WHERE customer_id = 'c4' AND rank = 1",
        "UPDATE serving.recommendations SET product_id = 'unheard of' WHERE customer_id = 'c5' AND rank = 1",
        "UPDATE serving.recommendations SET score = 'nan' WHERE customer_id = 'c6' AND rank = 1",
        "UPDATE serving.recommendations SET score = 9 WHERE customer_id = 'c7' AND rank = 2",
        "UPDATE serving.recommendations SET strategy = NULL WHERE customer_id = 'c8' AND rank = 1",
        "UPDATE serving.recommendations SET reason = ' ' WHERE customer_id = 'c9' AND rank = 1",
        "UPDATE serving.recommendations SET customer_id = 'ghost' WHERE customer_id = 'c10'",
        "UPDATE serving.recommendations SET release_id = 'other' WHERE customer_id = 'c11'",
        "INSERT INTO serving.recommendations SELECT * REPLACE (6 AS rank, 'p16' AS product_id, 0 AS score)"
        " FROM serving.recommendations WHERE customer_id = 'c12' AND rank = 5",
    )
    with caplog.at_level(logging.WARNING), pytest.raises(GateRefused):
        check(night, "serving")
    assert failed(night, "serving") == {
        "recommendations.every_customer_has_a_full_list": "stop",
        "recommendations.no_list_longer_than_asked": "stop",
        "recommendations.customers_known": "stop",
        "recommendations.ranks_without_gaps": "stop",
        "recommendations.no_product_twice": "stop",
        "recommendations.strategy_not_null": "stop",
        "recommendations.product_id_known": "stop",
        "recommendations.no_unavailable_product": "stop",
        "recommendations.no_owned_product": "stop",
        "recommendations.reasons_not_blank": "stop",
        "recommendations.scores_finite": "stop",
        "recommendations.scores_descending": "stop",
        "recommendations.other_release_ids": "stop",
    }
    for told in (
        "customer_id='c0', products='4'",
        "customer_id='c10', products='0'",
        "customer_id='c3', rank='1', product_id='p19'",
        "customer_id='c4', rank='1', product_id='p17'",
        "customer_id='c7', rank='2', score='9.0'",
        "release_id='other'",
    ):
        assert told in caplog.text


def test_faults_in_the_other_tables(night: Night) -> None:
    plant(
        night,
        "UPDATE serving.recommendations_default SET segment = 'new'",
        "UPDATE serving.recommendations_default SET product_id = 'p2' WHERE rank = 1",
        "UPDATE serving.similar_products SET similar_product_id = product_id WHERE product_id = 'p3' AND rank = 1",
        "UPDATE serving.similar_products SET rank = 2 WHERE product_id = 'p4' AND rank = 3",
        "UPDATE serving.recommendations_by_category SET product_id = 'p18' WHERE customer_id = 'c0' AND rank = 1",
        "UPDATE serving.recommendations_by_category SET category = 'Cups' WHERE customer_id = 'c1' AND rank = 2",
        "UPDATE serving.recommendations_by_category SET customer_id = 'ghost', score = 'inf' WHERE customer_id = 'c2' AND rank = 1",
        "UPDATE serving.bought_together SET bought_product_id = product_id, score = 0 WHERE product_id = 'p3' AND rank = 2",
        "UPDATE serving.bought_together SET bought_product_id = 'p17', rank = 3 WHERE product_id = 'p4' AND rank = 2",
        "UPDATE serving.bought_together SET score = 9 WHERE product_id = 'p5' AND rank = 2",
        "UPDATE serving.trending_products SET product_id = 'p17', recent_customers = 1 WHERE rank = 1",
        "UPDATE serving.trending_products SET category = NULL WHERE category = 'Tea' AND rank = 2",
        "UPDATE serving.review_sentiment SET p_neutral = 0.4 WHERE review_id = 'r5'",
        "UPDATE serving.review_sentiment SET score = 0.6 WHERE review_id = 'r6'",
        "UPDATE serving.review_sentiment SET score = 1.2 WHERE review_id = 'r7'",
        "UPDATE serving.review_sentiment SET sentiment = 'great' WHERE review_id = 'r8'",
        "INSERT INTO serving.review_sentiment SELECT * FROM serving.review_sentiment WHERE review_id = 'r9'",
        "UPDATE serving.ticket_sentiment SET ticket_id = 'unheard of' WHERE ticket_id = 't3'",
        "UPDATE serving.product_sentiment SET mean_score = -2 WHERE product_id = 'p10'",
        "UPDATE serving.product_sentiment SET alert = true WHERE product_id = 'p11'",
        "UPDATE serving.sentiment_alerts SET cleared_at = cleared_at + INTERVAL 9 DAY WHERE cleared_at IS NOT NULL",
        "INSERT INTO serving.sentiment_alerts SELECT * REPLACE (raised_at - INTERVAL 1 DAY AS raised_at, 0.6 AS score_then)"
        " FROM serving.sentiment_alerts WHERE cleared_at IS NULL",
        "UPDATE serving.product_aspects SET positive = 4, example_review_id = 'unheard of' WHERE product_id = 'p1'",
        "UPDATE serving.suspect_reviews SET weight = 2, like_review_id = NULL WHERE review_id = 'r1'",
        "UPDATE serving.suspect_reviews SET review_id = 'unheard of' WHERE review_id = 'r2'",
        "DELETE FROM serving.customer_profiles WHERE customer_id = 'c11'",
        "UPDATE serving.customer_profiles SET churn_probability = 1.5 WHERE customer_id = 'c12'",
        "UPDATE serving.model_metrics SET value = 0.05",
        "UPDATE serving.quality_results SET success = false",
        "INSERT INTO serving.release SELECT * REPLACE (TIMESTAMP '2020-01-01' AS as_of) FROM serving.release",
    )
    with pytest.raises(GateRefused):
        check(night, "serving")
    assert failed(night, "serving") == {
        "recommendations_default.segment_all_exists": "stop",
        "recommendations_default.no_product_twice": "stop",
        "similar_products.not_similar_to_itself": "stop",
        "similar_products.ranks_without_gaps": "stop",
        "similar_products.product_id_and_rank_unique": "stop",
        "recommendations_by_category.no_owned_product": "stop",
        "recommendations_by_category.no_dismissed_product": "stop",
        "recommendations_by_category.products_of_the_category": "stop",
        "recommendations_by_category.ranks_without_gaps": "stop",
        "recommendations_by_category.customer_id_known": "stop",
        "recommendations_by_category.scores_finite": "stop",
        "bought_together.not_bought_with_itself": "stop",
        "bought_together.beyond_chance": "stop",
        "bought_together.no_unavailable_product": "stop",
        "bought_together.ranks_without_gaps": "stop",
        "bought_together.scores_descending": "stop",
        "trending_products.rising": "stop",
        "trending_products.no_unavailable_product": "stop",
        "trending_products.category_not_null": "stop",
        "trending_products.ranks_without_gaps": "stop",
        "review_sentiment.probabilities_sum_to_one": "stop",
        "review_sentiment.score_is_positive_less_negative": "stop",
        "review_sentiment.score_between_-1_and_1": "stop",
        "review_sentiment.sentiment_allowed": "stop",
        "review_sentiment.review_id_unique": "stop",
        "ticket_sentiment.ticket_id_known": "stop",
        "product_sentiment.mean_score_between_-1_and_1": "stop",
        "product_sentiment.alert_while_one_is_open": "stop",
        "sentiment_alerts.falls_only": "stop",
        "sentiment_alerts.nothing_after_as_of": "stop",
        "sentiment_alerts.one_open_alert_a_product": "stop",
        "product_aspects.mentions_hold_praise_and_blame": "stop",
        "product_aspects.example_review_id_known": "stop",
        "suspect_reviews.weight_between_0_and_1": "stop",
        "suspect_reviews.copies_name_what_they_copy": "stop",
        "suspect_reviews.review_id_known": "stop",
        "customer_profiles.every_customer_has_a_profile": "warn",
        "customer_profiles.churn_probability_between_0_and_1": "stop",
        "model_metrics.champion_not_below_baseline": "warn",
        "quality_results.nothing_that_stops_has_failed": "stop",
        "release.one_row": "stop",
        "release.release_id_unique": "stop",
        "release.of_this_night": "stop",
    }


def test_a_small_catalogue_allows_shorter_lists(night: Night) -> None:
    """Three products are left and each customer owns one of two of them: lists of two or three are full, one is not."""
    replant(night, "products", "SELECT * REPLACE (product_id IN ('p1', 'p18', 'p19') AS is_available) FROM rows")
    plant(
        night,
        "DELETE FROM serving.recommendations WHERE rank > 2",
        "UPDATE serving.recommendations SET product_id = CASE rank WHEN 1 THEN 'p1' ELSE 'p' || (19 - right(customer_id, 1)::INT % 2) END",
        "DELETE FROM serving.recommendations_default WHERE rank > 1",
        "DELETE FROM serving.recommendations_by_category",
        "DELETE FROM serving.bought_together",
        "DELETE FROM serving.similar_products",
        "DELETE FROM serving.trending_products WHERE rank > 1",
    )
    check(night, "serving")
    assert failed(night, "serving") == {}
    plant(night, "DELETE FROM serving.recommendations WHERE customer_id = 'c5' AND rank = 2")
    with pytest.raises(GateRefused, match=r"refused: recommendations\.every_customer_has_a_full_list: 1 rows\n"):
        check(night, "serving")


def test_a_shop_without_predictions_is_published_empty(night: Night) -> None:
    """Empty tables pass where no model wrote predictions; the same tables are refused where one did."""
    predictions = [table for table in SERVING if table not in ("release", "customer_profiles")]
    plant(night, *(f"DELETE FROM serving.{table}" for table in predictions))
    with pytest.raises(GateRefused):
        check(night, "serving")
    assert failed(night, "serving") == {
        "recommendations.has_rows": "warn",
        "recommendations.every_customer_has_a_full_list": "stop",
        "recommendations_default.segment_all_exists": "stop",
    }
    (night.predictions / "recommendations.parquet").unlink()
    check(night, "serving")
    assert failed(night, "serving") == {}


def test_a_missing_table_is_named(night: Night) -> None:
    plant(night, "DROP TABLE serving.similar_products")
    with pytest.raises(GateRefused, match="no serving table similar_products"):
        check(night, "serving")


def test_how_the_lists_moved_since_yesterday(night: Night, shop_night: OpenNight) -> None:
    publish(night)
    today = shop_night("2026-03-02", max_customers_lost=0.3)
    fill_features(today)
    fill_serving(today)
    check(today, "serving")
    found = results(today, "serving")
    assert found["recommendations.overlap_with_yesterday"] == (True, "1 (at least 0.2)", "warn")
    assert found["recommendations.customers_lost_since_yesterday"] == (True, "0 (at most 0.05)", "warn")

    replant(today, "customers", "FROM rows WHERE customer_id NOT IN ('c0', 'c1', 'c2')")
    plant(
        today,
        "DELETE FROM serving.recommendations WHERE customer_id IN ('c0', 'c1', 'c2')",
        "DELETE FROM serving.recommendations_by_category",
        "UPDATE serving.recommendations SET product_id = 'p' || ((right(product_id, -1)::INT + 8) % 17)",
        "DELETE FROM serving.similar_products WHERE product_id <> 'p1'",
    )
    check(today, "serving")
    assert failed(today, "serving") == {
        "recommendations.overlap_with_yesterday": "warn",
        "recommendations.customers_lost_since_yesterday": "warn",
        "similar_products.rows_against_yesterday": "warn",
    }
    assert results(today, "serving")["recommendations.customers_lost_since_yesterday"][1] == "0.1 (at most 0.05)"

    replant(today, "customers", "FROM rows WHERE right(customer_id, -1)::INT >= 10")
    plant(today, "DELETE FROM serving.recommendations WHERE right(customer_id, -1)::INT < 10")
    with pytest.raises(GateRefused) as refused:
        check(today, "serving")
    assert refused.value.problem == (
        "The serving gate refused: recommendations.most_customers_kept_since_yesterday: 0.333333 (at most 0.3): 10 of the 30 customers of"
        " release 20260301T000000-0123abcd are gone, the limit is NIGHTSHELF_MAX_CUSTOMERS_LOST"
    )
    dry_run = shop_night("2026-03-02", max_customers_lost=0.3, publish=False)
    check(dry_run, "serving")
    assert failed(dry_run, "serving")["recommendations.most_customers_kept_since_yesterday"] == "warn", "a dry run loses nobody"

    night = shop_night()
    fill_serving(night)
    check(night, "serving")
    assert "recommendations.overlap_with_yesterday" not in results(night, "serving"), "a night is never compared with itself or a later one"


def test_the_loss_is_of_what_is_served(night: Night, shop_night: OpenNight) -> None:
    """The release that was put back by hand is what customers see; a shop that is not this one has no customers to keep."""
    publish(night)
    later = shop_night("2026-03-03")
    publish(later)
    put_back = night.releases / f"{night.key}-0123abcd.duckdb"
    with duckdb.connect(str(put_back)) as release:
        release.execute("UPDATE recommendations SET customer_id = 'x' || customer_id WHERE right(customer_id, -1)::INT < 3")
    lost, kept = "3 of the 30 customers of release 20260301T000000-0123abcd are gone", "0 of the 30 customers of release 20260303T000000"

    def said(**settings: str) -> str:
        today = shop_night("2026-03-04", **settings)
        fill_features(today)
        fill_serving(today)
        check(today, "serving")
        return str(results(today, "serving").get("recommendations.most_customers_kept_since_yesterday", ("", "", ""))[1])

    assert kept in said(), "nothing is served: the latest release of the shop"
    serve(put_back, night.serving)
    assert lost in said()
    serve(later.releases / f"{later.key}-0123abcd.duckdb", night.serving)
    assert kept in said()
    assert said(shop="tea") == ""


def test_a_customer_whose_id_is_an_address_is_not_shown(night: Night, caplog: pytest.LogCaptureFixture) -> None:
    plant(night, "UPDATE serving.recommendations SET customer_id = customer_id || '@example.org' WHERE customer_id IN ('c3', 'c4')")
    with caplog.at_level(logging.WARNING), pytest.raises(GateRefused):
        check(night, "serving")
    assert failed(night, "serving")["recommendations.customers_known"] == "stop"
    shown = "customer_id='#" + hashlib.sha256(b"c3@example.org").hexdigest()[:8] + "'"
    assert shown in caplog.text and "c3@" not in caplog.text
    written = [path for folder in (night.folder, night.home / "docs") for path in folder.rglob("*") if path.is_file()]
    assert {"serving_offenders.json", "index.html"} <= {path.name for path in written}
    assert [path for path in written if b"@example.org" in path.read_bytes()] == []
