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
    "202602011011.0": "2026-02-01 10:11:00",
    "1767225600.0": "2026-01-01 00:00:00",
    "1767225600123456789": "2026-01-01 00:00:00.123457",
    "20260201": "2026-02-01 00:00:00",
    "2026020110": "2026-02-01 10:00:00",
    "202602011011": "2026-02-01 10:11:00",
    "20260201101112": "2026-02-01 10:11:12",
    "20260201101112345": "2026-02-01 10:11:12.345",
    "2026-02-01T10:00Z": "2026-02-01 10:00:00",
    "2026-02-01T10:00+01:00": "2026-02-01 09:00:00",
    "2026-02-01T10:11:12+01": "2026-02-01 09:11:12",
    "20260201T101112Z": "2026-02-01 10:11:12",
    "20260201T1011": "2026-02-01 10:11:00",
    "20260201T101112+0100": "2026-02-01 09:11:12",
    "2026-02-01 10:00:00.0000000 +01:00": "2026-02-01 09:00:00",
    "2026-02-01T10:00:00+0100[Europe/Berlin]": "2026-02-01 09:00:00",
    "2026-02-01 10:11:12 GMT": "2026-02-01 10:11:12",
    "2026-02-01t10:11:12z": "2026-02-01 10:11:12",
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
    "nan": "missing",
    "202613401015": "not a time",
    "20261399": "not a time",
    "46346.427": "not a time",
    "638994000000000000": "in the future",
    "253402300799": "in the future",
    "253402300799000": "in the future",
    "99991231": "in the future",
    "1.76722E+09": "not a time",
    "-0001-11-30 00:00:00": "missing",
    "-62135596800": "missing",
    "2026-02-01junk": "not a time",
    "0000-00-00 00:00:00": "missing",
    "1969-12-31 23:59:59": "before 1970",
    "0001-01-01": "before 1970",
    "9999-12-31": "in the future",
    "95617584000": "in the future",
}
GOOD_NUMBERS = {"3": 3, "3.0": 3, " +3 ": 3, "1e3": 1000, "": None}
BAD_NUMBERS = ["3.5", "three", "99999999999", "inf", "1,5", "0x10", "--1", "1e400", "9" * 5000 + "x"]


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
    open_shop.put("products/p.csv", "product_id,available_until\np2,2099-01-01\n")
    open_shop.put("customers/c.csv", "customer_id,birth_date\nc1,1948-05-06\n")
    open_shop.collect()
    assert open_shop.sql("SELECT available_until::VARCHAR FROM raw.products WHERE product_id = 'p2'") == [("2099-01-01 00:00:00",)]
    assert open_shop.sql("SELECT customer_id, birth_date::VARCHAR FROM raw.customers") == [("c1", "1948-05-06")]


def test_times_that_cannot_be_meant_are_missing_where_they_are_optional(open_shop: Any) -> None:
    """Zero dates and dates that stand for never cost the value and not the row, and are noted."""
    sentinels = ["0000-00-00", "0000-00-00 00:00:00", "0001-01-01T00:00:00", "1900-01-01", "1970-01-01 08:00", "9999-12-31 23:59:59", "0"]
    rows = "".join(f"p{i},{moment},{moment}\n" for i, moment in enumerate(sentinels, 2))
    open_shop.put("products/p.csv", "product_id,available_until,created_at\n" + rows)
    births = ["0000-00-00", "0001-01-01", "1900-01-01", "2999-01-01", "1980-05-06T00:00:00+02:00", "19800506"]
    open_shop.put("customers/c.csv", "customer_id,birth_date\n" + "".join(f"c{i},{day}\n" for i, day in enumerate(births)))
    open_shop.collect()
    assert open_shop.problems() == []
    assert open_shop.sql("SELECT count(*), count(available_until), count(created_at) FROM raw.products") == [(len(sentinels) + 1, 0, 0)]
    assert open_shop.sql("SELECT birth_date::VARCHAR FROM raw.customers ORDER BY customer_id") == [*[(None,)] * 4, *[("1980-05-06",)] * 2]
    assert open_shop.sql("SELECT column_name, note, rows, row_number, value FROM collect.notes ORDER BY table_name, column_name, note") == [
        ("birth_date", "cannot be meant: taken as missing", 3, 2, None),
        ("birth_date", "says that there is none: taken as missing", 1, 1, None),
        ("available_until", "cannot be meant: taken as missing", 4, 3, "0001-01-01T00:00:00"),
        ("available_until", "says that there is none: taken as missing", 3, 1, "0000-00-00"),
        ("created_at", "cannot be meant: taken as missing", 4, 3, "0001-01-01T00:00:00"),
        ("created_at", "says that there is none: taken as missing", 3, 1, "0000-00-00"),
    ]


@pytest.mark.parametrize("day", ["2026-02-01junk", "epoch", "infinity", "06/05/1980", "1980-02-30"])
def test_what_is_no_date_is_refused(open_shop: Any, day: str) -> None:
    open_shop.put("customers/c.csv", f"customer_id,birth_date\nc1,{day}\n")
    open_shop.collect()
    assert open_shop.problems() == [(1, "birth_date", None, "not a date")]


@pytest.mark.parametrize("word", ["NULL", "\\N", "nan", "None", "N/A", "(not set)", "undefined", "#N/A"])
def test_words_for_nothing_are_missing(open_shop: Any, word: str) -> None:
    open_shop.put("products/p.csv", f"product_id,title,category,price\np2,{word},{word},{word}\n{word},Pan,Kitchen,1\n")
    open_shop.put("orders/o.csv", f"order_id,customer_id,ordered_at\no1,{word},2026-02-01\no2,c1,{word}\n")
    open_shop.collect()
    assert open_shop.sql("SELECT product_id, title, category, price FROM raw.products WHERE product_id <> 'p1'") == [
        ("p2", None, None, None)
    ]
    assert open_shop.sql("SELECT order_id, customer_id FROM raw.orders") == [("o1", None)]
    assert open_shop.problems() == [(2, "product_id", word, "missing"), (2, "ordered_at", word, "missing")]


def test_signs_for_no_number_are_words_where_a_text_is_wanted(open_shop: Any) -> None:
    open_shop.put("products/p.csv", "product_id,title,price,stock,created_at\np2,NA,NA,-,NA\np3,-,?,--,\n")
    open_shop.collect()
    assert open_shop.sql("SELECT title, price, stock, created_at FROM raw.products WHERE product_id <> 'p1' ORDER BY 1") == [
        ("-", None, None, None),
        ("NA", None, None, None),
    ]


def test_never_as_a_number_is_missing(open_shop: Any) -> None:
    nevers = ["253402300799", "253402300799000", "253402214400", "253370764800000", "99991231", "-1", "000000000000"]
    open_shop.put("products/p.csv", "product_id,available_until\n" + "".join(f"p{i},{never}\n" for i, never in enumerate(nevers, 2)))
    open_shop.put_parquet(
        "products/q.parquet", "SELECT 'q' || i AS product_id, [0, -62135596800, 253402300799][i] AS created_at FROM range(1, 4) t(i)"
    )
    open_shop.collect()
    assert open_shop.problems() == []
    assert open_shop.sql("SELECT count(*), count(available_until), count(created_at) FROM raw.products") == [(len(nevers) + 4, 0, 0)]


def test_the_guest_is_nobody(open_shop: Any) -> None:
    open_shop.put("orders/o.csv", "order_id,customer_id,ordered_at\n0,0,2026-02-01\n-1,-1.0,2026-02-01\n2,10,2026-02-01\n")
    open_shop.put_parquet(
        "reviews/r.parquet", "SELECT i AS review_id, i AS customer_id, 'p1' AS product_id, now() AS reviewed_at FROM range(2) t(i)"
    )
    open_shop.put("customers/c.csv", "customer_id\n0\n10\n")
    open_shop.collect()
    assert open_shop.sql("SELECT order_id, customer_id FROM raw.orders ORDER BY _row") == [("0", None), ("-1", None), ("2", "10")]
    assert open_shop.sql("SELECT customer_id FROM raw.reviews ORDER BY review_id") == [(None,), ("1",)]
    assert open_shop.problems() == [(1, "customer_id", "0", "missing")]


def test_lists_and_objects_are_no_texts(open_shop: Any) -> None:
    open_shop.put(
        "products/p.jsonl",
        '{"product_id": "j1", "title": "Pan", "category": ["Home", "Kitchen"]}\n{"product_id": "j2", "title": {"en": "Pan"}}\n'
        '{"product_id": "j3", "title": "[sic] a pan", "category": []}\n{"product_id": "j4", "category": [["Home"], ["Garden"]]}\n',
    )
    open_shop.put_parquet(
        "products/q.parquet",
        "SELECT 'q1' AS product_id, ['Home', NULL, 'Kitchen'] AS category, 'Pan' AS title UNION ALL SELECT 'q2', [], 'Pot'",
    )
    open_shop.put_parquet("products/s.parquet", "SELECT 's1' AS product_id, {'en': 'Pan'} AS title")
    open_shop.put("products/t.csv", 'product_id,title,category\nt1,[5] pans,"[""Home"",""Kitchen""]"\nt2,"{""en"": ""Pan""}",\n')
    open_shop.collect()
    assert open_shop.sql("SELECT product_id, title, category FROM raw.products WHERE product_id <> 'p1' ORDER BY 1") == [
        ("j1", "Pan", "Home > Kitchen"),
        ("j3", "[sic] a pan", None),
        ("q1", "Pan", "Home > Kitchen"),
        ("q2", "Pot", None),
        ("t1", "[5] pans", "Home > Kitchen"),
    ]
    nested = "a list or an object where one text is wanted"
    assert [(column, reason) for _, column, _, reason in open_shop.problems()] == [
        ("title", nested), ("category", nested), ("title", nested), ("title", nested),
    ]  # fmt: skip


def test_money_keeps_its_digits_and_rounding_is_noted(open_shop: Any) -> None:
    open_shop.put("products/p.csv", 'product_id,price,stock\na,12.345,0.350\nb,0.0508,10.0000\nc,1.00005,2\nd,"12,50",1\n')
    open_shop.put_parquet("products/q.parquet", "SELECT 'e' AS product_id, 9.99::DOUBLE AS price, 0.1234567::DOUBLE AS stock")
    open_shop.collect()
    assert open_shop.sql("SELECT product_id, price::VARCHAR, stock::VARCHAR FROM raw.products WHERE product_id <> 'p1' ORDER BY 1") == [
        ("a", "12.3450", "0.350"),
        ("b", "0.0508", "10.000"),
        ("c", "1.0001", "2.000"),
        ("e", "9.9900", "0.123"),
    ]
    assert open_shop.sql("SELECT path, column_name, note, rows, value FROM collect.notes ORDER BY 1") == [
        ("products/p.csv", "price", "more digits than decimal(18,4) keeps: rounded", 1, "1.00005"),
        ("products/q.parquet", "stock", "more digits than decimal(18,3) keeps: rounded", 1, "0.1234567"),
    ]
    assert open_shop.problems() == [(4, "price", "12,50", "not an amount: write 12.50")]


def test_an_address_as_an_id_is_told_and_never_shown(open_shop: Any, caplog: pytest.LogCaptureFixture) -> None:
    open_shop.put("orders/o.csv", "order_id,customer_id,ordered_at\no1,ann@example.org,2026-02-01\nbob@example.org,bob@example.org,never\n")
    open_shop.collect()
    assert open_shop.sql("SELECT customer_id FROM raw.orders") == [("ann@example.org",)]
    assert open_shop.sql("SELECT column_name, note, rows, value FROM collect.notes") == [
        ("customer_id", "an e-mail address as an id", 1, "[email]")
    ]
    assert "example.org" not in str(open_shop.sql("SELECT * FROM collect.quarantine")) + caplog.text


def test_a_row_that_takes_another_back_says_no_more_than_which(open_shop: Any) -> None:
    open_shop.collect("2026-02-02")
    open_shop.put("events/e.csv", "event_id,deleted_at\ne0,2026-02-03\n,2026-02-03\ne9,\n")
    open_shop.put("events/f.csv", "event_id,event_type,occurred_at,deleted_at\ne1,view,,\n")
    open_shop.collect("2026-02-04")
    assert open_shop.problems() == [
        (2, "event_id", None, "missing"), (3, "event_type", None, "missing"), (3, "occurred_at", None, "missing"),
        (1, "occurred_at", None, "missing"),
    ]  # fmt: skip
    assert open_shop.visible("events", "event_id", "2026-02-03") == [("e0",)]
    assert open_shop.visible("events", "event_id", "2026-02-03 00:00:01") == []


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
        ("a", Decimal("9.999"), -3, True),
        ("b", Decimal("100.00"), None, False),
        ("e", None, None, False),
        ("h", Decimal("0.00"), None, True),
    ]
    assert open_shop.sql("SELECT review_id FROM raw.reviews") == [("r3",)]
    assert open_shop.problems() == [
        (3, "is_hidden", "maybe", "not yes or no"),
        (3, "price", "-0.01", "below 0"),
        (4, "price", "inf", "not an amount"),
        (6, "price", "1.234e20", "not an amount"),
        (7, "price", "$5", "not an amount"),
        (1, "rating", "11", "above 5"),
        (2, "rating", "0", "below 1"),
    ]
    assert open_shop.counts("products")[1] == (8, 4, 0, 4)


def test_consent_in_the_words_of_mailing_tools(open_shop: Any) -> None:
    words = {"subscribed": True, "Granted": True, "on": True, "unsubscribed": False, "DENIED": False, "off": False}
    open_shop.put("customers/c.csv", "customer_id,consent_personalisation\n" + "".join(f"c{word},{word}\n" for word in words))
    open_shop.collect()
    assert dict(open_shop.sql("SELECT substr(customer_id, 2), consent_personalisation FROM raw.customers")) == words


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
    texts = {"007": EVIL, " 1.0 ": "😀 中文 \u202e", "NUL": "tab\there", "1e5": "line\nbreak \x1b[31m\x07", "x": long, "y": "a\x00b"}
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
