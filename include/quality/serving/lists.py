"""What all lists promise, for the checks of single tables: whole, in order, and within every rule, to the last row."""

from __future__ import annotations

import duckdb

from include.night import Night
from include.quality.checks import TableChecks
from include.quality.serving.served import ServedChecks

CUSTOMERS = "SELECT customer_id AS owner, segment, reached_age FROM gate.known_customers"
VISITORS = "SELECT DISTINCT segment AS owner, segment, 0 AS reached_age FROM checked"
DISMISSED = "(customer_id, product_id) IN (SELECT (customer_id, product_id) FROM gate.known_dismissed)"
OWNED = "(customer_id, product_id) IN (SELECT (customer_id, product_id) FROM gate.known_owned)"

# whether rule r keeps its product from a kind of customer; whether it is about their lists
OF_SEGMENT = "(r.segment IS NULL OR r.segment = {customer}.segment)"
_REFUSES = f"r.kind = 'block' AND {OF_SEGMENT} OR r.kind = 'minimum_age' AND r.value > {{customer}}.reached_age"


def list_length(night: Night) -> int:
    """Products asked for in each list."""
    return int(night.settings.of_model("recommender").list_length)


def open_lists(connection: duckdb.DuckDBPyConnection, night: Night) -> None:
    """Make the views that say what each customer could be shown, and the lists one row a customer.

    gate.showable_products has the available products of each kind of customer (segment and age reached) that no rule refuses to all of
    them; gate.barred what a customer owns or dismissed; gate.lists tells how many products a customer could be shown. Of variants the one
    that stands for all is in both; gate.variants tells which that is, and gate.listed the lists by these.
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
        CREATE OR REPLACE TABLE gate.showable_products AS
        SELECT segment, reached_age, product_id
        FROM (SELECT DISTINCT segment, reached_age FROM gate.known_customers) kind CROSS JOIN gate.available a
        WHERE NOT EXISTS (
            SELECT 1 FROM gate.known_rules r WHERE r.product_id = a.product_id AND ({_REFUSES.format(customer="kind")}))""")
    connection.execute("""
        CREATE OR REPLACE TABLE gate.barred AS
        SELECT customer_id, product_id FROM gate.known_owned UNION SELECT customer_id, product_id FROM gate.known_dismissed""")
    connection.execute(f"""
        CREATE OR REPLACE TABLE gate.lists AS
        SELECT *, products < least({list_length(night)}, showable) AND is_known AS is_short
        FROM (
            SELECT customer_id, segment, reached_age, coalesce(products, 0) AS products, first_rank, last_rank, ranks, distinct_products,
                coalesce(showable, 0) - coalesce(barred, 0) AS showable, segment IS NOT NULL AS is_known
            FROM (
                SELECT customer_id, count(*) AS products, min(rank) AS first_rank, max(rank) AS last_rank,
                    count(DISTINCT rank) AS ranks, count(DISTINCT product_id) AS distinct_products
                FROM gate.recommendations GROUP BY customer_id)
            FULL JOIN (SELECT customer_id, segment, reached_age FROM gate.known_customers) USING (customer_id)
            LEFT JOIN (SELECT segment, reached_age, count(*) AS showable FROM gate.showable_products GROUP BY ALL)
                USING (segment, reached_age)
            LEFT JOIN (
                SELECT customer_id, count(*) AS barred
                FROM gate.barred JOIN gate.known_customers USING (customer_id)
                    JOIN gate.showable_products USING (segment, reached_age, product_id)
                GROUP BY customer_id) USING (customer_id))""")


def check_variants(checks: TableChecks, owner: str) -> None:
    """A customer's list holds one variant of a product, and none where the customer owns one or took one off the lists."""
    twice = (
        f"SELECT {owner}, shown_product_id FROM checked JOIN gate.variants USING (product_id) GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL"
    )
    checks.no_rows("one_variant_of_a_product", "stop", twice)
    barred = """
        SELECT c.customer_id, c.product_id FROM checked c JOIN gate.variants v USING (product_id)
        JOIN gate.barred b ON b.customer_id = c.customer_id AND b.product_id = v.shown_product_id ORDER BY ALL"""
    checks.no_rows("no_variant_of_owned_or_dismissed", "stop", barred)


def check_refusals(checks: TableChecks, owner: str, owners: str) -> None:
    """No row shows what a rule refuses; `owners` is a SELECT of the lists' owners with their segment and the age reached."""
    for name, kind in (("no_blocked_product", "block"), ("no_product_above_the_age_reached", "minimum_age")):
        offenders = f"""
            SELECT l.{owner}, l.rank, l.product_id, r.rule_id
            FROM checked l JOIN ({owners}) o ON o.owner = l.{owner} JOIN gate.known_rules r ON r.product_id = l.product_id
            WHERE r.kind = '{kind}' AND ({_REFUSES.format(customer="o")}) ORDER BY ALL"""
        checks.no_rows(name, "stop", offenders)


def check_limits(checks: ServedChecks, owner: str, owners: str) -> None:
    """No list holds more of a limit's products than it allows; pins stand whatever the limits say, and count for them."""
    pinned = _pins(list_length(checks.night), owners)
    beyond = f"""
        SELECT l.{owner}, r.rule_id, count(*) AS products, any_value(r.value) AS most
        FROM checked l JOIN ({owners}) o ON o.owner = l.{owner} JOIN gate.known_rules r ON r.product_id = l.product_id
        WHERE r.kind = 'limit' AND {OF_SEGMENT.format(customer="o")} GROUP BY ALL
        HAVING count(*) > greatest(any_value(r.value), count(*) FILTER ((o.owner, l.product_id) IN ({pinned})))
        ORDER BY ALL"""
    checks.no_rows("limits_kept", "stop", beyond)


def _pins(length: int, owners: str) -> str:
    """A SELECT of each owner and product that a rule pins to a place within the list."""
    return f"""
        SELECT (o.owner, p.product_id) FROM ({owners}) o JOIN gate.known_rules p USING (segment)
        WHERE p.kind = 'pin' AND p.value <= {length}"""


def check_available(checks: TableChecks, column: str) -> None:
    """No list shows what cannot be had."""
    unavailable = f"{column} IN (SELECT product_id FROM gate.known_products WHERE NOT is_available)"
    checks.none_where("no_unavailable_product", "stop", unavailable)


def check_age(checks: TableChecks, shown: str, beside: str | None = None) -> None:
    """Nothing has a minimum age in a table for everybody, or a higher one than the product it is shown beside."""
    age = "coalesce((SELECT max(r.value) FROM gate.known_rules r WHERE r.kind = 'minimum_age' AND r.product_id = checked.{}), 0)"
    checks.none_where("no_product_above_the_age", "stop", f"{age.format(shown)} > {age.format(beside) if beside else 0}")


def check_order(checks: TableChecks, owner: str, product: str) -> None:
    """The places of a list are 1, 2, … without gaps, and no product stands at two of them."""
    gaps = "min(rank) <> 1 OR max(rank) <> count(*) OR count(DISTINCT rank) <> count(*)"
    checks.no_rows(
        "ranks_without_gaps", "stop", f"SELECT {owner}, count(*) AS rows FROM checked GROUP BY {owner} HAVING {gaps} ORDER BY ALL"
    )
    twice = f"SELECT {owner}, {product} FROM checked GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL"
    checks.no_rows("no_product_twice", "stop", twice)


def check_scores(checks: TableChecks, owner: str) -> None:
    """Scores are finite, and never rise from a place to the next."""
    checks.none_where("scores_finite", "stop", "NOT isfinite(score)")
    rising = f"""
        SELECT {owner}, rank, score FROM checked
        QUALIFY score > lag(score) OVER (PARTITION BY {owner} ORDER BY rank) ORDER BY ALL"""
    checks.no_rows("scores_descending", "stop", rising)
