"""The serving gate's checks of lists: whole, in order, and within every rule, to the last row."""

from __future__ import annotations

import duckdb

from include.night import Night
from include.quality.checks import TableChecks

CUSTOMERS = "SELECT customer_id AS owner, segment, reached_age FROM gate.known_customers"
VISITORS = "SELECT DISTINCT segment AS owner, segment, 0 AS reached_age FROM checked"
DISMISSED = "(customer_id, product_id) IN (SELECT (customer_id, product_id) FROM gate.known_dismissed)"
OWNED = "(customer_id, product_id) IN (SELECT (customer_id, product_id) FROM gate.known_owned)"
SAMPLED_SHORT_LISTS = 200  # lists that limits made short, in which it is looked for a product that there was room for

# whether rule r keeps its product from a kind of customer; whether it is about their lists
_OF_SEGMENT = "(r.segment IS NULL OR r.segment = {customer}.segment)"
_REFUSES = f"r.kind = 'block' AND {_OF_SEGMENT} OR r.kind = 'minimum_age' AND r.value > {{customer}}.reached_age"


def served_table(name: str, *key: str) -> TableChecks:
    """Checks of a serving table, whose rows `key` identifies."""
    return TableChecks(name, f"SELECT * FROM gate.{name}", key)


def open_lists(connection: duckdb.DuckDBPyConnection, night: Night) -> bool:
    """What each customer could be shown, and the lists one row a customer; returns whether any rule limits them.

    gate.shelf has the available products of each kind of customer (segment and age reached) that no rule refuses to all of them;
    gate.barred what a customer owns or took off the lists; gate.lists tells how many products a customer could be shown. Of variants
    the one that stands for all is on the shelf and barred; gate.variants tells which that is, and gate.listed the lists by these.
    """
    connection.execute("""
        CREATE OR REPLACE TABLE gate.available AS
        SELECT product_id FROM gate.known_products WHERE is_available AND product_id = shown_product_id""")
    connection.execute("""
        CREATE OR REPLACE TABLE gate.variants AS
        SELECT product_id, shown_product_id FROM gate.known_products
        WHERE shown_product_id IN (SELECT shown_product_id FROM gate.known_products WHERE product_id <> shown_product_id)""")
    connection.execute("""
        CREATE OR REPLACE VIEW gate.listed AS
        SELECT customer_id, coalesce(v.shown_product_id, r.product_id) AS product_id
        FROM gate.recommendations r LEFT JOIN gate.variants v USING (product_id)""")
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


# ---- lists of customers and visitors ----------------------------------------------------------------------------------
def check_lists(night: Night, recommends: bool, has_limits: bool) -> TableChecks:
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
        ANTI JOIN gate.listed shown ON shown.customer_id = l.customer_id AND shown.product_id = s.product_id
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


def check_recommendations(night: Night, recommends: bool) -> TableChecks:
    checks = served_table("recommendations", "customer_id", "rank", "product_id")
    if recommends:
        checks.has_rows("warn")
    for column in ("customer_id", "rank", "product_id", "score", "strategy", "reason"):
        checks.not_null(column)
    _product_checks(checks, "product_id")
    checks.none_where("no_owned_product", "stop", OWNED)
    checks.none_where("nothing_the_customer_took_off", "stop", DISMISSED)
    _variant_checks(checks, "customer_id")
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


def check_recommendations_default(night: Night, recommends: bool) -> TableChecks:
    checks = served_table("recommendations_default", "segment", "rank", "product_id")
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


def check_recommendations_by_category() -> TableChecks:
    checks = served_table("recommendations_by_category", "customer_id", "category", "rank", "product_id")
    for column in ("customer_id", "category", "rank", "product_id", "score"):
        checks.not_null(column)
    checks.none_where("customers_known", "stop", "customer_id NOT IN (SELECT customer_id FROM gate.known_customers)")
    _product_checks(checks, "product_id")
    other = "(product_id, category) NOT IN (SELECT (product_id, category) FROM gate.known_products WHERE category IS NOT NULL)"
    checks.none_where("products_of_the_category", "stop", other)
    checks.none_where("no_owned_product", "stop", OWNED)
    checks.none_where("nothing_the_customer_took_off", "stop", DISMISSED)
    _variant_checks(checks, "customer_id, category")
    _refusal_checks(checks, "customer_id", CUSTOMERS)
    _list_checks(checks, "customer_id, category", "product_id")
    _score_checks(checks, "customer_id, category")
    return checks


def _variant_checks(checks: TableChecks, owner: str) -> None:
    """A customer's list holds one variant of a product, and none where the customer owns one or took one off the lists."""
    twice = (
        f"SELECT {owner}, shown_product_id FROM checked JOIN gate.variants USING (product_id) GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL"
    )
    checks.no_rows("one_variant_of_a_product", "stop", twice)
    barred = """
        SELECT c.customer_id, c.product_id FROM checked c JOIN gate.variants v USING (product_id)
        JOIN gate.barred b ON b.customer_id = c.customer_id AND b.product_id = v.shown_product_id ORDER BY ALL"""
    checks.no_rows("no_variant_of_what_is_owned_or_taken_off", "stop", barred)


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


# ---- lists of products -----------------------------------------------------------------------------------------------
def check_similar_products() -> TableChecks:
    checks = served_table("similar_products", "product_id", "rank", "similar_product_id")
    for column in ("product_id", "rank", "similar_product_id", "score"):
        checks.not_null(column)
    checks.none_where("not_similar_to_itself", "stop", "product_id = similar_product_id")
    _product_checks(checks, "similar_product_id")
    _age_check(checks, "similar_product_id", "product_id")
    _list_checks(checks, "product_id", "similar_product_id")
    _score_checks(checks, "product_id")
    return checks


def check_bought_together() -> TableChecks:
    checks = served_table("bought_together", "product_id", "rank", "bought_product_id")
    for column in ("product_id", "rank", "bought_product_id", "score", "lift", "orders"):
        checks.not_null(column)
    checks.none_where("not_bought_with_itself", "stop", "product_id = bought_product_id")
    checks.none_where("beyond_chance", "stop", "score <= 0 OR lift <= 1", "score", "lift")
    _product_checks(checks, "bought_product_id")
    _age_check(checks, "bought_product_id", "product_id")
    _list_checks(checks, "product_id", "bought_product_id")
    _score_checks(checks, "product_id")
    return checks


def check_trending_products() -> TableChecks:
    checks = served_table("trending_products", "category", "rank", "product_id")
    for column in ("category", "rank", "product_id", "score", "recent_customers", "usual_customers"):
        checks.not_null(column)
    checks.none_where("rising", "stop", "score <= 0 OR recent_customers <= usual_customers", "score", "recent_customers", "usual_customers")
    _product_checks(checks, "product_id")
    _age_check(checks, "product_id")
    _list_checks(checks, "category", "product_id")
    _score_checks(checks, "category")
    return checks


# ---- what all lists promise ------------------------------------------------------------------------------------------
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
