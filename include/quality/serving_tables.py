"""The serving gate's checks of the tables that are no lists: reviews understood, customers described, the night's own records."""

from __future__ import annotations

from include.night import Night
from include.quality.checks import TableChecks
from include.quality.serving_lists import served_table

LOWER_IS_BETTER = "^ece$|loss|error|brier|rmse|mae"
NEITHER_IS_BETTER = "^(coverage|novelty|diversity|miscalibration|popularity_bias)@"  # personal lists may well be narrower than popular ones


def check_sentiment(of: str) -> TableChecks:
    """Of a 'review' or a 'ticket'."""
    checks = served_table(f"{of}_sentiment", f"{of}_id")
    checks.unique_key()
    for column in (f"{of}_id", "sentiment", "score", "model_version"):
        checks.not_null(column)
    checks.in_set("sentiment", ("negative", "neutral", "positive"))
    checks.between("score", -1, 1)
    for column in ("p_negative", "p_neutral", "p_positive"):
        checks.not_null(column)
        checks.between(column, 0, 1)
    sums = "NOT abs(p_negative + p_neutral + p_positive - 1) <= 0.001"
    checks.none_where("probabilities_sum_to_one", "stop", sums, "p_negative", "p_neutral", "p_positive")
    difference = "NOT abs(score - (p_positive - p_negative)) <= 0.001"
    checks.none_where("score_is_positive_less_negative", "stop", difference, "score", "p_negative", "p_positive")
    checks.none_where(f"{of}s_known", "stop", f"{of}_id NOT IN (SELECT {of}_id FROM gate.known_{of}s)")
    return checks


def check_product_sentiment() -> TableChecks:
    checks = served_table("product_sentiment", "product_id")
    checks.unique_key()
    checks.not_null("product_id")
    checks.between("reviews", 1, None)
    checks.between("mean_score", -1, 1)
    checks.between("recent_score", -1, 1)
    for column in ("p_value", "q_value"):
        checks.between(column, 0, 1)
    open_alert = "product_id IN (SELECT product_id FROM gate.sentiment_alerts WHERE cleared_at IS NULL)"
    checks.none_where("alert_while_one_is_open", "stop", f"alert <> ({open_alert})", "alert")
    return checks


def check_sentiment_alerts(night: Night) -> TableChecks:
    checks = served_table("sentiment_alerts", "product_id", "raised_at")
    checks.unique_key()
    for column in ("product_id", "raised_at", "score_before", "score_then"):
        checks.not_null(column)
    checks.none_where("falls_only", "stop", "score_then >= score_before", "score_before", "score_then")
    checks.in_set("cleared_because", ("recovered", "quiet"))
    untimely = f"raised_at > TIMESTAMP '{night.as_of_sql}' OR cleared_at > TIMESTAMP '{night.as_of_sql}' OR cleared_at <= raised_at"
    checks.none_where("nothing_after_as_of", "stop", untimely, "cleared_at")
    twice = "SELECT product_id, count(*) AS rows FROM checked WHERE cleared_at IS NULL GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL"
    checks.no_rows("one_open_alert_a_product", "stop", twice)
    return checks


def check_suspect_reviews() -> TableChecks:
    checks = served_table("suspect_reviews", "review_id", "reason")
    checks.unique_key()
    checks.in_set("reason", ("copy", "near_copy", "burst", "one_brand"))
    checks.between("weight", 0, 1)
    checks.none_where("reviews_known", "stop", "review_id NOT IN (SELECT review_id FROM gate.known_reviews)")
    checks.none_where("copies_name_what_they_copy", "stop", "contains(reason, 'copy') AND like_review_id IS NULL", "like_review_id")
    return checks


def check_product_aspects() -> TableChecks:
    checks = served_table("product_aspects", "product_id", "aspect")
    checks.unique_key()
    for column in ("product_id", "aspect", "mentions", "score", "positive", "negative", "example", "example_review_id"):
        checks.not_null(column)
    checks.between("score", -1, 1)
    checks.none_where("mentions_hold_praise_and_blame", "stop", "positive + negative > mentions", "mentions", "positive", "negative")
    checks.none_where("examples_known", "stop", "example_review_id NOT IN (SELECT review_id FROM gate.known_reviews)", "example_review_id")
    return checks


def check_customer_profiles() -> TableChecks:
    checks = served_table("customer_profiles", "customer_id")
    checks.unique_key()
    checks.not_null("customer_id")
    checks.between("recency_days", 0, None)
    checks.between("frequency", 0, None)
    checks.between("churn_probability", 0, 1)
    missing = "SELECT customer_id FROM gate.known_customers WHERE customer_id NOT IN (SELECT customer_id FROM checked) ORDER BY ALL"
    checks.no_rows("every_customer_has_a_profile", "warn", missing)
    return checks


def check_model_metrics() -> TableChecks:
    checks = served_table("model_metrics", "model", "role", "metric", "split")
    checks.in_set("role", ("champion", "challenger"))
    checks.none_where("values_finite", "stop", "value IS NULL OR NOT isfinite(value)", "value")
    better = f"CASE WHEN regexp_matches(metric, '{LOWER_IS_BETTER}') THEN value > baseline_value ELSE value < baseline_value END"
    below = f"role = 'champion' AND NOT regexp_matches(metric, '{NEITHER_IS_BETTER}') AND {better}"
    checks.none_where("champion_not_below_baseline", "warn", below, "value", "baseline", "baseline_value")
    return checks


def check_quality_results() -> TableChecks:
    checks = served_table("quality_results", "suite", "table_name", "expectation")
    checks.in_set("severity", ("warn", "stop"))
    checks.none_where("nothing_that_stops_has_failed", "stop", "severity = 'stop' AND NOT success")
    return checks


def check_release(night: Night) -> TableChecks:
    checks = served_table("release", "release_id")
    checks.no_rows("one_row", "stop", "SELECT count(*) AS rows FROM checked HAVING count(*) <> 1")
    checks.not_null("release_id")
    checks.none_where("of_this_night", "stop", f"as_of IS DISTINCT FROM TIMESTAMP '{night.as_of_sql}'", "as_of")
    return checks
