"""Every mapped source on the real shop it was written for: each original row is accounted for, and fits the contract."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from include.collect.contract import load_contract
from include.night import Night
from include.sources.mapping import map_source

pytestmark = pytest.mark.slow

OpenNight = Callable[..., Night]
ShopData = Callable[[str], Path]


def query(night: Night, sql: str) -> list[tuple[Any, ...]]:
    """SQL over the mapped tables, by their names, and over the originals as {data}."""
    with duckdb.connect() as connection:
        for path in night.landing.glob("*/*.parquet"):
            connection.execute(f"create view {path.parent.name} as from read_parquet('{path}')")
        return connection.execute(sql.format(data=night.settings.data)).fetchall()


def assert_fits_the_contract(night: Night) -> None:
    """Every value of every mapped table can be read as the contract's type, and what it requires is given."""
    assert list(night.landing.glob("*/*.parquet"))
    for path in night.landing.glob("*/*.parquet"):
        table = load_contract().table(path.parent.name)
        given = duckdb.execute("describe from read_parquet(?)", [str(path)]).fetchall()
        known = {column.name: column for column in table.columns}
        for name, *_ in given:
            if name in ("_file", "_row"):
                continue
            unfit = duckdb.execute(
                f"select count(*) from read_parquet(?) where {name} is not null and try_cast({name} as {known[name].data_type}) is null",
                [str(path)],
            ).fetchall()
            assert unfit == [(0,)], f"{table.name}.{name}"
            allowed = known[name].values
            if allowed:
                found = duckdb.execute(f"select distinct {name} from read_parquet(?)", [str(path)]).fetchall()
                assert {value for (value,) in found} <= set(allowed), f"{table.name}.{name}"


def assert_all_rows_mapped(night: Night, union_of: tuple[str, ...], rows: int) -> None:
    """Each record of the original is a row of exactly one of the tables."""
    origins = " union all ".join(f"select _file, _row from {table}" for table in union_of)
    assert query(night, f"select count(*), count(distinct _row), min(_row), max(_row), count(distinct _file) from ({origins})") == [
        (rows, rows, 1, rows, 1)
    ]


def test_amazon_musical_instruments(open_night: OpenNight, shop_data: ShopData) -> None:
    night = open_night(source="amazon_reviews", data=shop_data("amazon_musical_instruments"))
    assert map_source(night) == {"files": 1, "rows": {"products": 900, "reviews": 10261}}
    assert_fits_the_contract(night)
    assert_all_rows_mapped(night, ("reviews",), 10261)
    assert query(night, "select count(distinct review_id), count(distinct customer_id), count(title) from reviews") == [
        (10261, 1429, 10261)
    ]
    assert query(night, "select min(reviewed_at), max(reviewed_at) from reviews") == [("2004-09-18 00:00:00", "2014-07-22 00:00:00")]
    original = "read_json('{data}/*.json.gz', columns = {{reviewText: 'varchar', overall: 'double'}})"
    assert query(night, "select rating::int, count(*) from reviews group by 1 order by 1") == query(
        night, f"select overall::int, count(*) from {original} group by 1 order by 1"
    )
    assert query(night, f"select count(*) from (select text from reviews except all select nullif(reviewText, '') from {original})") == [
        (0,)
    ]


def test_amazon_gift_cards(open_night: OpenNight, shop_data: ShopData) -> None:
    night = open_night(source="amazon_reviews", data=shop_data("amazon_gift_cards"))
    map_source(night)
    assert_fits_the_contract(night)
    assert_all_rows_mapped(night, ("reviews",), 2972)
    assert query(night, "select count(_row), count(distinct product_id), count(price), count(title), count(category) from products") == [
        (1547, 1547, 358, 1547, 1547)
    ]
    assert query(night, "select count(*) from reviews anti join products using (product_id)") == [(0,)]
    assert query(night, "select count(helpful_votes) from reviews") == [(208,)]
    assert query(night, "select category from products where product_id = 'B001BKEWF2'") == [("Gift Cards",)]


def test_olist(open_night: OpenNight, shop_data: ShopData) -> None:
    night = open_night(source="olist", data=shop_data("olist"))
    expected = {"customers": 8135, "orders": 8135, "order_items": 8365, "payments": 8924, "reviews": 8225, "products": 5460}
    assert map_source(night) == {"files": 7, "rows": expected}
    assert_fits_the_contract(night)
    for table, rows in expected.items():
        assert_all_rows_mapped(night, (table,), rows)
    assert query(night, "select status, count(*) from orders group by 1 order by 1") == [
        ("cancelled", 625 + 609),
        ("created", 5),
        ("delivered", 5172),
        ("paid", 2),
        ("processing", 301 + 314),
        ("shipped", 1107),
    ]
    assert query(night, "select count(distinct customer_id) from customers") == [(8016,)]
    assert query(night, "select count(*) from orders anti join customers using (customer_id)") == [(0,)]
    assert query(night, "select count(*), count(product_id), count(customer_id), count(distinct review_id) from reviews") == [
        (8225, 8225 - 778, 8225, 8225)
    ]
    assert query(night, "select count(*) filter (category is null), count(*) filter (category like '%\\_%' escape '\\') from products") == [
        (111, 0)
    ]


def test_online_retail(open_night: OpenNight, shop_data: ShopData) -> None:
    night = open_night(source="online_retail", data=shop_data("online_retail"))
    assert map_source(night)["rows"] == {"customers": 4372, "orders": 25900, "order_items": 541909, "products": 3958}
    assert_fits_the_contract(night)
    assert_all_rows_mapped(night, ("order_items",), 541909)
    original = "'{data}/online_retail.parquet'"
    assert query(night, "select sum(quantity::bigint), count(*) filter (unit_price::double < 0) from order_items") == query(
        night, f"select sum(abs(Quantity)), 2 from {original}"
    )
    assert query(night, "select count(*) from (select distinct order_id, line_number from order_items)") == [(541909,)]
    assert query(night, "select status, count(*), count(customer_id) from orders group by 1 order by 1") == [
        ("cancelled", 1336 + 3, 0),
        ("delivered", 20725, 18536),
        ("returned", 3836, 3654),
    ]
    assert query(night, "select count(*) from order_items anti join products using (product_id)") == [(0,)]
    assert query(night, "select product_id from products where is_hidden order by 1") == [
        (code,) for code in ("AMAZONFEE", "B", "BANK CHARGES", "C2", "CRUK", "D", "DOT", "M", "POST", "S")
    ]
    assert query(night, "select title, price::varchar from products where product_id = '85123A'") == [
        ("WHITE HANGING HEART T-LIGHT HOLDER", "2.95")
    ]


def test_taobao_events(open_night: OpenNight, shop_data: ShopData) -> None:
    night = open_night(source="taobao_events", data=shop_data("taobao_events"))
    assert map_source(night)["rows"] == {"events": 84475 - 1750, "orders": 1750, "order_items": 1750, "products": 55368}
    assert_fits_the_contract(night)
    assert_all_rows_mapped(night, ("events", "orders"), 84475)
    assert query(night, "select event_type, count(*) from events group by 1 order by 1") == [
        ("cart", 4497),
        ("view", 75872),
        ("wishlist", 2356),
    ]
    assert query(
        night, "select count(distinct customer_id) from (from events select customer_id union all from orders select customer_id)"
    ) == [(815,)]
    assert query(night, "select count(*) from orders join order_items using (order_id, _row)") == [(1750,)]
    assert query(night, "select max(ordered_at) from orders") == [("2017-12-03 15:54:47",)]


def test_complete_journey_comes_from_its_package(open_night: OpenNight) -> None:
    night = open_night(source="complete_journey")
    assert map_source(night)["rows"] == {
        "campaigns": 27,
        "customers": 2469,
        "order_items": 1469307,
        "orders": 155848,
        "products": 92331,
    }
    assert_fits_the_contract(night)
    assert_all_rows_mapped(night, ("order_items",), 1469307)
    assert query(night, "select sum(total), count(distinct customer_id) from orders") == [(Decimal("4596039.58"), 2469)]
    assert query(night, "select count(*) from order_items anti join orders using (order_id)") == [(0,)]
    assert query(night, "select category, title from products where product_id = '25671'") == [
        ("GROCERY > FRZN ICE > ICE - CRUSHED/CUBED", "ICE - CRUSHED/CUBED, 22 LB")
    ]
