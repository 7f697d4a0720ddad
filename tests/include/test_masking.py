"""E-mail addresses are masked whatever stands around them, and nothing else is."""

from __future__ import annotations

import time

import duckdb
import pytest

from include.errors import BadSource
from include.masking import mask_emails, shown_value


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("anna@example.org", "[email]"),
        ("customer_id='Anna.B+shop_1@mail.example.co.uk', rank='1'", "customer_id='[email]', rank='1'"),
        ("<o'brien@example.org>; wen@例子.中国, a%40example.org.", "<[email]>; [email], [email]."),
        ("&lt;anna@example.org&gt;", "&lt;[email]&gt;"),
        ("orders/anna@example.org/1.csv, row 7", "orders/[email]/1.csv, row 7"),
        ("Could not convert string 'anna@example.org' to INT32", "Could not convert string '[email]' to INT32"),
        ("3 @ 2.50, 7@12.50, @media (max-width: 45rem), p@, @b.de, 100 % of 40.", None),
        ("metric='ndcg@10.segment=loyal'; ndcg@10.product_age=new", None),
        ("ndcg@10.segment; ndcg@10.segments=1; anna@163.com=1", "[email]; [email]=1; [email]=1"),
        ("", None),
    ],
)
def test_addresses_give_way_and_nothing_else(text: str, masked: str | None) -> None:
    assert mask_emails(text) == (text if masked is None else masked)


def test_an_address_alone_is_shown_by_what_sql_finds_it_by() -> None:
    shown = shown_value("anna@example.org")
    assert duckdb.execute("SELECT '#' || left(sha256('anna@example.org'), 8)").fetchall() == [(shown,)]
    assert shown != shown_value("bert@example.org") and len(shown) == 9
    assert shown_value("C000042") == "C000042" and shown_value("of anna@example.org") == "of [email]"


def test_long_texts_take_no_longer_than_their_length_asks() -> None:
    began = time.perf_counter()
    for text in ("x" * 300_000 + "@", "@" + "a." * 150_000, "a@" * 150_000, "a@b." * 75_000):
        mask_emails(text)
    assert time.perf_counter() - began < 20


def test_an_error_says_no_address() -> None:
    error = BadSource("Key anna@example.org stands twice", "Take anna@example.org out once.")
    assert "anna" not in f"{error} {error.problem} {error.next_step}" and "Key [email] stands twice" in str(error)
