"""WooCommerce: its product export, and the answers of its REST API, in the raw tables."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from include.collect import collect
from include.night import Night
from include.sources import land
from tests.include.sources.raw_tables import raw

OpenNight = Callable[..., Night]

PRODUCTS = [
    "ID,Type,SKU,GTIN,Name,Published,Is featured?,Visibility in catalog,Short description,Description,Date sale price starts,"
    "Date sale price ends,In stock?,Stock,Backorders allowed?,Sale price,Regular price,Categories,Tags,Images,Parent,Brands",
    '10,variable,SHIRT,,"Shirt &amp; more",1,0,visible,Short,"Line one\\nline two",,,1,12,0,,,"Clothing, Clothing > Tees, Uncategorized",,'
    '"https://x/1.jpg, https://x/2.jpg",,Fjord',
    '11,variation,SHIRT-R,,"Shirt - Red, M",1,0,visible,,,,,1,parent,0,"17,50","20,00",,,https://x/r.jpg,SHIRT,',
    '12,variation,,,"Shirt - Blue, M",1,0,visible,,,2026-12-01,,0,,0,15,20,,,,id:10,',
    '20,simple,MUG,,"\'=Mug",1,0,hidden,,,,,backorder,-2,notify,,9.5,"Kitchen\\, Home, Kitchen\\, Home > Mugs",,,,',
    '30,"simple, virtual",,,Draft,-1,0,visible,,,,,1,,0,,5,Uncategorized,,,,',
    "31,variable,DRAFT,,Old,0,0,visible,,,,,1,,0,,,,,,,",
    "32,variation,,,Old - S,1,0,visible,,,,,1,,0,,7,,,,DRAFT,",
]


def item(number: int, product: int, variation: int = 0, quantity: int = 1, name: str = "Thing") -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "product_id": product,
        "variation_id": variation,
        "quantity": quantity,
        "subtotal": "20.00",
        "total": "17.50",
        "sku": "",
        "price": 17.5,
        "meta_data": [],
    }


def order(number: int, status: str, customer: int, email: str, *items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "parent_id": 0,
        "status": status,
        "currency": "EUR",
        "date_created": "2026-11-02T11:00:00",
        "date_created_gmt": "2026-11-02T10:00:00",
        "date_modified_gmt": "2026-11-03T10:00:00",
        "total": "35.00",
        "customer_id": customer,
        "billing": {"first_name": "A", "email": email, "city": "Oslo"},
        "payment_method": "cod",
        "date_paid_gmt": None,
        "date_completed_gmt": None,
        "line_items": list(items),
        "fee_lines": [{"id": 99, "name": "Gift wrap"}],
        "refunds": [],
    } | more


ORDERS = [
    order(1, "completed", 7, "anna@example.com", item(311, 10, 11, 2), item(312, 20), date_completed_gmt="2026-11-03T09:00:00")
    | {"date_paid_gmt": "2026-11-02T10:01:00", "refunds": [{"id": 800, "reason": "", "total": "-17.50"}]},
    order(2, "processing", 0, "ANNA@example.com ", item(313, 10, 12)),
    order(3, "on-hold", 0, "carl@example.com", item(314, 0, name="Gone hat")),
    order(4, "processing", 0, "", item(315, 20), refunds=[{"id": 801, "total": "-30.00"}, {"id": 802, "total": "-5.00"}]),
    order(5, "refunded", 7, "anna@example.com"),
    order(6, "failed", 8, "dora@example.com", item(316, 20)),
    order(7, "lost-in-space", 8, "dora@example.com"),
]
REFUNDS = [
    {
        "id": 800,
        "parent_id": 1,
        "line_items": [item(900, 10, 11, -1) | {"meta_data": [{"id": 1, "key": "_refunded_item_id", "value": "311"}]}],
    },
    {"id": 801, "parent_id": 4, "line_items": []},
]
CUSTOMERS = [
    {"id": 7, "email": "Anna@example.com", "date_created_gmt": "2026-01-01T00:00:00", "billing": {"city": "Oslo", "country": "NO"}},
]
REVIEWS = [
    {"id": 50, "product_id": 10, "status": "approved", "reviewer": "A", "reviewer_email": "anna@example.com", "rating": 5}
    | {"review": "<p>Soft</p>", "date_created_gmt": "2026-11-10T00:00:00"},
    {"id": 51, "product_id": 10, "status": "approved", "reviewer_email": "dora@example.com", "rating": 0}
    | {"review": "Hm", "date_created_gmt": "2026-11-10T00:00:00"},
    {"id": 52, "product_id": 10, "status": "spam", "reviewer_email": "x@example.com", "rating": 5}
    | {"review": "Buy", "date_created_gmt": "2026-11-10T00:00:00"},
]


@pytest.fixture
def night(tmp_path: Path, open_night: OpenNight) -> Night:
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "wc-product-export-2-11-2026-1234.csv").write_text("\n".join(PRODUCTS), encoding="utf-8-sig")
    (shop / "orders-1.json").write_text(json.dumps(ORDERS[:4], indent=2))
    (shop / "orders-2.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in ORDERS[4:]))
    for name, entries in (("refunds", REFUNDS), ("customers", CUSTOMERS), ("product-reviews", REVIEWS)):
        (shop / f"{name}.json").write_text(json.dumps(entries))
    night = open_night("2026-11-28", source="woocommerce", data=shop)
    land(night)
    collect(night)
    return night


def test_the_products_are_written_as_the_export_is() -> None:
    widths = {len(row) for row in csv.reader(PRODUCTS)}
    assert widths == {22}


def test_guests_are_accounts_of_their_address_or_nameless(night: Night) -> None:
    carl = "c" + hashlib.sha256(b"carl@example.com").hexdigest()[:16]
    assert raw(night, "orders", "order_id, customer_id, status, total::int, shipped_at::varchar") == [
        ("1", "7", "delivered", 35, "2026-11-03 09:00:00"),
        ("2", "7", "processing", 35, None),
        ("3", carl, "created", 35, None),
        ("4", None, "returned", 35, None),
        ("5", "7", "returned", 35, None),
        ("6", "8", "cancelled", 35, None),
    ]
    assert raw(night, "orders", "distinct ordered_at::varchar, updated_at::varchar, currency") == [
        ("2026-11-02 10:00:00", "2026-11-03 10:00:00", "EUR")
    ]
    assert raw(night, "quarantine", "path, row_number, value", "all", "collect") == [("orders-2.jsonl", 3, "lost-in-space")]
    assert raw(night, "payments", "order_id, method, amount::int") == [("1", "cod", 35)]
    assert raw(night, "customers", "customer_id, city, country, registered_at::varchar") == [("7", "Oslo", "NO", "2026-01-01 00:00:00")]


def test_lines_sell_variations_and_say_what_came_back(night: Night) -> None:
    gone = "line-" + hashlib.sha256(b"gone hat").hexdigest()[:16]
    columns = "order_id, line_number, product_id, quantity::int, unit_price::varchar, returned_quantity::int"
    assert raw(night, "order_items", columns) == [
        ("1", 311, "11", 2, "17.5000", 1),
        ("1", 312, "20", 1, "17.5000", None),
        ("2", 313, "12", 1, "17.5000", None),
        ("3", 314, gone, 1, "17.5000", None),
        ("4", 315, "20", 1, "17.5000", None),
        ("6", 316, "20", 1, "17.5000", None),
    ]


def test_variations_have_what_their_product_says(night: Night) -> None:
    assert raw(night, "products", "product_id, parent_product_id, title, category, price::varchar, stock::int, is_hidden, brand") == [
        ("10", None, "Shirt &amp; more", "Clothing > Tees", None, 12, False, "Fjord"),
        ("11", "10", "Shirt - Red, M", "Clothing > Tees", "17.5000", 12, False, "Fjord"),
        ("12", "10", "Shirt - Blue, M", "Clothing > Tees", "20.0000", 0, False, "Fjord"),
        ("20", None, "=Mug", "Kitchen, Home > Mugs", "9.5000", None, True, None),
        ("30", None, "Draft", None, "5.0000", None, True, None),
        ("31", None, "Old", None, None, None, True, None),
        ("32", "31", "Old - S", None, "7.0000", None, True, None),
    ]
    assert raw(night, "products", "description, image_url")[:2] == [
        ("Line one\nline two", "https://x/1.jpg"),
        (None, "https://x/1.jpg"),
    ]


def test_reviews_that_visitors_may_read(night: Night) -> None:
    dora = "8"
    assert raw(night, "reviews", "review_id, product_id, customer_id, rating, text") == [
        ("50", "10", "7", 5, "<p>Soft</p>"),
        ("51", "10", dora, None, "Hm"),
    ]
    for path in night.landing.glob("*/*.parquet"):
        assert "example.com" not in str(raw(night, path.parent.name, "*")).lower()
