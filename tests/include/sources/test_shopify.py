"""Shopify's exports: what an order, a variant, a guest and a gift card become in the raw tables."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from include.collect import collect
from include.night import Night
from include.sources import land
from tests.include.sources.raw_tables import raw

OpenNight = Callable[..., Night]
Row = dict[str, Any]


def table(path: Path, columns: str, rows: list[Row]) -> None:
    """A CSV file with these columns; a row names those of its values that are not blank."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns.split(","), restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.getvalue())


ORDERS = (
    "Name,Email,Financial Status,Paid at,Fulfillment Status,Fulfilled at,Accepts Marketing,Currency,Subtotal,Shipping,Taxes,Total,"
    "Discount Code,Discount Amount,Shipping Method,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem compare at price,"
    "Lineitem sku,Lineitem requires shipping,Lineitem taxable,Lineitem fulfillment status,Billing Name,Notes,Cancelled at,Payment Method,"
    "Payment Reference,Refunded Amount,Vendor,Outstanding Balance,Id,Tags,Risk Level,Source,Lineitem discount,Phone"
)
OLD_PRODUCTS = (
    "Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,Option1 Value,Option2 Name,Option2 Value,"
    "Variant SKU,Variant Grams,Variant Inventory Tracker,Variant Inventory Qty,Variant Inventory Policy,Variant Price,Image Src,"
    "Image Position,Gift Card,Variant Image,Status"
)
NEW_PRODUCTS = (
    "Title,URL handle,Description,Vendor,Product category,Type,Tags,Published on online store,Status,SKU,Barcode,Option1 name,"
    "Option1 value,Option2 name,Option2 value,Price,Compare-at price,Inventory tracker,Inventory quantity,"
    "Continue selling when out of stock,Product image URL,Image position,Variant image URL,Gift card"
)


def first(name: str, email: str = "", payment: str = "paid", **more: str) -> Row:
    given = {"Currency": "EUR", "Total": "63.00", "Payment Method": "Shopify Payments", "Refunded Amount": "0.00"}
    return {"Name": name, "Email": email, "Financial Status": payment} | given | {k.replace("_", " "): v for k, v in more.items()}


def line(title: str, sku: str = "", quantity: int = 1, price: str = "21.00") -> Row:
    when = {"Created at": "2026-10-28 03:14:27 -0500"}
    return when | {"Lineitem quantity": quantity, "Lineitem name": title, "Lineitem price": price, "Lineitem sku": sku}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    shop = tmp_path / "shop"
    table(
        shop / "orders_export_1.csv",
        ORDERS,
        [
            first("#1000", " Anna@Example.com", Fulfillment_Status="fulfilled", Fulfilled_at="2026-10-29 10:00:00 -0500")
            | {"Paid at": "2026-10-28 03:15:00 -0500"}
            | line("Shirt &amp; Co - Red / M", "SH-RM", 2),
            {"Name": "#1000", "Email": "anna@example.com"} | line("Mug", price="9.50"),
            {"Name": "#1000"} | line("Gift wrap", price="3.00"),
            first("#1001", "anna@example.com", "refunded", Refunded_Amount="63.00") | line("Shirt & Co - Red / L", "SH-RL"),
            first("#1002", "", "voided", Cancelled_at="2026-10-29 10:00:00 -0500") | line("Old hat", "HAT-1"),
            first("#1003", "bob@example.com", "partially_refunded", Refunded_Amount="5.00") | line("Bag - Blue", "DUP"),
            first("#1004", "bob@example.com", "pending", Tags="wholesale, Test") | line("Cap - Blue", "DUP"),
            first("#1005", "", "paid", Payment_Method="(for testing) Bogus Gateway") | line("Gift wrap"),
            first("#1006", "bob@example.com", "mystery") | line("Mug", quantity=-1),
        ],
    )
    table(
        shop / "products_export_1.csv",
        OLD_PRODUCTS,
        [
            {"Handle": "shirt", "Title": "Shirt &amp; Co", "Body (HTML)": "<p>Soft,\n<b>nice</b></p>", "Vendor": "Fjord"}
            | {"Product Category": "Apparel & Accessories > Clothing > Shirts", "Type": "Tops", "Published": "true", "Status": "active"}
            | {"Option1 Value": "Red", "Option2 Value": "M", "Variant SKU": "SH-RM", "Variant Inventory Tracker": "shopify"}
            | {"Variant Inventory Qty": 7, "Variant Inventory Policy": "deny", "Variant Price": "21.00", "Image Src": "https://x/1.jpg"},
            {"Handle": "shirt", "Option1 Value": "Red", "Option2 Value": "L", "Variant SKU": "'SH-RL", "Variant Inventory Qty": 3}
            | {"Variant Inventory Tracker": "shopify", "Variant Inventory Policy": "continue", "Variant Price": "22.00"}
            | {"Variant Image": "https://x/l.jpg"},
            {"Handle": "shirt", "Image Src": "https://x/2.jpg", "Image Position": 2},
            {"Handle": "mug", "Title": "Mug", "Product Category": "Uncategorized", "Type": "Kitchen", "Option1 Value": "Default Title"}
            | {"Variant Price": "9.50", "Variant Inventory Qty": 0, "Status": "active", "Published": "true"},
            {"Handle": "card", "Title": "Card", "Gift Card": "true", "Option1 Value": "10", "Variant Price": "10", "Status": "active"},
        ],
    )
    table(
        shop / "products_export_2.csv",
        NEW_PRODUCTS,
        [
            {"URL handle": "bag", "Title": "Bag", "Product category": "Luggage > Bags", "Status": "Draft", "SKU": "DUP"}
            | {"Option1 value": "Blue", "Price": "40", "Inventory tracker": "shopify", "Inventory quantity": 4, "Description": "Big"},
            {"URL handle": "cap", "Title": "Cap", "Status": "Active", "Published on online store": "FALSE", "SKU": "DUP"}
            | {"Option1 value": "Blue", "Price": "15", "Product image URL": "https://x/cap.jpg"},
        ],
    )
    table(
        shop / "customers_export.csv",
        "Customer ID,First Name,Last Name,Email,Accepts Email Marketing,Default Address City,Default Address Province Code,"
        "Default Address Country Code,Default Address Zip,Phone,Total Spent,Total Orders,Tags",
        [
            {"Customer ID": "'7210448301122", "First Name": "Anna", "Email": "ANNA@example.com", "Accepts Email Marketing": "yes"}
            | {"Default Address City": "Oslo", "Default Address Country Code": "NO", "Default Address Zip": "'0150"},
            {"Customer ID": "'7210448301123", "First Name": "Cleo", "Accepts Email Marketing": "no"},
        ],
    )
    return shop


def hashed(email: str) -> str:
    return "c" + hashlib.sha256(email.encode()).hexdigest()[:16]


ANNA, BOB = hashed("anna@example.com"), hashed("bob@example.com")


@pytest.fixture
def night(shop: Path, open_night: OpenNight) -> Night:
    night = open_night("2026-11-28", source="shopify", data=shop)
    land(night)
    collect(night)
    return night


def test_orders_say_who_when_and_how_far(night: Night) -> None:
    assert raw(night, "orders", "order_id, customer_id, status, total::varchar, is_test") == [
        ("#1000", ANNA, "shipped", "63.0000", False),
        ("#1001", ANNA, "returned", "63.0000", False),
        ("#1002", None, "cancelled", "63.0000", False),
        ("#1003", BOB, "paid", "63.0000", False),
        ("#1004", BOB, "created", "63.0000", True),
        ("#1005", None, "paid", "63.0000", True),
    ]
    assert raw(night, "orders", "distinct ordered_at::varchar, currency") == [("2026-10-28 08:14:27", "EUR")]
    assert raw(night, "orders", "shipped_at::varchar")[0] == ("2026-10-29 15:00:00",)
    assert raw(night, "quarantine", "path, row_number, column_name, value", "all", "collect") == [
        ("orders_export_1.csv", 9, "quantity", "-1"),
        ("orders_export_1.csv", 9, "status", "mystery"),
    ], "what cannot be meant is refused by the contract, with its place in the export"
    assert raw(night, "payments", "order_id, payment_sequence, amount::varchar, paid_at::varchar") == [
        ("#1000", 1, "63.0000", "2026-10-28 08:15:00")
    ]


def test_lines_name_the_variants_of_the_catalogue(night: Night) -> None:
    lines = raw(night, "order_items", "order_id, line_number, product_id, quantity::int, unit_price::varchar", "1, 2")
    wrap = "line-" + hashlib.sha256(b"gift wrap").hexdigest()[:16]
    assert lines == [
        ("#1000", 1, "SH-RM", 2, "21.0000"),
        ("#1000", 2, "mug", 1, "9.5000"),
        ("#1000", 3, wrap, 1, "3.0000"),
        ("#1001", 1, "SH-RL", 1, "21.0000"),
        ("#1002", 1, "HAT-1", 1, "21.0000"),
        ("#1003", 1, "bag/Blue", 1, "21.0000"),
        ("#1004", 1, "cap/Blue", 1, "21.0000"),
        ("#1005", 1, wrap, 1, "21.0000"),
    ]


def test_a_variant_is_a_product_of_both_generations_of_columns(night: Night) -> None:
    columns = "product_id, parent_product_id, title, category, price::int, stock::int, is_hidden, image_url"
    assert raw(night, "products", columns) == [
        ("SH-RL", "shirt", "Shirt &amp; Co", "Apparel & Accessories > Clothing > Shirts", 22, None, False, "https://x/l.jpg"),
        ("SH-RM", "shirt", "Shirt &amp; Co", "Apparel & Accessories > Clothing > Shirts", 21, 7, False, "https://x/1.jpg"),
        ("bag/Blue", "bag", "Bag", "Luggage > Bags", 40, 4, True, None),
        ("cap/Blue", "cap", "Cap", None, 15, None, True, "https://x/cap.jpg"),
        ("card/10", "card", "Card", None, 10, None, True, None),
        ("mug", "mug", "Mug", "Kitchen", 10, None, False, None),
    ]
    assert raw(night, "products", "description, brand")[0] == ("<p>Soft,\n<b>nice</b></p>", "Fjord")


def test_no_address_is_a_customers_id_or_anything_else(night: Night) -> None:
    assert raw(night, "customers", "customer_id, city, country, consent_marketing") == [
        ("7210448301123", None, None, False),
        (ANNA, "Oslo", "NO", True),
    ]
    for path in night.landing.glob("*/*.parquet"):
        assert "example.com" not in str(raw(night, path.parent.name, "*")).lower()


def test_rows_that_cannot_be_parsed_are_refused_by_their_number(shop: Path, open_night: OpenNight) -> None:
    for name in ("orders_export_1.csv", "products_export_1.csv"):
        with (shop / name).open("a") as file:
            file.write("a,line,too,short\r\n")
    night = open_night("2026-11-28", source="shopify", data=shop)
    land(night)
    collect(night)
    refused = raw(night, "quarantine", "distinct table_name, path, row_number", "all", "collect")
    assert {("orders", "orders_export_1.csv", 10), ("order_items", "orders_export_1.csv", 10)} <= set(refused)
    assert ("products", "products_export_1.csv", 6) in refused


def test_the_case_of_an_export(open_night: OpenNight, shop_case: Callable[[str], Path]) -> None:
    night = open_night("2026-11-28", source="shopify", data=shop_case("p_shopify_export"))
    land(night)
    collect(night)
    assert raw(night, "orders", "count(*)") == [(700,)]
    assert raw(night, "order_items", "count(*), count(distinct order_id)") == [(1723, 700)]
    assert raw(night, "products", "count(*), count(distinct parent_product_id)") == [(160, 40)]
    unmatched = "count(*) filter (product_id not in (select product_id from raw.products)), count(*) filter (product_id like 'line-%')"
    assert raw(night, "order_items", unmatched) == [(28, 28)], "only gift wrap is no product"
    assert raw(night, "orders", "count(*) filter (status in ('returned', 'cancelled'))") == [(89 + 92,)]
