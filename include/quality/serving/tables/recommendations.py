"""The lists of customers: full where they can be, and nothing that a rule, an order or the customer forbids."""

from __future__ import annotations

from include.quality.checks import TableChecks
from include.quality.serving.lists import (
    CUSTOMERS,
    DISMISSED,
    OF_SEGMENT,
    OWNED,
    check_available,
    check_limits,
    check_refusals,
    check_scores,
    check_variants,
    list_length,
)
from include.quality.serving.served import ServedChecks

SAMPLED_SHORT_LISTS = 200  # lists that limits made short, in which a product is looked for that there was room for


def check(checks: ServedChecks) -> None:
    check_available(checks, "product_id")
    checks.none_where("no_owned_product", "stop", OWNED)
    checks.none_where("no_dismissed_product", "stop", DISMISSED)
    check_variants(checks, "customer_id")
    check_refusals(checks, "customer_id", CUSTOMERS)
    check_limits(checks, "customer_id", CUSTOMERS)
    if checks.is_written:
        checks.no_rows("pins_at_their_places", "stop", _misplaced_pins(list_length(checks.night)))
    check_scores(checks, "customer_id")


def more(of: ServedChecks) -> list[TableChecks]:
    """Checks of whole lists, over one row a customer."""
    checks = TableChecks("recommendations", "SELECT * FROM gate.lists", ["customer_id"], suite_name="lists")
    ((has_limits,),) = of.connection.execute("SELECT count(*) > 0 FROM gate.known_rules WHERE kind = 'limit'").fetchall()
    if of.is_written and has_limits:
        checks.no_rows("every_customer_has_a_full_list", "stop", _room_in_short_lists())
    elif of.is_written:
        checks.none_where("every_customer_has_a_full_list", "stop", "is_short", "products", "showable")
    checks.none_where("no_list_longer_than_asked", "stop", f"products > {list_length(of.night)}", "products")
    checks.none_where("customers_known", "stop", "NOT is_known")
    gaps = "products > 0 AND (first_rank <> 1 OR last_rank <> products OR ranks <> products)"
    checks.none_where("ranks_without_gaps", "stop", gaps, "products", "first_rank", "last_rank")
    checks.none_where("no_product_twice", "stop", "distinct_products <> products", "products", "distinct_products")
    return [checks]


def _room_in_short_lists() -> str:
    """Products that a list shorter than the others could still have held, within all limits."""
    limited = f"r.kind = 'limit' AND {OF_SEGMENT.format(customer='l')}"
    return f"""
        SELECT l.customer_id, l.products, s.product_id
        FROM (SELECT * FROM checked WHERE is_short ORDER BY hash(customer_id), customer_id LIMIT {SAMPLED_SHORT_LISTS}) l
        JOIN gate.showable_products s USING (segment, reached_age)
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


def _misplaced_pins(length: int) -> str:
    """Pins whose product a customer may be shown and that do not stand at their place, or at the end of a list that is shorter."""
    return f"""
        SELECT c.customer_id, p.rule_id, p.product_id, p.value AS place, l.rank
        FROM gate.lists c JOIN gate.known_rules p USING (segment) SEMI JOIN gate.showable_products USING (segment, reached_age, product_id)
        ANTI JOIN gate.barred USING (customer_id, product_id)
        LEFT JOIN checked l ON l.customer_id = c.customer_id AND l.product_id = p.product_id
        WHERE p.kind = 'pin' AND p.value <= {length}
            AND (l.rank IS NULL OR l.rank > p.value OR l.rank < least(p.value, c.products)) ORDER BY ALL"""
