"""Ids that find nothing in the table they name, and why."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from include.collect.contract import load_contract
from include.collect.references import Reference, find_unmatched


def unmatched(shop: Any) -> dict[str, Reference]:
    """What finds nothing, by table and column."""
    with duckdb.connect(str(shop.night.warehouse)) as con:
        found = find_unmatched(con, load_contract(), "raw")
    return {f"{reference.table}.{reference.column}": reference for reference in found if reference.unmatched}


@pytest.mark.parametrize(
    ("known", "used", "cause"),
    [
        ("17004", "17004.0", "numbers written as decimals (17004.0)"),
        ("00100", "100", "leading zeros"),
        ("A1", "a1", "small and capital letters"),
        ("A1", "A1\u00a0", "invisible characters"),
        ("A\u200b1", "A1", "invisible characters"),
        ("A1", "A1\u2009", "invisible characters"),
        ("1001", "'1001", "signs before them ('1001, #1001)"),
        ("Caf\u00e9", "Cafe\u0301", "accents put together from two signs"),
    ],
)
def test_a_spelling_is_named(open_shop: Any, known: str, used: str, cause: str) -> None:
    open_shop.put("customers/c.csv", f"customer_id\n{known}\nc2\n")
    open_shop.put(
        "orders/o.csv", f"order_id,customer_id,ordered_at\no1,{used},2026-02-01\no2,{used},2026-02-01\no3,c2,2026-02-01\no4,,2026-02-01\n"
    )
    open_shop.collect()
    found = unmatched(open_shop)["orders.customer_id"]
    assert (found.parent, found.rows, found.unmatched, found.misspelt) == ("customers", 3, 2, 2)
    assert found.causes == [cause]
    assert found.ids == [(used, known)]
    assert found.told == f"2 of 3 find nothing in customers, such as {used!r} (there is {known!r}); likely cause: {cause}"


def test_several_spellings_and_ids_that_nobody_knows(open_shop: Any) -> None:
    open_shop.put("products/p.csv", "product_id\n007\nAB\n")
    rows = "".join(f"i{n},view,2026-02-01,{key}\n" for n, key in enumerate(["7.0", "7.0", "ab", "gone", "lost", "ann@example.org", "p1"]))
    open_shop.put("events/e.csv", "event_id,event_type,occurred_at,product_id\n" + rows)
    open_shop.collect()
    found = unmatched(open_shop)["events.product_id"]
    assert (found.rows, found.unmatched, found.misspelt) == (8, 6, 3)
    assert set(found.causes) == {"leading zeros", "numbers written as decimals (17004.0)", "small and capital letters"}
    assert found.ids == [("7.0", "007"), ("ab", "AB"), ("[email]", None)]


def test_where_a_table_is_absent_only_spellings_of_one_id_are_told(open_shop: Any) -> None:
    open_shop.put("orders/o.csv", "order_id,customer_id,ordered_at\no1,anybody,2026-02-01\no2,17004.0,2026-02-01\n")
    open_shop.put("events/e.csv", "event_id,event_type,occurred_at,customer_id\ne1,view,2026-02-01,17004\ne2,view,2026-02-01,c9\n")
    open_shop.collect()
    found = unmatched(open_shop)
    assert {name: (reference.parent, reference.unmatched, reference.ids[0]) for name, reference in found.items()} == {
        "orders.customer_id": ("events", 1, ("17004.0", "17004")),
        "events.customer_id": ("orders", 1, ("17004", "17004.0")),
    }


def test_what_variants_have_in_common_may_be_named(open_shop: Any) -> None:
    open_shop.put("products/p.csv", "product_id,parent_product_id\nshirt-s,shirt\nshirt-m,shirt\n")
    open_shop.put("events/e.csv", "event_id,event_type,occurred_at,product_id\ne1,view,2026-02-01,shirt\ne2,view,2026-02-01,Shirt-S\n")
    open_shop.collect()
    assert unmatched(open_shop)["events.product_id"].ids == [("Shirt-S", "shirt-s")]
