"""Which score of a pair names best what else is in an order: the one `bought_together` publishes, and others.

    python -m tests.benchmarks.bench_together SHOP [SHOP ...]

A shop is one of bench_nights', whose snapshot is made first, or a snapshot folder. What a customer bought at one moment is an order. Pairs
are counted in the orders before the test days; in the orders of the test days, each line asks for the five best of its pairs, and those
that are in the order count. Prints one JSON line a shop: hits a line, by score.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import duckdb

from tests.benchmarks.bench_recommend import snapshot

PLACES, LARGEST_ORDER, PRIOR = 5, 50, 10
# n orders hold both, n_a and n_b one of them, e would by chance
SCORES = {
    "published": f"(n - e) / (n_a + {PRIOR})",
    "orders": "n",
    "lift": "n / e",
    "lift, shrunk": f"(n + {PRIOR}) / (e + {PRIOR})",
    "cosine": "n / sqrt(n_a * n_b)",
    "cosine, shrunk": f"n / sqrt(n_a * n_b) * n / (n + {PRIOR})",
    "standard deviations": "(n - e) / sqrt(e + 1)",
}

SET_UP = """
    CREATE TABLE lines AS
    SELECT DISTINCT dense_rank() OVER (ORDER BY customer_id, occurred_at) AS order_number, product_id, split = 'test' AS is_asked
    FROM read_parquet($interactions) WHERE event_type = 'purchase';
    DELETE FROM lines WHERE order_number IN (SELECT order_number FROM lines GROUP BY 1 HAVING count(*) > $largest);
    CREATE TABLE known AS SELECT * FROM lines WHERE NOT is_asked;
    CREATE TABLE bought AS SELECT product_id, count(*) AS orders FROM known GROUP BY 1;
    CREATE TABLE pairs AS
    SELECT a.product_id AS a, b.product_id AS b, count(*) AS n FROM known a JOIN known b USING (order_number)
    WHERE a.product_id <> b.product_id GROUP BY ALL HAVING count(*) >= 2;
    CREATE TABLE compared AS
    SELECT a, b, n, one.orders AS n_a, other.orders AS n_b,
        one.orders * other.orders / (SELECT count(DISTINCT order_number) FROM known) AS e
    FROM pairs JOIN bought one ON one.product_id = a JOIN bought other ON other.product_id = b;
    CREATE TABLE asked AS
    SELECT x.order_number, x.product_id AS a, y.product_id AS b FROM lines x JOIN lines y USING (order_number)
    WHERE x.is_asked AND x.product_id <> y.product_id;
"""


def measure(features: Path) -> dict[str, float]:
    connection = duckdb.connect(config={"memory_limit": "3GB"})
    for statement in SET_UP.split(";")[:-1]:
        names = {"interactions": str(features / "interactions.parquet"), "largest": LARGEST_ORDER}
        connection.execute(statement, {name: value for name, value in names.items() if f"${name}" in statement})
    hits = f"""
        WITH best AS (SELECT a, b FROM compared QUALIFY row_number() OVER (PARTITION BY a ORDER BY {{score}} DESC, b) <= {PLACES})
        SELECT (SELECT count(*) FROM asked JOIN best USING (a, b)) / (SELECT count(*) FROM (SELECT DISTINCT order_number, a FROM asked))"""
    return {name: round(connection.execute(hits.format(score=score)).fetchall()[0][0], 4) for name, score in SCORES.items()}


def main(shops: list[str]) -> None:
    for shop in shops:
        with tempfile.TemporaryDirectory() as home:
            print(json.dumps({"benchmark": "together", "shop": Path(shop).name} | measure(snapshot(shop, Path(home)))), flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
