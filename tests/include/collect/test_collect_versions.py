"""Duplicates, corrections and late rows: every version kept, each visible in its own interval."""

from __future__ import annotations

import random
from typing import Any

import pytest

HEADER = "product_id,title,updated_at\n"


def test_same_row_again_is_a_duplicate_in_the_same_file_and_in_another(open_shop: Any) -> None:
    open_shop.put("products/a.csv", HEADER + "p2,Drum,2026-01-02\np2,Drum,2026-01-02\np3,Flute,\n")
    open_shop.put("products/b.csv", HEADER + "p3,Flute,\np2,Drum,2026-01-02\np4,Harp,\n")
    open_shop.collect()
    assert open_shop.counts("products") == [(3, 2, 1, 0), (3, 1, 2, 0), (1, 1, 0, 0)]
    assert open_shop.sql("SELECT count(*) FROM raw.products WHERE _superseded_at IS NOT NULL") == [(0,)]


def test_same_content_under_two_names_is_taken_once(open_shop: Any) -> None:
    for name in ("a", "b"):
        open_shop.put(f"products/{name}.csv", HEADER + "p2,Drum,\n")
    open_shop.collect()
    assert open_shop.sql("SELECT path FROM collect.files WHERE table_name = 'products' ORDER BY 1") == [
        ("products/a.csv",),
        ("products/base.csv",),
    ]


def test_corrected_row_replaces_the_older_from_its_own_moment_on(open_shop: Any) -> None:
    open_shop.put("products/a.csv", HEADER + "p2,Drum,2026-01-02\n")
    open_shop.collect("2026-01-03")
    open_shop.put("products/b.csv", HEADER + "p2,Big drum,2026-02-02\n")
    open_shop.collect("2026-03-01")
    assert open_shop.counts("products")[-1] == (1, 1, 0, 0)
    assert open_shop.visible("products", "title", "2026-02-02 00:00:00") == [("Drum",), ("Piano",)]
    assert open_shop.visible("products", "title", "2026-02-02 00:00:01") == [("Big drum",), ("Piano",)]


def test_older_version_arriving_late_gets_the_interval_it_had(open_shop: Any) -> None:
    open_shop.put("products/a.csv", HEADER + "p2,Third,2026-02-03\np2,First,2026-02-01\n")
    open_shop.collect()
    open_shop.put("products/b.csv", HEADER + "p2,Second,2026-02-02\n")
    open_shop.collect()
    assert open_shop.sql(
        "SELECT title, _valid_from::VARCHAR, _superseded_at::VARCHAR FROM raw.products WHERE product_id = 'p2' ORDER BY 2"
    ) == [
        ("First", "2026-02-01 00:00:00", "2026-02-02 00:00:00"),
        ("Second", "2026-02-02 00:00:00", "2026-02-03 00:00:00"),
        ("Third", "2026-02-03 00:00:00", None),
    ]


def test_of_equal_versions_the_later_collected_counts(open_shop: Any) -> None:
    open_shop.put("products/a.csv", HEADER + "p2,One,\np2,Two,\n")
    open_shop.collect()
    assert open_shop.visible("products", "title", "2026-03-01") == [("Piano",), ("Two",)]
    open_shop.put("products/b.csv", HEADER + "p2,One,\n")
    open_shop.collect()
    assert open_shop.visible("products", "title", "2026-03-01") == [("One",), ("Piano",)]


def test_key_of_two_columns(open_shop: Any) -> None:
    open_shop.put(
        "order_items/a.csv", "order_id,line_number,product_id,updated_at\no1,1,p1,2026-01-01\no1,2,p1,2026-01-01\no1,2,p9,2026-01-02\n"
    )
    open_shop.collect()
    assert open_shop.visible("order_items", "line_number, product_id", "2026-03-01") == [(1, "p1"), (2, "p9")]


def test_late_rows_land_in_their_own_day(open_shop: Any) -> None:
    open_shop.put("events/late.csv", "event_id,event_type,occurred_at\nlate,view,2026-01-05\n")
    open_shop.collect("2026-03-01")
    assert open_shop.visible("events", "event_id", "2026-01-06") == [("late",)]
    assert open_shop.sql("SELECT oldest_event_at::VARCHAR FROM collect.files WHERE path = 'events/late.csv'") == [("2026-01-05 00:00:00",)]


@pytest.mark.parametrize("seed", range(3))
def test_any_history_equals_the_one_reckoned_row_by_row(open_shop: Any, seed: int) -> None:
    """Five files of random rows over few keys, days and titles, against a plain reckoning of what each moment sees."""
    draw = random.Random(seed)
    files = []
    for _ in range(5):
        rows = [
            (f"k{draw.randrange(4)}", draw.choice("ABC"), draw.choice(["", *(f"2026-01-0{day}" for day in range(1, 6))])) for _ in range(12)
        ]
        files.append(rows)
        open_shop.put("products/night.csv", HEADER + "".join(f"{','.join(row)}\n" for row in rows))
        open_shop.collect()
    open_shop.counts("products")
    for day in ("2026-01-01 12:00", "2026-01-02 12:00", "2026-01-03 12:00", "2026-01-04 12:00", "2026-03-01 00:00"):
        expected: dict[str, tuple[str, int, str]] = {"p1": ("1970-01-01", 0, "Piano")}
        order = 0
        for rows in files:
            for key, title, updated in rows:
                order += 1
                version = (updated or "1970-01-01", order, title)
                if version[0] < day:
                    expected[key] = max(expected.get(key, version), version)
        assert open_shop.visible("products", "product_id, title", day) == sorted((key, version[2]) for key, version in expected.items())
    overlapping = open_shop.sql(
        """SELECT count(*) FROM raw.products a JOIN raw.products b ON a.product_id = b.product_id AND a.rowid <> b.rowid
        AND a._valid_from < coalesce(b._superseded_at, 'infinity') AND b._valid_from < coalesce(a._superseded_at, 'infinity')"""
    )
    assert overlapping == [(0,)]
