"""Small shops in the shape of real exports that are easily read wrongly, each collected or run as it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from include.collect import collect
from include.collect.contract import load_contract
from include.collect.visible import make_views
from include.errors import GateRefused
from include.night import Night, parse_as_of
from include.quality import check
from include.settings import load_settings
from include.sources import check as checker
from include.sources import land
from tests import whole_night

pytestmark = pytest.mark.slow

AS_OF = "2026-11-28"
Case = Callable[[str], Path]
OpenNight = Callable[..., Night]
QUICK: dict[str, Any] = {"list_length": 5, "similar_length": 3, "category_lists": 0, "sentiment_min_reviews": 10_000}


@pytest.fixture
def collected(shop_case: Case, open_night: OpenNight) -> Callable[..., Night]:
    """Lands and collects a case: collected("a_tsv_open_quote", source="files")."""

    def collected(name: str, as_of: str = AS_OF, source: str = "files") -> Night:
        night = open_night(as_of, source=source, data=shop_case(name))
        land(night)
        collect(night)
        return night

    return collected


def sql(night: Night, query: str) -> list[tuple[Any, ...]]:
    """Ask the warehouse; gate.<table> holds the rows that count tonight."""
    with duckdb.connect(str(night.warehouse)) as con:
        con.execute("ATTACH ':memory:' AS gate")
        make_views(con, load_contract(), "warehouse", "gate", night.as_of_sql)
        return con.execute(query).fetchall()


def report(folder: Path, source: str = "files", as_of: str = AS_OF) -> tuple[str, bool]:
    lines, runs = checker.check(load_settings(source=source, data=folder), parse_as_of(as_of))
    return "\n".join(lines), runs


# ---- read as they are ------------------------------------------------------------------------------------------------
def test_tabs_with_a_title_that_begins_with_a_quote(collected: Callable[..., Night]) -> None:
    night = collected("a_tsv_open_quote")
    titles = dict(sql(night, "SELECT product_id, title FROM gate.products"))
    assert len(titles) == 8
    assert (titles["S3"], titles["S5"]) == ('"Fjord 12 Pan', '7" plate')


def test_tabs_with_quotes_that_pair_up_across_lines(collected: Callable[..., Night]) -> None:
    titles = dict(sql(collected("a2_tsv_inch_marks"), "SELECT product_id, title FROM gate.products"))
    assert len(titles) == 9
    assert (titles["S4"], titles["S5"], titles["S8"]) == ('"Deluxe pan 24 cm', "Pot", 'Frame 7"')


def test_ids_as_decimals_and_with_leading_zeros(shop_case: Case, collected: Callable[..., Night]) -> None:
    told, runs = report(shop_case("b_float_ids"))
    assert not runs
    assert "orders.customer_id: 32 of 32 find nothing in customers, such as '17001.0' (there is '17001')" in told
    assert "order_items.product_id: 40 of 40 find nothing in products, such as '100' (there is '00100')" in told
    assert "likely cause: leading zeros" in told
    with pytest.raises(GateRefused, match="likely cause: numbers written as decimals"):
        check(collected("b_float_ids"), "raw")


def test_a_header_in_the_middle(collected: Callable[..., Night]) -> None:
    night = collected("d_repeated_header")
    assert sql(night, "SELECT product_id FROM gate.products ORDER BY 1") == [("A1",), ("A2",), ("B1",), ("B2",)]
    assert sql(night, "SELECT count(*) FROM gate.events") == [(6,)]
    refused = sql(night, "SELECT table_name, row_number, reason FROM collect.quarantine ORDER BY 1")
    assert refused == [("events", 5, "malformed line: the header again"), ("products", 3, "malformed line: the header again")]


def test_times_of_digits(collected: Callable[..., Night]) -> None:
    times = dict(sql(collected("e_compact_times"), "SELECT event_id, occurred_at::VARCHAR FROM gate.events"))
    assert [times[f"e{i}"] for i in (0, 1, 2, 3)] == [
        "2026-11-20 10:15:00", "2026-11-20 10:15:30", "2026-11-20 00:00:00", "2026-11-20 10:00:00",
    ]  # fmt: skip
    assert {time[:4] for time in times.values()} == {"2026"}


def test_words_for_nothing(collected: Callable[..., Night]) -> None:
    night = collected("g_null_words")
    assert sql(night, "SELECT product_id, category, brand FROM gate.products ORDER BY 1") == [
        ("p0", None, None), ("p1", None, None), ("p2", None, None), ("p3", "Kitchen", "Fjord"),
    ]  # fmt: skip
    customers = {row[0] for row in sql(night, "SELECT DISTINCT customer_id FROM gate.orders")}
    assert None in customers
    assert not customers & {"0", "-1", "NULL", "nan", "None", "\\N", "N/A", "(not set)"}


def test_an_export_stamped_after_the_night(shop_case: Case, collected: Callable[..., Night]) -> None:
    assert sql(collected("o_export_stamp"), "SELECT count(*) FROM gate.products") == [(30,)]
    told, runs = report(shop_case("o_export_stamp"))
    assert runs
    assert "Written (updated_at) after the night's moment" in told
    assert "  products: 30 rows" in told


def test_the_second_edition_of_online_retail(collected: Callable[..., Night]) -> None:
    night = collected("q_online_retail_ii", "2011-12-10", "online_retail")
    assert sql(night, "SELECT count(*), count(customer_id) > 200, bool_or(customer_id LIKE '%.0') FROM gate.orders") == [(315, True, False)]


def test_zero_dates_and_decimal_quantities(collected: Callable[..., Night]) -> None:
    night = collected("t_zero_dates")
    assert sql(night, "SELECT count(*), count(available_until), min(created_at)::VARCHAR FROM gate.products") == [
        (6, 0, "2020-01-01 00:00:00")
    ]
    assert sql(night, "SELECT quantity::DOUBLE FROM gate.order_items ORDER BY product_id") == [(0.35,), (1.0,)]
    assert sql(night, "SELECT customer_id, birth_date::VARCHAR FROM gate.customers ORDER BY 1") == [
        ("c1", None), ("c2", None), ("c3", "2026-11-20"), ("c4", "1980-05-06"), ("c5", "1980-05-06"),
    ]  # fmt: skip
    assert sql(night, "SELECT order_id, ordered_at::VARCHAR FROM gate.orders ORDER BY 1")[:2] == [
        ("o1", "2026-11-02 09:00:00"),
        ("o3", "2026-11-02 09:00:00"),
    ]


def test_json_of_every_shape(collected: Callable[..., Night]) -> None:
    night = collected("u_json_shapes")
    assert [row[0] for row in sql(night, "SELECT product_id FROM gate.products ORDER BY 1")] == ["A3", "A4", "A5", "A6", "B1", "B2"]
    refused = dict(sql(night, "SELECT path, reason FROM collect.files WHERE status = 'refused'"))
    assert "write the list alone" in refused["products/a.json"]
    assert "Malformed JSON" in refused["products/f.json"]
    reasons = [row[0] for row in sql(night, "SELECT reason FROM collect.quarantine ORDER BY row_number")]
    assert reasons == ["malformed line: a key is given twice", "a list or an object where one text is wanted", "not an amount: write 12.50"]


# ---- whole nights ----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Night]:
    """Runs a whole night in a home of its own name: nights("home", AS_OF, source=..., data=...)."""
    place = tmp_path_factory.mktemp("cases")

    def run(home: str, as_of: str, steps: tuple[str, ...] = whole_night.STEPS, **settings: Any) -> Night:
        night = Night.open(load_settings(home=place / home, **(QUICK | settings)), parse_as_of(as_of))
        whole_night.run(night, steps)
        return night

    return run


def texts_of(release: Path) -> Iterator[str]:
    for rows in whole_night.tables(release).values():
        yield from map(str, rows)


def test_an_age_that_nobody_can_have_is_unknown(shop_case: Case, nights: Callable[..., Night]) -> None:
    """The lists go by `reached_age`: what has a minimum age is shown to nobody whose age is unknown (tests/test_shop_rules.py)."""
    data = shop_case("x_sentinel_birthdays")
    night = nights("ages", AS_OF, ("land", "collect", "check_raw", "transform"), source="files", data=data)
    reached = duckdb.execute(
        """SELECT birth_date, min(reached_age), max(reached_age), count(*)
        FROM read_csv(?, all_varchar = true) JOIN read_parquet(?) USING (customer_id) GROUP BY ALL ORDER BY ALL""",
        [str(data / "customers" / "customers.csv"), str(night.features / "customers.parquet")],
    ).fetchall()
    assert [(born, low, high) for born, low, high, _ in reached] == [
        ("0001-01-01", 0, 0), ("1900-01-01", 0, 0), ("1980-01-01", 18, 18), ("2015-05-05", 0, 0), (None, 0, 0),
    ]  # fmt: skip
    assert sum(count for *_, count in reached) == 60


def test_a_product_that_left_the_export(shop_case: Case, nights: Callable[..., Night], tmp_path: Path) -> None:
    data = tmp_path / "shop"
    shutil.copytree(shop_case("s_product_removed"), data)
    second = (data / "products" / "products.csv").read_bytes()
    (data / "products" / "products.csv").write_bytes((data / "first_products.csv").read_bytes())
    settings = {"source": "files", "data": data, "snapshot_tables": ["products"]}
    first = nights("left", "2026-11-27", ("land", "collect"), **settings)
    (data / "products" / "products.csv").write_bytes(second)
    tonight = nights("left", AS_OF, **settings)
    with duckdb.connect(str(tonight.serving), read_only=True) as release:
        columns = release.execute(
            """SELECT table_name, column_name FROM duckdb_columns() WHERE column_name LIKE '%product_id'
            AND table_name NOT IN ('review_sentiment', 'suspect_reviews')"""  # what was written stays, under the name it was written about
        ).fetchall()
        named = {
            table: release.execute(f'SELECT count(*) FROM "{table}" WHERE "{column}" = \'P0001\'').fetchone() for table, column in columns
        }
    assert {"recommendations", "recommendations_default", "similar_products", "bought_together"} <= set(named)
    assert set(named.values()) == {(0,)}
    known = "SELECT title FROM gate.products WHERE product_id = 'P0001'"
    assert sql(first, known) == [("Knife number 1",)]
    assert sql(tonight, known) == []


def test_exports_of_shopify(shop_case: Case, nights: Callable[..., Night]) -> None:
    night = nights("shopify", AS_OF, source="shopify", data=shop_case("p_shopify_export"))
    assert sql(night, "SELECT count(*) FROM gate.orders") == [(700,)]
    shown = "\n".join(texts_of(night.serving)) + (night.reports / "latest.html").read_text()
    assert "@example.com" not in shown
    assert "&amp;amp;" not in shown
    assert "&amp; Co" not in "\n".join(texts_of(night.serving))
    with duckdb.connect(str(night.serving), read_only=True) as release:
        families = sql(night, "SELECT product_id, parent_product_id FROM gate.products")
        release.execute(
            "CREATE TEMP TABLE families AS SELECT unnest(?) AS product_id, unnest(?) AS parent", [*map(list, zip(*families, strict=True))]
        )
        twice = "SELECT customer_id, parent FROM recommendations JOIN families USING (product_id) GROUP BY ALL HAVING count(*) > 1"
        assert release.execute(f"SELECT count(*) FROM ({twice})").fetchone() == (0,)
        assert (release.execute("SELECT count(*) FROM recommendations").fetchone() or (0,))[0] > 100
