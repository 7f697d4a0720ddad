"""A shop's rules, removals, ages and newcomers through every step of a night, as its files tell of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from include.night import Night, parse_as_of
from include.settings import load_settings
from tests.test_bad_days import write_shop
from tests.whole_night import STEPS, run

pytestmark = pytest.mark.slow

KINDS = ("guitar with steel strings", "espresso coffee machine")
PAST = "2026-01-01"


def a_shop() -> dict[str, list[dict[str, Any]]]:
    """Eighty customers who like guitars or coffee, four odd ones, and 24 products, of which one came today."""
    products: list[dict[str, Any]] = [
        {
            "product_id": f"p{i:02d}",
            "title": f"{KINDS[i % 2]} {i}",
            "category": ("Music", "Kitchen")[i % 2],
            "brand": ("Own", "Other")[i // 2 % 2],
            "created_at": PAST,
            "minimum_age": 18 if i in (6, 7) else None,
        }
        for i in range(24)
    ]
    products.append({"product_id": "new", "title": f"new {KINDS[0]}", "category": "Music", "brand": "New", "created_at": "2026-02-28"})
    customers: list[dict[str, Any]] = [{"customer_id": f"c{c:02d}", "birth_date": "1980-05-05", "registered_at": PAST} for c in range(80)]
    customers += [
        {"customer_id": "once", "birth_year": 1999, "registered_at": PAST},
        {"customer_id": "never", "is_adult": True, "registered_at": PAST},
        {"customer_id": "child", "birth_date": "2012-05-05", "registered_at": PAST},
        {"customer_id": "private", "consent_personalisation": False, "registered_at": PAST},
    ]
    seen = [(f"c{c:02d}", f"p{(2 * j + c % 2):02d}", 1 + (c * 7 + j) % 27) for c in range(80) for j in range(c % 5, 12, 2)]
    seen += [("once", "p02", 20), *(("private", f"p{i:02d}", 5) for i in range(5)), ("child", "p01", 9), ("child", "p03", 10)]
    events = [
        {
            "event_id": f"e{number}",
            "event_type": "view",
            "customer_id": customer,
            "product_id": product,
            "occurred_at": f"2026-02-{day:02d}T09:00:00Z",
        }
        for number, (customer, product, day) in enumerate(seen)
    ]
    events += [
        {
            "event_id": f"n{number}",
            "event_type": "not_interested",
            "customer_id": customer,
            "product_id": product,
            "occurred_at": "2026-02-27T10:00:00Z",
        }
        for number, (customer, product) in enumerate([("c00", "p04"), ("private", "p05"), ("never", "p08")])
    ]
    rules = [
        {"rule_id": "blocked", "kind": "block", "product_id": "p00"},
        {"rule_id": "pinned", "kind": "pin", "product_id": "p08", "value": 2},
        {"rule_id": "own", "kind": "limit", "brand": "Own", "value": 3},
        {"rule_id": "over", "kind": "block", "product_id": "p02", "valid_until": "2026-02-20"},
        {"rule_id": "wine", "kind": "minimum_age", "product_id": "p09", "value": 16},
    ]
    return {"products": products, "customers": customers, "events": events, "rules": rules}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    folder = tmp_path_factory.mktemp("shop")
    data = write_shop(folder / "data", **a_shop())
    settings = load_settings(home=folder / "home", source="files", data=data, list_length=6, threads=1, max_of_category=5)
    night = Night.open(settings, parse_as_of("2026-03-01"))
    run(night, tuple(step for step in STEPS if step != "report"))
    return duckdb.connect(str(night.serving), read_only=True)


@pytest.fixture
def lists(release: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    return dict(release.execute("SELECT customer_id, list(product_id ORDER BY rank) FROM recommendations GROUP BY ALL").fetchall())


def test_rules_hold_in_every_list_of_the_release(release: duckdb.DuckDBPyConnection, lists: dict[str, list[str]]) -> None:
    default = dict(release.execute("SELECT segment, list(product_id ORDER BY rank) FROM recommendations_default GROUP BY ALL").fetchall())
    assert len(lists) == 84
    own = {f"p{i:02d}" for i in range(24) if i // 2 % 2 == 0}
    for name, products in [*lists.items(), *default.items()]:
        assert len(products) == 6, name
        assert "p00" not in products
        assert len(own & set(products)) <= 3
        kitchen = [product for product in products if product != "new" and int(product[1:]) % 2]
        assert len(kitchen) <= 5 and len(products) - len(kitchen) <= 5
        assert ("p08" in products[1:2]) == (name != "never"), name
    assert any("p02" in products for products in [*lists.values(), *default.values()]), "a rule that is over holds no more"
    for table, column in (("similar_products", "similar_product_id"), ("trending_products", "product_id")):
        assert release.execute(f"SELECT count(*) FROM {table} WHERE {column} = 'p00'").fetchall() == [(0,)]


def test_removals_and_ages(release: duckdb.DuckDBPyConnection, lists: dict[str, list[str]]) -> None:
    assert "p04" not in lists["c00"] and "p05" not in lists["private"] and "p08" not in lists["never"]
    for name in ("child", "private"):
        assert not {"p06", "p07", "p09"} & set(lists[name])
    (shown,) = release.execute("SELECT count(*) FROM recommendations_default WHERE product_id IN ('p06', 'p07', 'p09')").fetchall()
    assert shown == (0,)


def test_one_event_makes_a_list_personal_and_none_gets_the_segments(release: duckdb.DuckDBPyConnection) -> None:
    def strategies(customer: str) -> set[str]:
        found = release.execute("SELECT DISTINCT strategy FROM recommendations WHERE customer_id = ?", [customer]).fetchall()
        return {strategy for (strategy,) in found}

    general = {"segment_popular", "popular", "pinned"}
    assert strategies("never") <= general and strategies("private") <= general
    assert strategies("once") - general


def test_the_customers_own_events_alone_are_evidence(release: duckdb.DuckDBPyConnection) -> None:
    """A removal is no activity: who did nothing else has not been seen."""
    assert release.execute("SELECT last_seen_at FROM customer_profiles WHERE customer_id = 'never'").fetchall() == [(None,)]


def test_a_rule_of_the_shops_that_nobody_can_keep_stops_the_night(open_night: Callable[..., Night], tmp_path: Path) -> None:
    shop = a_shop()
    shop["rules"].append({"rule_id": "broken", "kind": "pin", "category": "Music", "value": 1})
    night = open_night(source="files", data=write_shop(tmp_path / "data", **shop))
    with pytest.raises(AssertionError, match="rules_that_say_nothing"):
        run(night, ("land", "collect", "check_raw"))
    (told,) = json.loads((night.folder / "quality" / "raw_offenders.json").read_text())
    assert [row["rule_id"] for row in told["rows"]] == ["broken"]
