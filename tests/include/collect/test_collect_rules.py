"""What the contract refuses, value by value, and what it takes."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

EVIL = "'; drop table products; --"


GOOD_TIMES = {
    "2026-02-01": "2026-02-01 00:00:00",
    "2026-02-01 10:11:12": "2026-02-01 10:11:12",
    "2026-02-01T10:11:12Z": "2026-02-01 10:11:12",
    "2026-02-01T10:11:12.5+02:00": "2026-02-01 08:11:12.5",
    " 2026-02-01 10:11:12 -0330 ": "2026-02-01 13:41:12",
    "2026-02-01 10:11:12 UTC": "2026-02-01 10:11:12",
    "2026/2/1 9:05": "2026-02-01 09:05:00",
    "1767225600": "2026-01-01 00:00:00",
    "1767225600.25": "2026-01-01 00:00:00.25",
    "1767225600123": "2026-01-01 00:00:00.123",
    "1767225600123456": "2026-01-01 00:00:00.123456",
    "1970-01-01": "1970-01-01 00:00:00",
}
BAD_TIMES = {
    "": "missing",
    "  ": "missing",
    "01.02.2026": "not a time",
    "2026-02-30": "not a time",
    "yesterday": "not a time",
    "2026-02-01 10:11:12 Europe/Berlin": "not a time",
    "2026-02-01 25:00": "not a time",
    "2026-02-01T10:11:12+99:00": "not a time",
    "infinity": "not a time",
    "epoch": "not a time",
    "12": "not a time",
    "nan": "not a time",
    "1969-12-31 23:59:59": "before 1970",
    "0001-01-01": "before 1970",
    "9999-12-31": "in the future",
    "95617584000": "in the future",
}
GOOD_NUMBERS = {"3": 3, "3.0": 3, " +3 ": 3, "1e3": 1000, "": None}
BAD_NUMBERS = ["3.5", "three", "99999999999", "nan", "inf", "1,5", "0x10", "--1", "1e400", "9" * 5000 + "x"]


def events(shop: Any, rows: list[dict[str, str]]) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The events as they were loaded (type, time, position), and the problems (column, value, reason); both in file order."""
    whole = [
        {"event_id": f"e{i}", "event_type": "view", "occurred_at": "2026-02-01", "position": ""} | row for i, row in enumerate(rows, 1)
    ]
    with (shop.put("events/e.csv", "")).open("w", newline="") as file:
        writer = csv.DictWriter(file, whole[0])
        writer.writeheader()
        writer.writerows(whole)
    shop.collect()
    loaded = shop.sql("SELECT event_type, occurred_at::VARCHAR, position FROM raw.events WHERE event_id <> 'e0' ORDER BY _row")
    return loaded, [problem[1:] for problem in shop.problems()]


def test_times_become_utc(open_shop: Any) -> None:
    loaded, problems = events(open_shop, [{"occurred_at": text} for text in GOOD_TIMES])
    assert problems == []
    assert [time for _, time, _ in loaded] == list(GOOD_TIMES.values())


def test_impossible_times_are_refused(open_shop: Any) -> None:
    loaded, problems = events(open_shop, [{"occurred_at": text} for text in BAD_TIMES])
    assert loaded == []
    assert problems == [("occurred_at", text.strip() or None, reason) for text, reason in BAD_TIMES.items()]


def test_clock_skew_is_forgiven_within_its_setting(open_shop: Any) -> None:
    now = datetime.now(UTC).replace(tzinfo=None)
    for name, ahead in {"soon": 50, "later": 70}.items():
        open_shop.put(f"events/{name}.csv", f"event_id,event_type,occurred_at\n{name},view,{now + timedelta(minutes=ahead)}\n")
    open_shop.collect(clock_skew_minutes=60)
    assert open_shop.sql("SELECT event_id FROM raw.events ORDER BY 1") == [("e0",), ("soon",)]
    assert [problem[3] for problem in open_shop.problems()] == ["in the future"]


def test_a_night_ahead_of_the_clock_takes_rows_up_to_its_moment(open_shop: Any) -> None:
    open_shop.put("events/e.csv", "event_id,event_type,occurred_at\ne1,view,2030-01-01\ne2,view,2030-01-03\n")
    open_shop.collect("2030-01-02")
    assert open_shop.sql("SELECT event_id FROM raw.events ORDER BY 1") == [("e0",), ("e1",)]


def test_times_that_may_lie_ahead_are_taken_and_births_before_1970_too(open_shop: Any) -> None:
    open_shop.put("products/p.csv", "product_id,available_until\np2,2999-01-01\n")
    open_shop.put("customers/c.csv", "customer_id,birth_date\nc1,1948-05-06\nc2,2999-01-01\n")
    open_shop.collect()
    assert open_shop.sql("SELECT available_until::VARCHAR FROM raw.products WHERE product_id = 'p2'") == [("2999-01-01 00:00:00",)]
    assert open_shop.sql("SELECT customer_id, birth_date::VARCHAR FROM raw.customers") == [("c1", "1948-05-06")]
    assert open_shop.problems() == [(2, "birth_date", None, "in the future")]


def test_whole_numbers(open_shop: Any) -> None:
    loaded, problems = events(open_shop, [{"position": text} for text in GOOD_NUMBERS])
    assert problems == []
    assert [position for _, _, position in loaded] == list(GOOD_NUMBERS.values())


def test_no_whole_numbers(open_shop: Any) -> None:
    loaded, problems = events(open_shop, [{"position": text} for text in BAD_NUMBERS])
    assert loaded == []
    assert problems == [("position", text[:200], "not a whole number") for text in BAD_NUMBERS]


def test_values_are_compared_and_stored_in_lower_case(open_shop: Any) -> None:
    assert events(open_shop, [{"event_type": " View "}])[0] == [("view", "2026-02-01 00:00:00", None)]


def test_value_outside_the_list_is_refused(open_shop: Any) -> None:
    loaded, problems = events(open_shop, [{"event_type": EVIL}])
    assert loaded == []
    assert problems[0][:2] == ("event_type", EVIL)
    assert problems[0][2].startswith("not one of view, cart, ")


def test_amounts_ratings_and_flags(open_shop: Any) -> None:
    open_shop.put(
        "products/p.csv",
        "product_id,price,stock,is_hidden\na,9.999,-3,YES\nb,1e2,,0\nc,-0.01,1,maybe\nd,inf,,t\ne,NaN,,f\nf,1.234e20,,\ng,$5,,\nh,0,,1.0\n",
    )
    open_shop.put(
        "reviews/r.csv", "review_id,product_id,rating,reviewed_at\nr1,p1,11,2026-02-01\nr2,p1,0,2026-02-01\nr3,p1,5.0,2026-02-01\n"
    )
    open_shop.collect()
    assert open_shop.sql("SELECT product_id, price, stock, is_hidden FROM raw.products WHERE product_id <> 'p1' ORDER BY 1") == [
        ("a", Decimal("10.00"), -3, True),
        ("b", Decimal("100.00"), None, False),
        ("h", Decimal("0.00"), None, True),
    ]
    assert open_shop.sql("SELECT review_id FROM raw.reviews") == [("r3",)]
    assert open_shop.problems() == [
        (3, "is_hidden", "maybe", "not yes or no"),
        (3, "price", "-0.01", "below 0"),
        (4, "price", "inf", "not an amount"),
        (5, "price", "NaN", "not an amount"),
        (6, "price", "1.234e20", "not an amount"),
        (7, "price", "$5", "not an amount"),
        (1, "rating", "11", "above 5"),
        (2, "rating", "0", "below 1"),
    ]
    assert open_shop.counts("products")[1] == (8, 3, 0, 5)


def test_several_problems_of_one_row_are_one_row_quarantined(open_shop: Any) -> None:
    open_shop.put("reviews/r.csv", "review_id,product_id,rating,reviewed_at\n,,99,never\n")
    open_shop.collect()
    assert open_shop.counts("reviews") == [(1, 0, 0, 1)]
    assert [(column, reason) for _, column, _, reason in open_shop.problems()] == [
        ("rating", "above 5"),
        ("review_id", "missing"),
        ("reviewed_at", "not a time"),
    ]


def test_personal_values_never_reach_quarantine(open_shop: Any, caplog: pytest.LogCaptureFixture) -> None:
    open_shop.put(
        "customers/c.csv",
        "customer_id,birth_date,email,registered_at\nc1,31 May 1948,ann@example.org,never\n,1948-05-31,bob@example.org,\n",
    )
    open_shop.put("customers/d.jsonl", '{"customer_id": "c3", "email": "carl@example.org",\n{"customer_id": "c4"}\n')
    open_shop.collect()
    assert open_shop.problems() == [
        (1, "birth_date", None, "not a date"),
        (1, "registered_at", "never", "not a time"),
        (2, "customer_id", None, "missing"),
        (1, None, None, "malformed line: not JSON"),
    ]
    assert "example.org" not in caplog.text


def test_ids_and_hostile_texts_come_through_verbatim(open_shop: Any) -> None:
    long = "很好😀" * 8000  # 80 kB of UTF-8
    texts = {"007": EVIL, " 1.0 ": "😀 中文 \u202e", "NULL": "tab\there", "1e5": "line\nbreak \x1b[31m\x07", "x": long, "y": "a\x00b"}
    rows = "".join(f'"{key}","{text}","{text}"\n' for key, text in texts.items())
    open_shop.put("products/p.csv", "product_id,title,description\n" + rows)
    open_shop.collect()
    loaded = dict(open_shop.sql("SELECT product_id, title FROM raw.products WHERE product_id <> 'p1'"))
    assert loaded == {key.strip(): text.replace("\x00", "") for key, text in texts.items()}
    assert open_shop.sql("SELECT max(strlen(description)) FROM raw.products")[0][0] == 80_000


def test_parquet_values_in_other_types_are_judged_alike(open_shop: Any) -> None:
    open_shop.put_parquet(
        "reviews/r.parquet",
        """SELECT * FROM (VALUES (1, 5.0::DOUBLE, 1767225600::BIGINT), (2, 3.5, 1767225600000), (3, 'NaN'::DOUBLE, 5), (4, 11, NULL))
        AS t(review_id, rating, reviewed_at), (SELECT 42 AS product_id)""",
    )
    open_shop.put_parquet(
        "events/e.parquet",
        "SELECT 'e1' AS event_id, 'view' AS event_type, unnest([TIMESTAMP 'infinity', TIMESTAMP '1900-01-01', NULL]) AS occurred_at",
    )
    open_shop.collect()
    assert open_shop.sql("SELECT review_id, product_id, rating, reviewed_at::VARCHAR FROM raw.reviews") == [
        ("1", "42", 5, "2026-01-01 00:00:00")
    ]
    assert [(row, column, reason) for row, column, _, reason in open_shop.problems()] == [
        (1, "occurred_at", "not a time"),
        (2, "occurred_at", "before 1970"),
        (3, "occurred_at", "missing"),
        (2, "rating", "not a whole number"),
        (3, "rating", "not a whole number"),
        (3, "reviewed_at", "not a time"),
        (4, "rating", "above 5"),
        (4, "reviewed_at", "missing"),
    ]


def test_mapped_rows_name_their_own_file_and_row(open_shop: Any) -> None:
    open_shop.put_parquet(
        "orders/o.parquet",
        "SELECT 'o1' AS order_id, DATE '2026-02-01' AS ordered_at, -5 AS total, 'raw orders.csv' AS _file, 4711::UBIGINT AS _row",
    )
    open_shop.collect()
    assert open_shop.sql("SELECT path, row_number, column_name, value, reason FROM collect.quarantine") == [
        ("raw orders.csv", 4711, "total", "-5", "below 0")
    ]
    assert open_shop.sql("SELECT unknown_columns FROM collect.files WHERE table_name = 'orders'") == [(None,)]
