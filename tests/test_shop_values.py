"""What odd values in a shop's rows come to, through every step of one night: variants, returns, guests, birthdays, markup."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from include.night import Night, parse_as_of
from include.settings import load_settings
from tests.test_bad_days import write_shop
from tests.whole_night import run

pytestmark = pytest.mark.slow

PAST = "2026-01-01"
CUSTOMERS = [f"c{c:02d}" for c in range(60)]
KINDS = (("Music &gt; Strings", "Guitar strings &amp;amp; picks"), ("Home &amp; Garden > Pots", "<b>Clay</b>&nbsp;pot"))
ODD_BIRTHDAYS = {"c50": "0001-01-01", "c51": "1900-01-01", "c52": "2026-02-20", "c53": "2031-01-01"}


def a_shop() -> dict[str, list[dict[str, Any]]]:
    """Sixty customers who like one of two kinds of 22 products, four shirts of one kind, and what is no good."""
    products: list[dict[str, Any]] = [
        {
            "product_id": f"p{i:02d}",
            "title": f"{KINDS[i % 2][1]} {i}",
            "category": KINDS[i % 2][0],
            "brand": "Fj&oslash;rd" if i % 3 else "Own &amp; Co",
            "created_at": PAST,
            "is_repeatable": True,
        }
        for i in range(22)
    ]
    shirt = {"title": "Shirt", "category": "Shirts", "created_at": PAST, "parent_product_id": "shirt", "is_repeatable": True}
    products += [
        {**shirt, "product_id": "shirt-l", "stock": 0},
        {**shirt, "product_id": "shirt-m", "stock": 5},
        {**shirt, "product_id": "shirt-s", "stock": 5},
        {**shirt, "product_id": "shirt-x", "stock": 5},
        {
            "product_id": "wine",
            "title": "Red wine",
            "category": "Wine",
            "created_at": PAST,
            "parent_product_id": "wines",
            "is_repeatable": True,
        },
        {
            "product_id": "wine-old",
            "title": "Old red wine",
            "category": "Wine",
            "created_at": PAST,
            "parent_product_id": "wines",
            "minimum_age": 18,
            "is_repeatable": True,
        },
        {"product_id": "scraped", "title": "var aPageStart = (new Date()).getTime();", "category": "</span></span>", "created_at": PAST},
        {"product_id": "postage", "title": "Postage", "created_at": PAST, "is_hidden": True},
    ]
    customers = [{"customer_id": c, "birth_date": ODD_BIRTHDAYS.get(c, "1980-05-05"), "registered_at": PAST} for c in CUSTOMERS]
    orders: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []

    def order(customer: str, day: int, *bought: tuple[str, float, float], **more: Any) -> None:
        number = f"o{len(orders):03d}"
        ordered_at = f"2026-{1 + (day - 1) // 28:02d}-{1 + (day - 1) % 28:02d}T{8 + len(orders) % 12:02d}:00:00Z"
        orders.append({"order_id": number, "customer_id": customer, "ordered_at": ordered_at, "status": "paid"} | more)
        for line, (product, quantity, returned) in enumerate([*bought, ("postage", 1, 0)], start=1):
            lines.append(
                {
                    "order_id": number,
                    "line_number": line,
                    "product_id": product,
                    "quantity": quantity,
                    "returned_quantity": returned,
                    "unit_price": 0 if product == "postage" else 10,
                }
            )

    for c, customer in enumerate(CUSTOMERS):
        for turn in range(3):
            liked = [(f"p{(2 * ((c * 3 + turn * 2 + j) % 11) + c % 2):02d}", 1, 0) for j in range(2)]
            order(customer, 5 + (c * 7 + turn * 17) % 50, *liked)
    for c in range(0, 20, 2):
        order(CUSTOMERS[c], 20 + c, (("shirt-s", "shirt-m", "shirt-l")[c % 3], 1, 0))
    for c in range(1, 20, 2):
        order(CUSTOMERS[c], 30 + c, ("wine-old" if c < 6 else "wine", 1, 0))
    for n in range(100):
        order("guest", 1 + n % 55, ("p00", 1, 0), ("p01", 1, 0), ("scraped", 1, 0))
    order("returns", 40, ("p02", 2, 2), ("p04", 3, 1), ("p06", 0.350, 0))
    order("tester", 41, ("p02", 1, 0), is_test=True)
    events = [
        {
            "event_id": f"e{c}",
            "event_type": "view",
            "customer_id": CUSTOMERS[c],
            "product_id": "shirt",
            "occurred_at": f"2026-02-{1 + c % 27:02d}T10:00:00Z",
        }
        for c in range(30)
    ]
    events += [
        {"event_id": "n1", "event_type": "not_interested", "customer_id": "c00", "product_id": "shirt-x", "occurred_at": "2026-02-02"},
    ]
    rules = [
        {"rule_id": "no_x", "kind": "block", "product_id": "shirt-x"},
        {"rule_id": "pin", "kind": "pin", "product_id": "shirt", "value": 3},
        {"rule_id": "pots", "kind": "limit", "category": "Home &amp; Garden", "value": 3},
        {"rule_id": "own", "kind": "limit", "brand": "Own &amp; Co", "value": 2},
    ]
    return {"products": products, "customers": customers, "orders": orders, "order_items": lines, "events": events, "rules": rules}


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    folder = tmp_path_factory.mktemp("values")
    data = write_shop(folder / "data", **a_shop())
    settings = load_settings(home=folder / "home", source="files", data=data, list_length=8, threads=1, sentiment_min_reviews=1_000_000)
    night = Night.open(settings, parse_as_of("2026-03-01"))
    run(night)
    return night


@pytest.fixture(scope="module")
def release(night: Night) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(str(night.serving), read_only=True)


@pytest.fixture(scope="module")
def lists(release: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    return dict(release.execute("SELECT customer_id, list(product_id ORDER BY rank) FROM recommendations GROUP BY ALL").fetchall())


def features(night: Night, file: str, query: str) -> list[tuple]:
    with duckdb.connect() as connection:
        connection.read_parquet(str(night.features / f"{file}.parquet")).create_view("rows")
        return connection.execute(query).fetchall()


def test_a_list_shows_one_variant_and_the_customers_own(lists: dict[str, list[str]]) -> None:
    assert len(lists) == 62, "sixty, the guest, and who sent something back"
    for customer, products in lists.items():
        assert len(products) == 8, customer
        shirts = [product for product in products if product.startswith("shirt")]
        assert len(shirts) == (customer != "c00") and not {"shirt-l", "shirt-x"} & set(shirts)
        assert len({"wine", "wine-old"} & set(products)) <= 1
    assert [("wine-old" in lists[customer], "wine" in lists[customer]) for customer in ("c01", "c03", "c05")] == [(True, False)] * 3
    assert not any("wine-old" in products for customer, products in lists.items() if customer not in ("c01", "c03", "c05"))


def test_a_pin_of_the_parent_shows_what_stands_for_all(lists: dict[str, list[str]], night: Night) -> None:
    ((shown,),) = features(night, "products", "SELECT DISTINCT shown_product_id FROM rows WHERE product_id LIKE 'shirt%'")
    assert shown in ("shirt-m", "shirt-s")
    assert all(products[2] == shown for customer, products in lists.items() if customer != "c00")


def test_what_was_done_with_any_variant_is_told_of_one(night: Night) -> None:
    found = features(night, "interactions", "SELECT DISTINCT product_id FROM rows WHERE product_id LIKE 'shirt%'")
    assert len(found) == 1
    ((views,),) = features(night, "interactions", "SELECT count(*) FROM rows WHERE product_id LIKE 'shirt%' AND event_type = 'view'")
    assert views == 30, "the parent, which is no product, was looked at"


def test_every_variant_has_the_same_similar_products(release: duckdb.DuckDBPyConnection) -> None:
    for table, column in (("similar_products", "similar_product_id"), ("bought_together", "bought_product_id")):
        lists_of = f"SELECT product_id, list({column} ORDER BY rank) FROM {table} GROUP BY 1"
        of_product = dict(release.execute(lists_of).fetchall())
        shirts = [products for product, products in of_product.items() if product.startswith("shirt")]
        assert len(shirts) in (0, 4) and len({tuple(products) for products in shirts}) <= 1
        assert table == "bought_together" or shirts
        everything = {product for products in of_product.values() for product in products}
        assert everything and not {"shirt-l", "shirt-x", "postage"} & everything


def test_impossible_ages_see_nothing_from_18_and_one_variant_speaks_for_all(lists: dict[str, list[str]], night: Night) -> None:
    reached = dict(features(night, "customers", "SELECT customer_id, reached_age FROM rows"))
    assert {reached[customer] for customer in ODD_BIRTHDAYS} == {0} and reached["c10"] == 18
    for customer in [*ODD_BIRTHDAYS, "guest", "returns"]:
        assert not {"wine", "wine-old"} & set(lists[customer]), customer
    assert any({"wine", "wine-old"} & set(products) for products in lists.values())


def test_no_markup_reaches_a_shopper(release: duckdb.DuckDBPyConnection, night: Night) -> None:
    titles = {title for (title,) in features(night, "products", "SELECT title FROM rows WHERE product_id <> 'scraped'")}
    assert {"Guitar strings & picks 0", "Clay pot 1"} <= titles
    assert features(night, "products", "SELECT title, category FROM rows WHERE product_id = 'scraped'") == [(None, None)]
    categories = {category for (category,) in features(night, "products", "SELECT category FROM rows")}
    assert {"Music > Strings", "Home & Garden > Pots"} <= categories
    odd = r"&[a-z#]|<[a-z/]|getTime"
    assert release.execute("SELECT reason FROM recommendations WHERE regexp_matches(reason, ?)", [odd]).fetchall() == []
    shown = release.execute("SELECT DISTINCT category FROM recommendations_by_category").fetchall()
    assert shown and {category for (category,) in shown} <= categories


def test_rules_name_cleaned_categories_and_brands(lists: dict[str, list[str]]) -> None:
    own = {f"p{i:02d}" for i in range(0, 22, 3)}
    pots = {f"p{i:02d}" for i in range(1, 22, 2)}
    for customer, products in lists.items():
        assert len(pots & set(products)) <= 3 and len(own & set(products)) <= 2, customer


def test_what_was_sent_back_is_neither_money_nor_taste(release: duckdb.DuckDBPyConnection, night: Night) -> None:
    profile = "SELECT frequency, monetary FROM customer_profiles WHERE customer_id = 'returns'"
    assert [tuple(map(float, row)) for row in release.execute(profile).fetchall()] == [(1.0, 23.5)]
    kept = features(night, "interactions", "SELECT DISTINCT product_id FROM rows WHERE customer_id = 'returns' ORDER BY 1")
    assert kept == [("p04",), ("p06",)]
    assert release.execute("SELECT count(*) FROM customer_profiles WHERE customer_id = 'tester'").fetchall() == [(0,)]


def test_what_is_hidden_teaches_nothing(release: duckdb.DuckDBPyConnection, night: Night) -> None:
    assert features(night, "interactions", "SELECT count(*) FROM rows WHERE product_id = 'postage'") == [(0,)]
    assert release.execute("SELECT count(*) FROM recommendations WHERE because_product_id = 'postage'").fetchall() == [(0,)]


def test_the_guest_trains_nothing_and_gets_the_segments_list(release: duckdb.DuckDBPyConnection, night: Night) -> None:
    assert features(night, "interactions", "SELECT count(*) FROM rows WHERE customer_id = 'guest'") == [(0,)]
    assert features(night, "customers", "SELECT segment, consent FROM rows WHERE customer_id = 'guest'") == [("new", False)]
    assert release.execute("SELECT frequency FROM customer_profiles WHERE customer_id = 'guest'").fetchall() == [(100,)]
    strategies = release.execute("SELECT DISTINCT strategy FROM recommendations WHERE customer_id = 'guest'").fetchall()
    assert {strategy for (strategy,) in strategies} <= {"segment_popular", "popular", "pinned"}
