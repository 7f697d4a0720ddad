"""Google Analytics 4's export from BigQuery, as JSON lines and as Parquet, in the raw tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from include.collect import collect
from include.night import Night
from include.sources import land
from tests.include.sources.raw_tables import raw

OpenNight = Callable[..., Night]
NOON = 1795953600_000000  # 2026-11-29T12:00:00Z in microseconds

MUG = {"item_id": "MUG", "item_name": "Mug", "item_brand": "Fjord", "item_category": "Kitchen", "item_category2": "Mugs", "price": 9.5}
HAT = {"item_id": "(not set)", "item_name": "Old hat", "item_brand": "(not set)", "item_category": "(not set)", "price": 20}


def params(**values: Any) -> list[dict[str, Any]]:
    def value(given: Any) -> dict[str, Any]:
        name = "string_value" if isinstance(given, str) else "int_value" if isinstance(given, int) else "double_value"
        return {name: str(given) if isinstance(given, int) else given}  # BigQuery writes whole numbers as texts

    return [{"key": key, "value": value(given)} for key, given in values.items()]


def event(name: str, second: int, *items: dict[str, Any], visitor: str = "11.22", **more: Any) -> dict[str, Any]:
    extra = {key: more.pop(key) for key in list(more) if key in ("user_id", "ecommerce", "batch_event_index")}
    return {
        "event_date": "20261129",
        "event_timestamp": str(NOON + second * 1_000_000),
        "event_name": name,
        "event_params": params(ga_session_id=1795953600, **more),
        "user_pseudo_id": visitor,
        "items": list(items),
    } | extra


EVENTS = [
    event("page_view", 0),
    event("view_item", 1, MUG, currency="EUR"),
    event("add_to_cart", 2, MUG | {"quantity": "2"}, HAT, batch_event_index="1"),
    event("add_to_wishlist", 3, MUG, user_id="7"),
    event("view_search_results", 4, search_term="red mug", user_id="anna@example.com"),
    event("view_item_list", 5, MUG | {"item_list_name": "Recommended for you", "item_list_index": "1"}, HAT | {"item_list_name": "All"}),
    event("select_item", 6, MUG | {"item_list_index": "1"}, item_list_id="recommendations"),
    event("purchase", 7, MUG | {"quantity": "2"}, HAT, ecommerce={"transaction_id": "T1", "purchase_revenue": 39.0}, currency="EUR"),
    event("purchase", 60, MUG | {"quantity": "2"}, HAT, ecommerce={"transaction_id": "T1"}, currency="EUR", value=39.5),
    event("purchase", 61, MUG, ecommerce={"transaction_id": "T2"}, currency="EUR", value=9.5, visitor="33.44", debug_mode=1),
    event("purchase", 62, MUG | {"price": 11}, ecommerce={"transaction_id": "(not set)"}, value=11, visitor="33.44"),
    event("purchase", 63, ecommerce={"transaction_id": "undefined"}, value=12, visitor="55.66", user_id="undefined"),
    event("purchase", 64, ecommerce={"transaction_id": "undefined"}, value=13, visitor="77.88", user_id="0"),
    event("refund", 70, MUG | {"quantity": "1"}, ecommerce={"transaction_id": "T1"}),
    event("refund", 71, ecommerce={"transaction_id": "T2"}),
]
UNTOLD = hashlib.md5(f"33.44\x1f{NOON + 62_000_000}".encode()).hexdigest()


@pytest.fixture(params=["json", "parquet", "parquet with wrapped lists"])
def night(request: pytest.FixtureRequest, tmp_path: Path, open_night: OpenNight) -> Night:
    shop = tmp_path / "shop"
    shop.mkdir()
    lines = shop / "events_20261129.json"
    lines.write_text("".join(json.dumps(entry) + "\n" for entry in EVENTS))
    if request.param != "json":
        value = "struct(string_value varchar, int_value bigint, float_value double, double_value double)"
        item = (
            "struct(item_id varchar, item_name varchar, item_brand varchar, item_category varchar, item_category2 varchar, price double, "
            "quantity bigint, item_list_id varchar, item_list_name varchar, item_list_index varchar)"
        )
        wrap = (
            "struct_pack(list := list_transform({0}, lambda entry: struct_pack(element := entry)))" if "wrapped" in request.param else "{0}"
        )
        duckdb.execute(
            f"""copy (select * replace ({wrap.format("event_params")} as event_params, {wrap.format("items")} as items)
            from read_json('{lines}', columns = {{event_date: 'varchar', event_timestamp: 'bigint', event_name: 'varchar',
                event_params: 'struct(key varchar, value {value})[]', user_pseudo_id: 'varchar', user_id: 'varchar', items: '{item}[]',
                ecommerce: 'struct(transaction_id varchar, purchase_revenue double)', batch_event_index: 'bigint'}}))
            to '{lines.with_suffix(".parquet")}' (format parquet)"""
        )
        lines.unlink()
    night = open_night("2026-11-30", source="ga4", data=shop)
    land(night)
    collect(night)
    return night


def test_events_of_items_and_searches(night: Night) -> None:
    hat = "line-" + hashlib.sha256(b"old hat").hexdigest()[:16]
    anna = "c" + hashlib.sha256(b"anna@example.com").hexdigest()[:16]
    columns = "occurred_at::time::varchar, event_type, customer_id, product_id, query, position"
    assert raw(night, "events", columns) == sorted(
        [
            ("12:00:01", "view", "11.22", "MUG", None, None),
            ("12:00:02", "cart", "11.22", "MUG", None, None),
            ("12:00:02", "cart", "11.22", hat, None, None),
            ("12:00:03", "wishlist", "7", "MUG", None, None),
            ("12:00:04", "search", anna, None, "red mug", None),
            ("12:00:05", "recommendation_impression", "11.22", "MUG", None, 1),
            ("12:00:06", "recommendation_click", "11.22", "MUG", None, 1),
        ],
        key=lambda row: (row[0], row[1], row[2], row[3] or "~"),
    )
    assert raw(night, "events", "count(distinct event_id), min(session_id), max(session_id)") == [
        (7, "11.22.1795953600", "11.22.1795953600")
    ]
    assert raw(night, "quarantine", "*", "all", "collect") == []


def test_purchases_are_orders_once_and_refunds_take_them_back(night: Night) -> None:
    hat = "line-" + hashlib.sha256(b"old hat").hexdigest()[:16]
    assert raw(night, "orders", "order_id, customer_id, ordered_at::time::varchar, status, total::varchar, currency, is_test") == sorted(
        [
            ("T1", "11.22", "12:00:07", "paid", "39.0000", "EUR", False),
            ("T2", "33.44", "12:01:01", "returned", "9.5000", "EUR", True),
            (UNTOLD, "33.44", "12:01:02", "paid", "11.0000", None, False),
            *(
                (hashlib.md5(f"{visitor}\x1f{NOON + second * 1_000_000}".encode()).hexdigest(), visitor, told, "paid", total, None, False)
                for visitor, second, told, total in (("55.66", 63, "12:01:03", "12.0000"), ("77.88", 64, "12:01:04", "13.0000"))
            ),
        ]
    )
    columns = "order_id, line_number, product_id, quantity::int, unit_price::varchar, returned_quantity::int"
    assert raw(night, "order_items", columns) == sorted(
        [
            ("T1", 1, "MUG", 2, "9.5000", 1),
            ("T1", 2, hat, 1, "20.0000", None),
            ("T2", 1, "MUG", 1, "9.5000", None),
            (UNTOLD, 1, "MUG", 1, "11.0000", None),
        ]
    )


def test_products_are_what_items_said_last(night: Night) -> None:
    hat = "line-" + hashlib.sha256(b"old hat").hexdigest()[:16]
    assert raw(night, "products", "product_id, title, brand, category, price::varchar, currency") == [
        ("MUG", "Mug", "Fjord", "Kitchen > Mugs", "9.5000", "EUR"),
        (hat, "Old hat", None, None, "20.0000", "EUR"),
    ]


def test_a_line_that_is_no_json_is_refused_by_its_number(tmp_path: Path, open_night: OpenNight) -> None:
    text = "".join(json.dumps(entry) + "\n" for entry in EVENTS)
    (tmp_path / "events_20261129.json").write_text(text + "{cut\n")
    night = open_night("2026-11-30", source="ga4", data=tmp_path)
    land(night)
    collect(night)
    assert raw(night, "quarantine", "distinct path, row_number", "all", "collect") == [("events_20261129.json", 16)]
