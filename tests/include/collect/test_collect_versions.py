"""Duplicates, corrections and late rows: every version kept, each visible in its own interval."""

from __future__ import annotations

import random
from typing import Any

import pytest

from include.errors import BadSetting

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
        ("First", "1970-01-01 00:00:00", "2026-02-02 00:00:00"),
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
    versions: dict[str, list[tuple[str, int, str]]] = {"p1": [("1970-01-01", 0, "Piano")]}
    order = 0
    for rows in files:
        known = set(versions)
        for key, title, updated in rows:
            order += 1
            versions.setdefault(key, []).append((updated or ("2026-02-28" if key in known else "1970-01-01"), order, title))
    for day in ("1971-01-01", "2026-01-01 12:00", "2026-01-02 12:00", "2026-01-03 12:00", "2026-01-04 12:00", "2026-03-01 00:00"):
        expected = []
        for key, told in versions.items():
            first, *later = sorted(told)
            expected.append((key, max([("1970-01-01", *first[1:]), *(version for version in later if version[0] < day)])[2]))
        assert open_shop.visible("products", "product_id, title", day) == sorted(expected)
    overlapping = open_shop.sql(
        """SELECT count(*) FROM raw.products a JOIN raw.products b ON a.product_id = b.product_id AND a.rowid <> b.rowid
        AND a._valid_from < coalesce(b._superseded_at, 'infinity') AND b._valid_from < coalesce(a._superseded_at, 'infinity')"""
    )
    assert overlapping == [(0,)]


def test_bytes_that_return_are_taken_again_where_they_are_news(open_shop: Any) -> None:
    """Day three's prices equal day one's; the files of all days go on lying there."""
    prices = "product_id,price\np2,{}\n"
    for day, price in ((1, 5), (2, 6), (3, 5)):
        open_shop.put(f"products/{day}.csv", prices.format(price))
        open_shop.collect(f"2026-02-0{day}")
    assert open_shop.counts("products") == [(1, 1, 0, 0), (1, 1, 0, 0), (1, 1, 0, 0), (1, 1, 0, 0)]
    for night, price in (("2026-02-01", 5), ("2026-02-02", 6), ("2026-02-03", 5)):
        assert open_shop.visible("products", "price", night) == [(price,), (None,)]
    open_shop.collect("2026-02-04")
    assert len(open_shop.counts("products")) == 4
    open_shop.put("products/4.csv", prices.format(5))
    open_shop.collect("2026-02-05")
    assert len(open_shop.counts("products")) == 4


def test_a_file_that_is_written_over_and_back_again_is_news_each_time(open_shop: Any) -> None:
    for day, price in ((1, 5), (2, 6), (3, 5)):
        open_shop.put("products/prices.csv", f"product_id,price\np2,{price}\n")
        open_shop.collect(f"2026-02-0{day}")
    assert open_shop.visible("products", "price", "2026-02-03") == [(5,), (None,)]


def test_a_row_written_after_the_night_was_there_before(open_shop: Any) -> None:
    """Shops stamp rows when they export them; what a row is about was there all the same, and its own time still counts."""
    open_shop.put("products/a.csv", HEADER + "p2,Drum,2026-04-01\n")
    open_shop.put("orders/a.csv", "order_id,ordered_at,updated_at\no1,2026-01-05,2026-04-01\n")
    open_shop.collect("2026-03-01")
    assert open_shop.visible("products", "title", "2026-03-01") == [("Drum",), ("Piano",)]
    assert open_shop.visible("orders", "order_id", "2026-01-05") == []
    assert open_shop.visible("orders", "order_id", "2026-01-06") == [("o1",)]


def test_a_row_that_says_it_is_gone_is_gone_from_then_on(open_shop: Any) -> None:
    header = "product_id,title,updated_at,deleted_at\n"
    open_shop.put("products/a.csv", header + "p2,Drum,,\np3,Flute,,\np4,Harp,2026-01-01,2026-01-20\n")
    open_shop.collect("2026-02-01")
    open_shop.put("products/b.csv", header + "p2,,,2026-02-10\np3,Flute,2026-02-05,2026-02-10\n")
    open_shop.collect("2026-03-01")
    assert open_shop.visible("products", "product_id", "2026-01-20") == [("p1",), ("p2",), ("p3",), ("p4",)]
    assert open_shop.visible("products", "product_id", "2026-02-10") == [("p1",), ("p2",), ("p3",)]
    assert open_shop.visible("products", "product_id", "2026-02-11") == [("p1",)]
    open_shop.put("products/c.csv", header + "p2,Drum,2026-03-05,\n")
    open_shop.collect("2026-03-06")
    assert open_shop.visible("products", "product_id, title", "2026-03-06") == [("p1", "Piano"), ("p2", "Drum")]


def test_what_a_snapshot_lacks_is_gone_and_may_come_back(open_shop: Any) -> None:
    snapshots = {"snapshot_tables": ["products"]}
    for day, rows in enumerate(("p1,Piano,\np2,Drum,\np3,Flute,1\n", "p1,Piano,\np3,Flute,-9\n", "p2,Drum,\np1,Grand piano,\n"), 1):
        open_shop.put("products/base.csv", "product_id,title,price\n" + rows)
        open_shop.collect(f"2026-02-0{day}", **snapshots)
    assert open_shop.sql("SELECT rows_held, rows_gone FROM collect.files WHERE table_name = 'products' ORDER BY file_id") == [
        (0, 0), (3, 1), (2, 1),
    ]  # fmt: skip
    assert open_shop.counts("products") == [(3, 3, 0, 0), (2, 0, 1, 1), (2, 2, 0, 0)]
    assert open_shop.visible("products", "title", "2026-02-01") == [("Drum",), ("Flute",), ("Piano",)]
    assert open_shop.visible("products", "title", "2026-02-02") == [("Flute",), ("Piano",)]
    assert open_shop.visible("products", "title", "2026-02-03") == [("Drum",), ("Grand piano",)]
    open_shop.put("products/base.csv", "product_id,title,price\np1,Grand piano,\np2,Drum,\n")
    open_shop.collect("2026-02-04", **snapshots)
    assert open_shop.counts("products")[-1] == (2, 0, 2, 0)
    assert open_shop.visible("products", "title", "2026-02-04") == [("Drum",), ("Grand piano",)]


def test_a_snapshot_with_stamps_brings_back_what_was_gone(open_shop: Any) -> None:
    for day, rows in enumerate(("p1,Piano,2026-01-01\np2,Drum,2026-01-02\n", "p1,Piano,2026-01-01\n", "p2,Drum,2026-01-02\n"), 1):
        open_shop.put("products/base.csv", HEADER + rows)
        open_shop.collect(f"2026-02-0{day}", snapshot_tables=["products"])
    seen = [[title for (title,) in open_shop.visible("products", "title", f"2026-02-0{day}")] for day in (1, 2, 3)]
    assert seen == [["Drum", "Piano"], ["Piano"], ["Drum"]]


def test_nothing_is_gone_from_a_snapshot_that_cannot_be_read_whole(open_shop: Any) -> None:
    for day, rows in enumerate(("p1,Piano\np2,Drum\n", 'p1,"Pi"ano\np3,Flute\n'), 1):
        open_shop.put("products/base.csv", "product_id,title\n" + rows)
        open_shop.collect(f"2026-02-0{day}", snapshot_tables=["products"])
    assert open_shop.visible("products", "title", "2026-02-02") == [("Drum",), ("Flute",), ("Piano",)]
    assert open_shop.sql("SELECT note, rows FROM collect.notes") == [
        ("lines of a snapshot that cannot be read: nothing is taken for gone", 1)
    ]


def test_bytes_of_a_snapshot_that_return_after_rows_came(open_shop: Any) -> None:
    for day, rows in enumerate(("p1,Piano\n", "p1,Piano\np2,Drum\n", "p1,Piano\n"), 1):
        open_shop.put("products/base.csv", "product_id,title\n" + rows)
        open_shop.collect(f"2026-02-0{day}", snapshot_tables=["products"])
    assert open_shop.visible("products", "title", "2026-02-03") == [("Piano",)]


def test_a_row_that_comes_later_and_only_says_that_it_is_gone_wins(open_shop: Any) -> None:
    """Also where it says a date, and what was known has a stamp of that day."""
    open_shop.put("products/a.csv", HEADER + "p2,Drum,2026-01-20T01:00Z\n")
    open_shop.collect("2026-01-21")
    open_shop.put("products/b.csv", "product_id,deleted_at\np2,2026-01-20\n")
    open_shop.collect("2026-01-22")
    assert open_shop.visible("products", "title", "2026-01-21") == [("Drum",), ("Piano",)]
    assert open_shop.visible("products", "title", "2026-01-22") == [("Piano",)]


def test_rows_that_take_each_others_place_are_told(open_shop: Any) -> None:
    open_shop.put("order_items/a.csv", "order_id,line_number,product_id\no1,1,p1\no1,1,p2\no1,1,p3\no2,1,p1\no2,1,p1\n")
    open_shop.put("events/oct.csv", "event_id,event_type,occurred_at\n1,view,2026-01-05\n2,view,2026-01-06\n")
    open_shop.put("events/sep.csv", "event_id,event_type,occurred_at\n1,view,2026-01-25\n3,view,2026-01-26\n")
    open_shop.put("products/a.csv", HEADER + "p2,Drum,2026-01-02\np2,Big drum,2026-01-03\n")
    open_shop.collect()
    assert open_shop.sql("SELECT table_name, column_name, note, rows FROM collect.notes ORDER BY 1") == [
        ("events", "event_id", "overwritten: a key that was known with another occurred_at: it takes that one's place", 1),
        ("order_items", "order_id, line_number", "overwritten: one key several times, saying otherwise: the last row counts", 2),
    ]


def test_a_snapshot_of_no_table_is_a_bad_setting(open_shop: Any) -> None:
    with pytest.raises(BadSetting, match="snapshot_tables names prices"):
        open_shop.collect(snapshot_tables=["prices"])
