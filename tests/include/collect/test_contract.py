"""The contract as collecting reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.collect.contract import SOURCES, BadContract, load_contract


def test_contract_has_the_tables_of_the_design() -> None:
    contract = load_contract()
    assert set(contract.table_names) == {
        *("customers", "products", "orders", "order_items", "payments", "events", "reviews", "tickets", "answers", "campaigns", "rules")
    }
    assert [table.name for table in contract if table.need == "required"] == ["products"]
    assert {table.name for table in contract if table.need == "fact"} == {"orders", "events", "reviews"}
    assert contract.table("order_items").key == ("order_id", "line_number")
    assert contract.table("order_items").event_time is None
    rating = contract.table("reviews").column("rating")
    assert (rating.kind, rating.min, rating.max, rating.required) == ("integer", 1, 5, False)
    assert contract.table("customers").column("email").personal
    assert contract is load_contract()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("- name: products", '- name: "products; drop table x"', "not a plain identifier"),
        ("{name: brand,", '{name: "a b",', "not a plain identifier"),
        ("name: position, data_type: integer", "name: position, data_type: blob", "has the type 'blob'"),
        ("key: [product_id]", "key: [title]", "every key column must be required"),
        ("references: products.product_id", "references: products.nothing", "references products.nothing"),
        ("need: required", "need: perhaps", "need is 'perhaps'"),
        ("event_time: created_at", "event_time: born_at", "event_time born_at is no column"),
        ("sources:", "fountains:", "cannot be read"),
    ],
)
def test_broken_contract_is_refused_with_the_place(tmp_path: Path, old: str, new: str, problem: str) -> None:
    text = SOURCES.read_text()
    assert old in text
    path = tmp_path / "sources.yml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(BadContract, match=problem):
        load_contract(path)
