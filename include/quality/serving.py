"""The serving gate: what the shop's customers are about to see, and how far it moved since yesterday."""

from __future__ import annotations

import duckdb

from include.errors import GateRefused
from include.night import Night
from include.publish.releases import latest_release_before
from include.quality.checks import Figures, Suite, TableChecks
from include.quality.features import open_features
from include.quality.profile import path_literal

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
)
MIN_COVERAGE = 0.05  # share of the catalogue that the lists show
MIN_OVERLAP = 0.2  # mean share of a list that was in the same customer's list yesterday
WARN_CUSTOMERS_LOST = 0.05
MIN_ROWS_SHARE = 0.5  # of yesterday's rows in the same table
SAMPLED_CUSTOMERS = 50_000  # lists compared with yesterday's, at most about this many
CUSTOMERS = "SELECT customer_id AS owner, segment, reached_age FROM gate.known_customers"
VISITORS = "SELECT DISTINCT segment AS owner, segment, 0 AS reached_age FROM checked"
DISMISSED = "(customer_id, product_id) IN (SELECT (customer_id, product_id) FROM gate.known_dismissed)"
OWNED = "(customer_id, product_id) IN (SELECT (customer_id, product_id) FROM gate.known_owned)"
SAMPLED_SHORT_LISTS = 200  # lists that limits made short, in which it is looked for a product that there was room for
LOWER_IS_BETTER = "^ece$|loss|error|brier|rmse|mae"
NEITHER_IS_BETTER = "^(coverage|novelty|diversity|miscalibration|popularity_bias)@"  # personal lists may well be narrower than popular ones


def suites(connection: duckdb.DuckDBPyConnection, night: Night) -> list[Suite]:
    """One suite a serving table, and one of figures.

    A table of predictions may be empty only where the model wrote none, because the shop cannot have it.

    Raises:
        GateRefused: a serving table or feature file is missing.
    """
    _open_tables(connection, night)
    has_limits = _open_lists(connection, night)
    figures = Figures(connection)
    recommends = (night.predictions / "recommendations.parquet").is_file()
    _release_ids(connection, figures)
    _coverage(connection, figures)
    _since_yesterday(connection, figures, night)
    tables = [
        _recommendations(night, recommends),
        _recommendations_default(night, recommends),
        _recommendations_by_category(),
        _similar_products(),
        _bought_together(),
        _trending_products(),
        _review_sentiment(),
        _product_sentiment(),
        _sentiment_alerts(night),
        _suspect_reviews(),
        _product_aspects(),
        _customer_profiles(),
        _model_metrics(),
        _quality_results(),
        _release(night),
    ]
    return [_lists(night, recommends, has_limits).suite("lists")] + [table.suite() for table in tables] + [figures.suite()]


def _open_tables(connection: duckdb.DuckDBPyConnection, night: Night) -> None:
    found = connection.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_catalog = 'warehouse' AND table_schema = 'serving'"
    ).fetchall()
    missing = sorted(set(TABLES) - {name for (name,) in found})
    if missing:
        raise GateRefused(f"The warehouse has no serving table {', '.join(missing)}", "Run the serve step of this night again.")
    for name in TABLES:
        connection.execute(f"CREATE OR REPLACE VIEW gate.{name} AS SELECT * FROM warehouse.serving.{name}")
    open_features(connection, night, ("customers", "products", "owned", "dismissed", "rules", "reviews"), prefix="known_")
    if (night.features / "sentiment_rules.parquet").is_file():
        files = ", ".join(path_literal(night.features / f"{name}.parquet") for name in ("rules", "sentiment_rules"))
        connection.execute(f"CREATE OR REPLACE VIEW gate.known_rules AS SELECT * FROM read_parquet([{files}])")


def _open_lists(connection: duckdb.DuckDBPyConnection, night: Night) -> bool:
    """What each customer could be shown, and the lists one row a customer; returns whether any rule limits them.

    gate.shelf has the available products of each kind of customer (segment and age reached) that no rule refuses to all of them;
    gate.barred what a customer owns or took off the lists; gate.lists tells how many products a customer could be shown.
    """
    connection.execute("CREATE OR REPLACE TABLE gate.available AS SELECT product_id FROM gate.known_products WHERE is_available")
    connection.execute(f"""
        CREATE OR REPLACE TABLE gate.shelf AS
        SELECT segment, reached_age, product_id
        FROM (SELECT DISTINCT segment, reached_age FROM gate.known_customers) kind CROSS JOIN gate.available a
        WHERE NOT EXISTS (
            SELECT 1 FROM gate.known_rules r WHERE r.product_id = a.product_id AND ({_REFUSES.format(customer="kind")}))""")
    connection.execute("""
        CREATE OR REPLACE TABLE gate.barred AS
        SELECT customer_id, product_id FROM gate.known_owned UNION SELECT customer_id, product_id FROM gate.known_dismissed""")
    connection.execute(f"""
        CREATE OR REPLACE TABLE gate.lists AS
        SELECT *, products < least({night.settings.list_length}, showable) AND is_known AS is_short
        FROM (
            SELECT customer_id, segment, reached_age, coalesce(products, 0) AS products, first_rank, last_rank, ranks, distinct_products,
                coalesce(showable, 0) - coalesce(barred, 0) AS showable, segment IS NOT NULL AS is_known
            FROM (
                SELECT customer_id, count(*) AS products, min(rank) AS first_rank, max(rank) AS last_rank,
                    count(DISTINCT rank) AS ranks, count(DISTINCT product_id) AS distinct_products
                FROM gate.recommendations GROUP BY customer_id)
            FULL JOIN (SELECT customer_id, segment, reached_age FROM gate.known_customers) USING (customer_id)
            LEFT JOIN (SELECT segment, reached_age, count(*) AS showable FROM gate.shelf GROUP BY ALL) USING (segment, reached_age)
            LEFT JOIN (
                SELECT customer_id, count(*) AS barred
                FROM gate.barred JOIN gate.known_customers USING (customer_id) JOIN gate.shelf USING (segment, reached_age, product_id)
                GROUP BY customer_id) USING (customer_id))""")
    ((has_limits,),) = connection.execute("SELECT count(*) > 0 FROM gate.known_rules WHERE kind = 'limit'").fetchall()
    return bool(has_limits)


# whether rule r keeps its product from a kind of customer; whether it is about their lists
_OF_SEGMENT = "(r.segment IS NULL OR r.segment = {customer}.segment)"
_REFUSES = f"r.kind = 'block' AND {_OF_SEGMENT} OR r.kind = 'minimum_age' AND r.value > {{customer}}.reached_age"


def _table(name: str, *key: str) -> TableChecks:
    return TableChecks(name, f"SELECT * FROM gate.{name}", key)


# ---- recommendations -------------------------------------------------------------------------------------------------
def _lists(night: Night, recommends: bool, has_limits: bool) -> TableChecks:
    """Checks of whole lists, over one row a customer."""
    checks = TableChecks("recommendations", "SELECT * FROM gate.lists", ["customer_id"])
    if recommends and has_limits:
        checks.no_rows("every_customer_has_a_full_list", "stop", _room_in_short_lists())
    elif recommends:
        checks.none_where("every_customer_has_a_full_list", "stop", "is_short", "products", "showable")
    checks.none_where("no_list_longer_than_asked", "stop", f"products > {night.settings.list_length}", "products")
    checks.none_where("customers_known", "stop", "NOT is_known")
    gaps = "products > 0 AND (first_rank <> 1 OR last_rank <> products OR ranks <> products)"
    checks.none_where("ranks_without_gaps", "stop", gaps, "products", "first_rank", "last_rank")
    checks.none_where("no_product_twice", "stop", "distinct_products <> products", "products", "distinct_products")
    return checks


def _room_in_short_lists() -> str:
    """Products that a list shorter than the others could still have held, within all limits."""
    limited = f"r.kind = 'limit' AND {_OF_SEGMENT.format(customer='l')}"
    return f"""
        SELECT l.customer_id, l.products, s.product_id
        FROM (SELECT * FROM checked WHERE is_short ORDER BY hash(customer_id), customer_id LIMIT {SAMPLED_SHORT_LISTS}) l
        JOIN gate.shelf s USING (segment, reached_age)
        ANTI JOIN gate.recommendations shown ON shown.customer_id = l.customer_id AND shown.product_id = s.product_id
        ANTI JOIN gate.barred b ON b.customer_id = l.customer_id AND b.product_id = s.product_id
        ANTI JOIN (
            SELECT l.customer_id, r.product_id
            FROM checked l JOIN gate.known_rules r ON {limited}
            LEFT JOIN (
                SELECT customer_id, rule_id, count(*) AS held FROM gate.recommendations JOIN gate.known_rules r USING (product_id)
                WHERE r.kind = 'limit' GROUP BY ALL) h ON h.customer_id = l.customer_id AND h.rule_id = r.rule_id
            WHERE l.is_short AND coalesce(held, 0) >= r.value) f
            ON f.customer_id = l.customer_id AND f.product_id = s.product_id
        ORDER BY ALL"""


def _recommendations(night: Night, recommends: bool) -> TableChecks:
    checks = _table("recommendations", "customer_id", "rank", "product_id")
    if recommends:
        checks.has_rows("warn")
    for column in ("customer_id", "rank", "product_id", "score", "strategy", "reason"):
        checks.not_null(column)
    _product_checks(checks, "product_id")
    checks.none_where("no_owned_product", "stop", OWNED)
    checks.none_where("nothing_the_customer_took_off", "stop", DISMISSED)
    _refusal_checks(checks, "customer_id", CUSTOMERS)
    _limit_checks(checks, night, "customer_id", CUSTOMERS)
    if recommends:
        checks.no_rows("pins_at_their_places", "stop", _misplaced_pins(night))
    checks.between("propensity", 0, 1)
    drawn = "propensity IS NULL OR propensity <= 0 OR strategy <> 'exploration' AND propensity <> 1"
    checks.none_where("propensities_of_what_was_drawn", "stop", drawn, "strategy", "propensity")
    checks.none_where("reasons_say_something", "stop", "trim(reason) = '' OR trim(strategy) = ''", "strategy")
    _score_checks(checks, "customer_id")
    return checks


def _recommendations_default(night: Night, recommends: bool) -> TableChecks:
    checks = _table("recommendations_default", "segment", "rank", "product_id")
    if recommends:
        for_all = "FROM gate.available ANTI JOIN (SELECT product_id FROM gate.known_rules WHERE kind = 'minimum_age') USING (product_id)"
        missing = f"SELECT 'all' AS segment WHERE (SELECT count(*) {for_all}) > 0 AND 'all' NOT IN (SELECT segment FROM checked)"
        checks.no_rows("segment_all_exists", "stop", missing)
    for column in ("segment", "rank", "product_id", "score"):
        checks.not_null(column)
    _product_checks(checks, "product_id")
    _refusal_checks(checks, "segment", VISITORS)
    _limit_checks(checks, night, "segment", VISITORS)
    _list_checks(checks, "segment", "product_id")
    _score_checks(checks, "segment")
    return checks


def _recommendations_by_category() -> TableChecks:
    checks = _table("recommendations_by_category", "customer_id", "category", "rank", "product_id")
    for column in ("customer_id", "category", "rank", "product_id", "score"):
        checks.not_null(column)
    checks.none_where("customers_known", "stop", "customer_id NOT IN (SELECT customer_id FROM gate.known_customers)")
    _product_checks(checks, "product_id")
    other = "(product_id, category) NOT IN (SELECT (product_id, category) FROM gate.known_products WHERE category IS NOT NULL)"
    checks.none_where("products_of_the_category", "stop", other)
    checks.none_where("no_owned_product", "stop", OWNED)
    checks.none_where("nothing_the_customer_took_off", "stop", DISMISSED)
    _refusal_checks(checks, "customer_id", CUSTOMERS)
    _list_checks(checks, "customer_id, category", "product_id")
    _score_checks(checks, "customer_id, category")
    return checks


def _refusal_checks(checks: TableChecks, owner: str, owners: str) -> None:
    """No row shows what a rule refuses; `owners` is a SELECT of the lists' owners with their segment and the age reached."""
    for name, kind in (("no_blocked_product", "block"), ("no_product_above_the_age_reached", "minimum_age")):
        offenders = f"""
            SELECT l.{owner}, l.rank, l.product_id, r.rule_id
            FROM checked l JOIN ({owners}) o ON o.owner = l.{owner} JOIN gate.known_rules r ON r.product_id = l.product_id
            WHERE r.kind = '{kind}' AND ({_REFUSES.format(customer="o")}) ORDER BY ALL"""
        checks.no_rows(name, "stop", offenders)


def _limit_checks(checks: TableChecks, night: Night, owner: str, owners: str) -> None:
    """No list holds more of a limit's products than it allows; pins stand whatever the limits say, and count for them."""
    beyond = f"""
        SELECT l.{owner}, r.rule_id, count(*) AS products, any_value(r.value) AS most
        FROM checked l JOIN ({owners}) o ON o.owner = l.{owner} JOIN gate.known_rules r ON r.product_id = l.product_id
        WHERE r.kind = 'limit' AND {_OF_SEGMENT.format(customer="o")} GROUP BY ALL
        HAVING count(*) > greatest(any_value(r.value), count(*) FILTER ((o.owner, l.product_id) IN ({_pins(night, owners)})))
        ORDER BY ALL"""
    checks.no_rows("limits_kept", "stop", beyond)


def _pins(night: Night, owners: str) -> str:
    return f"""
        SELECT (o.owner, p.product_id) FROM ({owners}) o JOIN gate.known_rules p USING (segment)
        WHERE p.kind = 'pin' AND p.value <= {night.settings.list_length}"""


def _misplaced_pins(night: Night) -> str:
    """Pins whose product a customer may be shown and that do not stand at their place, or at the end of a list that is shorter."""
    return f"""
        SELECT c.customer_id, p.rule_id, p.product_id, p.value AS place, l.rank
        FROM gate.lists c JOIN gate.known_rules p USING (segment) SEMI JOIN gate.shelf USING (segment, reached_age, product_id)
        ANTI JOIN gate.barred USING (customer_id, product_id)
        LEFT JOIN checked l ON l.customer_id = c.customer_id AND l.product_id = p.product_id
        WHERE p.kind = 'pin' AND p.value <= {night.settings.list_length}
            AND (l.rank IS NULL OR l.rank > p.value OR l.rank < least(p.value, c.products)) ORDER BY ALL"""


def _similar_products() -> TableChecks:
    checks = _table("similar_products", "product_id", "rank", "similar_product_id")
    for column in ("product_id", "rank", "similar_product_id", "score"):
        checks.not_null(column)
    checks.none_where("not_similar_to_itself", "stop", "product_id = similar_product_id")
    _product_checks(checks, "similar_product_id")
    _age_check(checks, "similar_product_id", "product_id")
    _list_checks(checks, "product_id", "similar_product_id")
    _score_checks(checks, "product_id")
    return checks


def _bought_together() -> TableChecks:
    checks = _table("bought_together", "product_id", "rank", "bought_product_id")
    for column in ("product_id", "rank", "bought_product_id", "score", "lift", "orders"):
        checks.not_null(column)
    checks.none_where("not_bought_with_itself", "stop", "product_id = bought_product_id")
    checks.none_where("beyond_chance", "stop", "score <= 0 OR lift <= 1", "score", "lift")
    _product_checks(checks, "bought_product_id")
    _age_check(checks, "bought_product_id", "product_id")
    _list_checks(checks, "product_id", "bought_product_id")
    _score_checks(checks, "product_id")
    return checks


def _trending_products() -> TableChecks:
    checks = _table("trending_products", "category", "rank", "product_id")
    for column in ("category", "rank", "product_id", "score", "recent_customers", "usual_customers"):
        checks.not_null(column)
    checks.none_where("rising", "stop", "score <= 0 OR recent_customers <= usual_customers", "score", "recent_customers", "usual_customers")
    _product_checks(checks, "product_id")
    _age_check(checks, "product_id")
    _list_checks(checks, "category", "product_id")
    _score_checks(checks, "category")
    return checks


def _product_checks(checks: TableChecks, column: str) -> None:
    checks.none_where("products_known", "stop", f"{column} NOT IN (SELECT product_id FROM gate.known_products)")
    unavailable = f"{column} IN (SELECT product_id FROM gate.known_products WHERE NOT is_available)"
    checks.none_where("no_unavailable_product", "stop", unavailable)


def _age_check(checks: TableChecks, shown: str, beside: str | None = None) -> None:
    """Nothing has a minimum age in a table for everybody, or a higher one than the product it is shown beside."""
    age = "coalesce((SELECT max(r.value) FROM gate.known_rules r WHERE r.kind = 'minimum_age' AND r.product_id = checked.{}), 0)"
    checks.none_where("no_product_above_the_age", "stop", f"{age.format(shown)} > {age.format(beside) if beside else 0}")


def _list_checks(checks: TableChecks, owner: str, product: str) -> None:
    gaps = "min(rank) <> 1 OR max(rank) <> count(*) OR count(DISTINCT rank) <> count(*)"
    checks.no_rows(
        "ranks_without_gaps", "stop", f"SELECT {owner}, count(*) AS rows FROM checked GROUP BY {owner} HAVING {gaps} ORDER BY ALL"
    )
    twice = f"SELECT {owner}, {product} FROM checked GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL"
    checks.no_rows("no_product_twice", "stop", twice)


def _score_checks(checks: TableChecks, owner: str) -> None:
    checks.none_where("scores_finite", "stop", "NOT isfinite(score)")
    rising = f"""
        SELECT {owner}, rank, score FROM checked
        QUALIFY score > lag(score) OVER (PARTITION BY {owner} ORDER BY rank) ORDER BY ALL"""
    checks.no_rows("scores_descending", "stop", rising)


# ---- the other tables ------------------------------------------------------------------------------------------------
def _review_sentiment() -> TableChecks:
    checks = _table("review_sentiment", "review_id")
    checks.unique_key()
    for column in ("review_id", "sentiment", "score", "model_version"):
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
    checks.none_where("reviews_known", "stop", "review_id NOT IN (SELECT review_id FROM gate.known_reviews)")
    return checks


def _product_sentiment() -> TableChecks:
    checks = _table("product_sentiment", "product_id")
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


def _sentiment_alerts(night: Night) -> TableChecks:
    checks = _table("sentiment_alerts", "product_id", "raised_at")
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


def _suspect_reviews() -> TableChecks:
    checks = _table("suspect_reviews", "review_id", "reason")
    checks.unique_key()
    checks.in_set("reason", ("copy", "near_copy", "burst", "one_brand"))
    checks.between("weight", 0, 1)
    checks.none_where("reviews_known", "stop", "review_id NOT IN (SELECT review_id FROM gate.known_reviews)")
    checks.none_where("copies_name_what_they_copy", "stop", "contains(reason, 'copy') AND like_review_id IS NULL", "like_review_id")
    return checks


def _product_aspects() -> TableChecks:
    checks = _table("product_aspects", "product_id", "aspect")
    checks.unique_key()
    for column in ("product_id", "aspect", "mentions", "score", "positive", "negative", "example", "example_review_id"):
        checks.not_null(column)
    checks.between("score", -1, 1)
    checks.none_where("mentions_hold_praise_and_blame", "stop", "positive + negative > mentions", "mentions", "positive", "negative")
    checks.none_where("examples_known", "stop", "example_review_id NOT IN (SELECT review_id FROM gate.known_reviews)", "example_review_id")
    return checks


def _customer_profiles() -> TableChecks:
    checks = _table("customer_profiles", "customer_id")
    checks.unique_key()
    checks.not_null("customer_id")
    checks.between("recency_days", 0, None)
    checks.between("frequency", 0, None)
    checks.between("churn_probability", 0, 1)
    missing = "SELECT customer_id FROM gate.known_customers WHERE customer_id NOT IN (SELECT customer_id FROM checked) ORDER BY ALL"
    checks.no_rows("every_customer_has_a_profile", "warn", missing)
    return checks


def _model_metrics() -> TableChecks:
    checks = _table("model_metrics", "model", "role", "metric", "split")
    checks.in_set("role", ("champion", "challenger"))
    checks.none_where("values_finite", "stop", "value IS NULL OR NOT isfinite(value)", "value")
    better = f"CASE WHEN regexp_matches(metric, '{LOWER_IS_BETTER}') THEN value > baseline_value ELSE value < baseline_value END"
    below = f"role = 'champion' AND NOT regexp_matches(metric, '{NEITHER_IS_BETTER}') AND {better}"
    checks.none_where("champion_not_below_baseline", "warn", below, "value", "baseline", "baseline_value")
    return checks


def _quality_results() -> TableChecks:
    checks = _table("quality_results", "suite", "table_name", "expectation")
    checks.in_set("severity", ("warn", "stop"))
    checks.none_where("nothing_that_stops_has_failed", "stop", "severity = 'stop' AND NOT success")
    return checks


def _release(night: Night) -> TableChecks:
    checks = _table("release", "release_id")
    checks.no_rows("one_row", "stop", "SELECT count(*) AS rows FROM checked HAVING count(*) <> 1")
    checks.not_null("release_id")
    checks.none_where("of_this_night", "stop", f"as_of IS DISTINCT FROM TIMESTAMP '{night.as_of_sql}'", "as_of")
    return checks


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


def _since_yesterday(connection: duckdb.DuckDBPyConnection, figures: Figures, night: Night) -> None:
    """Against the shop's latest release of an earlier moment; nothing where there is none."""
    yesterday = latest_release_before(night.home, night.shop, night.as_of)
    if yesterday is None:
        return
    connection.execute(f"ATTACH {path_literal(yesterday.path)} AS yesterday (READ_ONLY)")
    for name in TABLES[:6]:
        rows = f"SELECT (SELECT count(*) FROM gate.{name}) / nullif((SELECT count(*) FROM yesterday.main.{name}), 0)"
        (share,) = connection.execute(rows).fetchall()[0]
        figures.add(name, "rows_against_yesterday", "warn", share, low=MIN_ROWS_SHARE)

    lost = """
        SELECT DISTINCT customer_id FROM yesterday.main.recommendations
        WHERE customer_id NOT IN (SELECT customer_id FROM gate.recommendations WHERE customer_id IS NOT NULL)"""
    share_lost = (
        f"SELECT (SELECT count(*) FROM ({lost})) / nullif((SELECT count(DISTINCT customer_id) FROM yesterday.main.recommendations), 0)"
    )
    (share,) = connection.execute(share_lost).fetchall()[0]
    offenders = f"{lost} ORDER BY ALL"
    figures.add("recommendations", "customers_lost_since_yesterday", "warn", share, high=WARN_CUSTOMERS_LOST, offenders=offenders)
    limit = night.settings.max_customers_lost
    figures.add("recommendations", "most_customers_kept_since_yesterday", "stop", share, high=limit, offenders=offenders)

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
