"""Mapping a shop's files to the contract: what is found, read, refused, kept, and how a wrong SELECT is told."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from include.collect.landing import REFUSED_NOTE
from include.errors import BadSource
from include.night import Night
from include.sources.mapping import map_source

OpenNight = Callable[..., Night]

REVIEWS = [
    {
        "reviewerID": "A1",
        "asin": "P1",
        "helpful": [2, 3],
        "reviewText": "Fine",
        "overall": 5.0,
        "summary": "Good",
        "unixReviewTime": 1393545600,
    },
    {"reviewerID": "A2", "asin": "P2", "vote": "1,204", "reviewText": "Bad", "overall": 1.0, "summary": "No", "unixReviewTime": 1529193600},
    {
        "user_id": "A3",
        "asin": "P3-red",
        "parent_asin": "P3",
        "title": "很好",
        "text": "喜欢 😀",
        "rating": 4.0,
        "timestamp": 1677721600123,
        "helpful_vote": 7,
        "verified_purchase": True,
    },
]
OLIST = {
    "olist_customers_dataset": "customer_id,customer_unique_id,customer_city,customer_state\nc1,u1,x,SP\nc2,u1,x,SP\n",
    "olist_orders_dataset": "order_id,customer_id,order_status,order_purchase_timestamp\n"
    "o1,c1,approved,2018-01-01 10:00:00\no2,c2,lost,2018-01-02 10:00:00\n",
    "olist_order_items_dataset": "order_id,order_item_id,product_id,price\no1,2,p2,3.50\no1,1,p1,9.90\n",
    "olist_order_payments_dataset": "order_id,payment_sequential,payment_value\no1,1,10.00\no1,2,3.40\n",
    "olist_order_reviews_dataset": "review_id,order_id,review_score,review_creation_date\n"
    "r1,o1,5,2018-01-05 00:00:00\nr1,o2,2,2018-01-06 00:00:00\n",
    "olist_products_dataset": "product_id,product_category_name\np1,beleza_saude\np2,pc_gamer\np3,\n",
    "product_category_name_translation": "\ufeffproduct_category_name,product_category_name_english\nbeleza_saude,health_beauty\n",
}


def json_lines(path: Path, records: list[dict[str, Any]]) -> None:
    text = "\n".join(json.dumps(record, ensure_ascii=False) for record in records).encode() + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)


def olist(folder: Path, leave_out: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in OLIST.items():
        if name != leave_out:
            (folder / f"{name}.csv").write_text(text)
    return folder


def truncate(path: Path) -> Path:
    """Gzip a file and cut the end off, as an upload that broke does."""
    packed = gzip.compress(path.read_bytes(), mtime=0)
    path.unlink()
    path.with_name(path.name + ".gz").write_bytes(packed[: len(packed) - 12])
    return path.with_name(path.name + ".gz")


def rows(night: Night, table: str, columns: str = "*", order: str = "all") -> list[tuple[Any, ...]]:
    files = [str(path) for path in (night.landing / table).glob("*.parquet")]
    return duckdb.execute(f"select {columns} from read_parquet(?) order by {order}", [files]).fetchall() if files else []


def tables(night: Night) -> set[str]:
    return {path.parent.name for path in night.landing.glob("*/*.parquet")}


# ---- formats ---------------------------------------------------------------------------------------------------------
def test_all_generations_of_reviews_are_read_side_by_side(open_night: OpenNight, tmp_path: Path) -> None:
    for number, record in enumerate(REVIEWS):
        json_lines(tmp_path / "data" / f"{number}.json{'.gz' if number else ''}", [record])
    night = open_night(source="amazon_reviews", data=tmp_path / "data")
    assert map_source(night) == {"files": 3, "rows": {"products": 3, "reviews": 3}}
    assert rows(
        night, "reviews", "customer_id, product_id, rating, title, text, helpful_votes, reviewed_at, _file, _row", "customer_id"
    ) == [
        ("A1", "P1", "5", "Good", "Fine", "2", "2014-02-28 00:00:00", "0.json", 1),
        ("A2", "P2", "1", "No", "Bad", "1204", "2018-06-17 00:00:00", "1.json.gz", 1),
        ("A3", "P3", "4", "很好", "喜欢 😀", "7", "2023-03-02 01:46:40.123", "2.json.gz", 1),
    ]
    assert rows(night, "products", "product_id, title, price, currency") == [(f"P{n}", None, None, None) for n in (1, 2, 3)]


def test_metadata_of_both_generations_makes_the_catalogue(open_night: OpenNight, tmp_path: Path) -> None:
    json_lines(tmp_path / "Toys.jsonl", REVIEWS)
    metadata: list[dict[str, Any]] = [
        {
            "asin": "P1",
            "title": "Kite",
            "price": "$1,012.99",
            "category": ["Toys", "Toys", "Kites", "<span>"],
            "brand": "by  Wind",
            "description": ["Flies", "high"],
        },
        {"asin": "P2", "title": " ", "price": ".a-box-inner{background-color:#fff}", "category": [], "main_cat": "Toys", "brand": ""},
        {
            "parent_asin": "P4",
            "title": "Ball",
            "price": 3.5,
            "categories": [],
            "main_category": "Sport",
            "store": "Bounce",
            "images": [{"large": "http://x/1.jpg"}],
        },
        {"parent_asin": "P5", "title": "Box", "price": "$10.00 - $25.00", "categories": None, "main_category": None, "images": []},
        {"asin": "P6", "title": "Odd", "category": 5, "description": {"a": 1}, "imageURL": "[broken", "price": "free"},
    ]
    json_lines(tmp_path / "meta_Toys.jsonl.gz", metadata)
    night = open_night(source="amazon_reviews", data=tmp_path)
    map_source(night)
    assert rows(night, "products", "product_id, title, category, brand, price, currency, description, image_url") == [
        ("P1", "Kite", "Toys > Kites", "Wind", "1012.99", "USD", "Flies high", None),
        ("P2", None, "Toys", None, None, None, None, None),
        ("P3", None, None, None, None, None, None, None),
        ("P4", "Ball", "Sport", "Bounce", "3.5", "USD", None, "http://x/1.jpg"),
        ("P5", "Box", None, None, "10.00", "USD", None, None),
        ("P6", "Odd", "5", None, None, None, '{"a":1}', None),
    ]


def test_values_that_cannot_be_read_are_handed_on_as_they_are(open_night: OpenNight, tmp_path: Path) -> None:
    dirty = {"overall": "4.5", "unixReviewTime": "last week", "helpful": "[many"}
    json_lines(tmp_path / "DIRTY.JSON", [REVIEWS[0] | dirty, REVIEWS[0], REVIEWS[0]])
    json_lines(tmp_path / ".hidden.json", REVIEWS)
    with (tmp_path / "DIRTY.JSON").open("a") as file:
        file.write("{not json\n")
    night = open_night(source="amazon_reviews", data=tmp_path)
    map_source(night)
    assert rows(night, "reviews", "rating, reviewed_at, _row", "_row") == [
        ("4.5", "last week", 1),
        ("5", "2014-02-28 00:00:00", 2),
        ("5", "2014-02-28 00:00:00", 3),
        (None, None, 4),
    ]
    keys = [key for (key,) in rows(night, "reviews", "review_id", "_row")]
    assert keys[1] == keys[2] != keys[0], "the same review again has the same key"
    assert keys[3] is None, "a line that is not JSON has no key, so the contract refuses it"


def test_a_workbook_saved_as_latin_1_with_american_dates_and_a_broken_line(open_night: OpenNight, tmp_path: Path) -> None:
    lines = [
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country",
        "536365,85123a,CAFÉ “HEART”,6,12/1/2010 8:26,2.55,17850.0,United Kingdom".replace("“", '"').replace("”", '"'),
        "536365,85123A,CAFÉ BIG,2,12/1/2010 8:27,2.55,17850.0,United Kingdom,too,many",
        "C536379,85123A,CAFÉ BIG,-1,12/1/2010 9:41,2.55,,France",
        "536400,85123A,damaged?,-7,12/2/2010 9:41,0,,France",
        "536401,POST,POSTAGE,1,12/2/2010 9:41,18,12345,Unspecified",
    ]
    (tmp_path / "data.csv").write_bytes("\r\n".join(lines).encode("latin-1"))
    night = open_night(source="online_retail", data=tmp_path)
    map_source(night)
    assert rows(night, "order_items", "order_id, line_number, product_id, quantity, unit_price, _row", "_row") == [
        ("536365", 1, "85123A", "6", "2.55", 1),
        (None, 1, None, None, None, 2),
        ("C536379", 1, "85123A", "1", "2.55", 3),
        ("536400", 1, "85123A", "7", "0", 4),
        ("536401", 1, "POST", "1", "18", 5),
    ]
    assert rows(night, "orders", "order_id, customer_id, ordered_at, status", "_row")[2:] == [
        ("C536379", None, "2010-12-01 09:41:00", "returned"),
        ("536400", None, "2010-12-02 09:41:00", "cancelled"),
        ("536401", "12345", "2010-12-02 09:41:00", "delivered"),
    ]
    assert rows(night, "products", "product_id, title, category, is_hidden") == [
        ("85123A", "CAFÉ BIG", None, False),
        ("POST", "POSTAGE", "Service", True),
    ]
    assert rows(night, "customers", "customer_id, country") == [("12345", None), ("17850", "United Kingdom")]


@pytest.mark.parametrize("header", ["", "user_id,item_id,category_id,behavior,timestamp\n"])
def test_behaviours_come_with_and_without_a_header(open_night: OpenNight, tmp_path: Path, header: str) -> None:
    lines = ["1,10,100,pv,1511544070", "1,10,100,buy,1511544075", "2,11,100,fav,1511544076", "2,11,101,stare,never"]
    (tmp_path / "UserBehavior.csv.gz").write_bytes(gzip.compress((header + "\n".join(lines)).encode()))
    night = open_night(source="taobao_events", data=tmp_path)
    map_source(night)
    assert rows(night, "events", "event_type, occurred_at, customer_id, product_id, _row", "_row") == [
        ("view", "2017-11-24 17:21:10", "1", "10", 1),
        ("wishlist", "2017-11-24 17:21:16", "2", "11", 3),
        ("stare", "never", "2", "11", 4),
    ]
    assert rows(night, "orders", "customer_id, ordered_at, status, _row") == [("1", "2017-11-24 17:21:15", "paid", 2)]
    assert rows(night, "orders", "order_id") == rows(night, "order_items", "order_id")
    assert rows(night, "products", "product_id, category") == [("10", "100"), ("11", "101")]


def test_olist_orders_get_their_buyer_and_reviews_their_first_product(open_night: OpenNight, tmp_path: Path) -> None:
    night = open_night(source="olist", data=olist(tmp_path))
    map_source(night)
    assert rows(night, "orders", "order_id, customer_id, status, total::varchar") == [
        ("o1", "u1", "paid", "13.40"),
        ("o2", "u1", "lost", None),
    ]
    assert rows(night, "reviews", "review_id, product_id, customer_id") == [("r1-o1", "p1", "u1"), ("r1-o2", None, "u1")]
    assert rows(night, "products", "product_id, category") == [("p1", "health beauty"), ("p2", "pc gamer"), ("p3", None)]


# ---- files that are not there, or cannot be read -----------------------------------------------------------------------
def test_a_required_file_that_is_absent_is_named(open_night: OpenNight, tmp_path: Path) -> None:
    night = open_night(source="olist", data=olist(tmp_path, leave_out="olist_orders_dataset"))
    with pytest.raises(BadSource, match=r"No file of orders in .*olist_orders_dataset\.\*"):
        map_source(night)


def test_an_optional_file_that_is_absent_makes_its_table_absent(open_night: OpenNight, tmp_path: Path) -> None:
    night = open_night(source="olist", data=olist(tmp_path, leave_out="olist_order_payments_dataset"))
    assert map_source(night)["absent"] == ["payments"]
    assert tables(night) == {"customers", "orders", "order_items", "reviews", "products"}


def test_a_missing_folder_and_no_folder_at_all_are_told_apart(open_night: OpenNight, tmp_path: Path) -> None:
    with pytest.raises(BadSource, match="does not exist"):
        map_source(open_night(source="olist", data=tmp_path / "nowhere"))
    with pytest.raises(BadSource, match="needs the shop's files"):
        map_source(open_night(source="olist"))
    with pytest.raises(BadSource, match="no mapped source"):
        map_source(open_night(source="nosuchshop", data=tmp_path))


def test_a_truncated_file_is_refused_and_the_others_go_on(open_night: OpenNight, tmp_path: Path) -> None:
    json_lines(tmp_path / "a.json", REVIEWS)
    json_lines(tmp_path / "b.json", [REVIEWS[0] | {"asin": f"Q{n}", "reviewText": str(n**9)} for n in range(5000)])
    broken = truncate(tmp_path / "b.json")
    night = open_night(source="amazon_reviews", data=tmp_path)
    assert map_source(night) == {"files": 2, "rows": {"products": 3, "reviews": 3}, "refused": ["b.json.gz"]}
    (note,) = (night.landing / "reviews").glob(f"*{REFUSED_NOTE}")
    refusal = json.loads(note.read_text())
    assert refusal["path"] == str(broken)
    assert "end-of-stream" in refusal["reason"]

    json_lines(broken, [REVIEWS[0] | {"asin": "Q1"}])
    assert map_source(night) == {"files": 2, "rows": {"products": 4, "reviews": 4}}
    assert not list(night.landing.glob(f"*/*{REFUSED_NOTE}")), "the note goes when the file is whole"


@pytest.mark.parametrize(
    ("name", "damage", "lost", "reason"),
    [
        ("olist_order_items_dataset", "truncate", {"order_items", "reviews"}, "end-of-stream"),
        ("olist_order_payments_dataset", "encoding", {"payments"}, "not UTF-8"),
        ("olist_customers_dataset", "columns", {"customers", "orders", "reviews"}, "customer_unique_id"),
    ],
)
def test_what_a_refused_file_feeds_is_left_out_and_the_rest_goes_on(
    open_night: OpenNight, tmp_path: Path, name: str, damage: str, lost: set[str], reason: str
) -> None:
    path = olist(tmp_path) / f"{name}.csv"
    if damage == "truncate":
        truncate(path)
    elif damage == "encoding":
        path.write_bytes(path.read_bytes() + b"o2,1,\xe9\n")
    else:
        path.write_text("customer_id,city\nc1,x\n")
    night = open_night(source="olist", data=tmp_path)
    notes = map_source(night)
    assert tables(night) == {"customers", "orders", "order_items", "payments", "reviews", "products"} - lost
    assert set(notes.get("left_out", []) + notes.get("absent", [])) == lost
    (note,) = night.landing.glob(f"*/*{REFUSED_NOTE}")
    assert note.parent.name in lost
    assert reason in json.loads(note.read_text())["reason"]


def test_a_file_of_something_else_is_refused(open_night: OpenNight, tmp_path: Path) -> None:
    json_lines(tmp_path / "a.json", REVIEWS)
    json_lines(tmp_path / "settings.json", [{"theme": "dark"}])
    night = open_night(source="amazon_reviews", data=tmp_path)
    assert map_source(night) == {"files": 2, "rows": {"products": 3, "reviews": 3}, "refused": ["settings.json"]}


def test_names_of_folders_and_files_are_names_and_nothing_else(open_night: OpenNight, tmp_path: Path) -> None:
    folder = tmp_path / 'it\'s [a] "shop"; drop table reviews --*?x=1'
    json_lines(folder / "o'[1]*.json", REVIEWS[:1])
    json_lines(folder / "o'1x.json", REVIEWS[1:])
    night = open_night(source="amazon_reviews", data=folder, home=tmp_path / "ho'me")
    assert map_source(night)["rows"]["reviews"] == 3
    assert sorted(rows(night, "reviews", "_file, _row")) == [("o'1x.json", 1), ("o'1x.json", 2), ("o'[1]*.json", 1)]


# ---- again and again ---------------------------------------------------------------------------------------------------
def test_what_has_not_changed_is_not_mapped_again_and_what_has_replaces_the_old(open_night: OpenNight, tmp_path: Path) -> None:
    night = open_night(source="olist", data=olist(tmp_path))
    map_source(night)
    before = {path: path.stat().st_mtime_ns for path in night.landing.glob("*/*.parquet")}
    (night.landing / "orders" / ".0123456789abcdef.parquet.4711").write_text("left by a killed try")

    notes = map_source(night)
    assert notes == {"files": 7, "unchanged": ["customers", "order_items", "orders", "payments", "products", "reviews"]}
    assert {path: path.stat().st_mtime_ns for path in night.landing.glob("*/*")} == before

    with (tmp_path / "olist_products_dataset.csv").open("a") as file:
        file.write("p4,\n")
    notes = map_source(night)
    assert notes["rows"] == {"products": 4}
    after = set(night.landing.glob("*/*"))
    assert len(after) == 6
    assert {path.parent.name for path in after - set(before)} == {"products"}


def test_the_same_files_give_the_same_bytes_whatever_the_threads(open_night: OpenNight, tmp_path: Path) -> None:
    lines = [f"{n % 97},{n * 7919 % 5003},{n % 13},{'buy' if n % 9 == 0 else 'pv'},{1511544070 + n}" for n in range(300_000)]
    (tmp_path / "UserBehavior.csv").write_text("\n".join(lines))
    written = []
    for threads in (1, 4):
        night = open_night(source="taobao_events", data=tmp_path, shop=f"threads{threads}", threads=threads)
        map_source(night)
        written.append({str(path.relative_to(night.landing)): path.read_bytes() for path in night.landing.glob("*/*.parquet")})
    assert written[0] == written[1]


# ---- SELECTs ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("table", "sql", "problem"),
    [
        ("answers", "select a as answer_id, a as question, a as answer from things; select 1", "not one SELECT"),
        ("answers", "drop table things", "not one SELECT"),
        ("answers", "selec a from things", "line 1, column 1: not one SELECT: syntax error"),
        ("answers", "\n-- ü\nselect 'ü' as answer_id,\n  a as from things", "line 4, column 13: not one SELECT"),
        ("answers", "select\n  b as answer_id\nfrom things", 'line 2: .*column "b" not found'),
        ("answers", "select 1 as answer_id, 2 as question, 3 as answer", r"reads none of the inputs of .*files\.yml: things"),
        (
            "answers",
            "with things as (select 1 as a) select a as answer_id, a as question, a as answer from things",
            "reads none of the inputs",
        ),
        ("answers", "select z as answer_id, z as question, a as answer from 'DATA/things.csv'", r"reads .*things\.csv, which is no input"),
        ("answers", "select a as answer_id, a as question, a as reply from things", r"not in the contract: \['reply'\].*\['answer'\]"),
        ("answers", "select b as answer_id from things", 'column "b" not found'),
        ("replies", "select a as answer_id from things", "no table replies"),
        ("answers", "select a::integer as answer_id, a as question, a as answer from things", "fails on the shop's data.*'x'"),
    ],
)
def test_a_wrong_select_is_told_with_its_file_and_what_is_wrong(
    open_night: OpenNight, tmp_path: Path, table: str, sql: str, problem: str
) -> None:
    source = tmp_path / "sources" / "mine"
    source.mkdir(parents=True)
    (source / "files.yml").write_text("inputs:\n  things:\n    files: [things.csv]\n    columns: [a]\n")
    (source / f"{table}.sql").write_text(sql.replace("DATA", str(tmp_path)))
    (tmp_path / "things.csv").write_text("a,z\nx,1\n")
    night = open_night(source="mine", data=tmp_path, sources=tmp_path / "sources")
    with pytest.raises(BadSource, match=f"(?is){table}.*{problem}"):
        map_source(night)
    assert not tables(night)


def test_a_wrong_files_yml_is_told_with_its_field(open_night: OpenNight, tmp_path: Path) -> None:
    source = tmp_path / "sources" / "mine"
    source.mkdir(parents=True)
    (source / "files.yml").write_text("inputs:\n  things:\n    file: things.csv\n")
    with pytest.raises(BadSource, match=r"(?s)files\.yml.*inputs\.things\.file"):
        map_source(open_night(source="mine", data=tmp_path, sources=tmp_path / "sources"))


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ("{things: {files: [a.csv], columns: [a]}, Things: {files: [b.csv], columns: [a]}}", "things is named twice"),
        ("{things: {files: [a.csv], columns: [a, A]}}", "column a is named twice"),
        ("{things: {files: [a.csv], columns: [a], aliases: {a: [b], c: [d]}}}", "aliases of c"),
        ("{things: {files: [a.csv], columns: [a, b], aliases: {a: [B]}}}", "column b is named twice"),
    ],
)
def test_names_in_files_yml_differ_in_any_case_of_letters(open_night: OpenNight, tmp_path: Path, inputs: str, problem: str) -> None:
    own_source(tmp_path, inputs, answers="select a as answer_id, a as question, a as answer from things")
    with pytest.raises(BadSource, match=problem):
        map_source(open_night(source="mine", data=tmp_path, sources=tmp_path / "sources"))


def own_source(folder: Path, inputs: str, **selects: str) -> None:
    source = folder / "sources" / "mine"
    source.mkdir(parents=True)
    (source / "files.yml").write_text(f"inputs: {inputs}\n")
    for table, sql in selects.items():
        (source / f"{table}.sql").write_text(sql)


def test_a_select_in_another_encoding_is_named(open_night: OpenNight, tmp_path: Path) -> None:
    own_source(tmp_path, "{things: {files: [a.csv], columns: [a]}}", answers="")
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    (tmp_path / "sources" / "mine" / "answers.sql").write_bytes("-- prix à payer".encode("latin-1"))
    with pytest.raises(BadSource, match=r"answers\.sql is not UTF-8: .* at byte 8"):
        map_source(open_night(source="mine", data=tmp_path, sources=tmp_path / "sources"))


def test_an_input_is_found_in_any_case_of_letters_and_read_again_when_it_changes(open_night: OpenNight, tmp_path: Path) -> None:
    own_source(
        tmp_path,
        "{Orders_Export: {files: [orders.csv], columns: [Id, Day]}}",
        orders="with orders as (from orders_export) select id as order_id, day as ordered_at from ORDERS",
        products="with orders_export as (from ORDERS_EXPORT) select id as product_id from Orders_Export",
    )
    (tmp_path / "orders.csv").write_text("ID,day\n1,2026-01-01\n")
    night = open_night(source="mine", data=tmp_path, sources=tmp_path / "sources")
    assert map_source(night)["rows"] == {"orders": 1, "products": 1}
    (tmp_path / "orders.csv").write_text("ID,day\n1,2026-01-01\n2,2026-01-02\n")
    assert map_source(night)["rows"] == {"orders": 2, "products": 2}, "a SELECT in other letters is not stale on the second day"


def test_an_input_that_no_select_reads_is_told_with_the_selects(open_night: OpenNight, tmp_path: Path) -> None:
    inputs = "{things: {files: [things.csv], columns: [a]}, others: {files: [o.csv], optional: true, columns: [b]}}"
    own_source(tmp_path, inputs, answers="with others as (from things) select a as answer_id, a as question, a as answer from others")
    (tmp_path / "things.csv").write_text("a,z\nx,1\n")
    with pytest.raises(BadSource, match=r"no SELECT reads the input others \(answers\.sql\)"):
        map_source(open_night(source="mine", data=tmp_path, sources=tmp_path / "sources"))


def test_a_column_under_another_name_and_nested_values_of_every_format(open_night: OpenNight, tmp_path: Path) -> None:
    inputs = "{things: {files: ['*'], columns: [key], optional_columns: [parts], aliases: {key: [Old Key, older]}}}"
    own_source(tmp_path, inputs, answers="select key as answer_id, key as question, parts as answer, _file, _row from things")
    (tmp_path / "1.csv").write_text("old key,parts\na,plain\nb,x,y\n")
    json_lines(tmp_path / "2.jsonl", [{"older": "c", "parts": [{"n": 1, "t": "ü"}]}, {"key": "d", "older": "D", "parts": {"n": None}}])
    query = "select 'e' as KEY, [{'n': 1, 't': 'ü', 'at': timestamp '2026-01-01'}] as parts"
    duckdb.execute(f"copy ({query}) to '{tmp_path / '3.parquet'}' (format parquet)")
    night = open_night(source="mine", data=tmp_path, sources=tmp_path / "sources")
    map_source(night)
    assert rows(night, "answers", "answer_id, answer", "_file, _row") == [
        ("a", "plain"),
        (None, None),
        ("c", '[{"n":1,"t":"ü"}]'),
        ("d", '{"n":null}'),
        ("e", '[{"n":1,"t":"ü","at":"2026-01-01 00:00:00"}]'),
    ]


def test_missing_columns_are_named_with_their_other_names(open_night: OpenNight, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("Invoice,StockCode,Quantity\n1,2,3\n")
    night = open_night(source="online_retail", data=tmp_path)
    map_source(night)
    (note,) = night.landing.glob(f"*/*{REFUSED_NOTE}")
    reason = json.loads(note.read_text())["reason"]
    assert reason.startswith(
        "required columns missing: Description, InvoiceDate, UnitPrice or Price, CustomerID or Customer ID, Country (found: "
    )


def test_online_retail_ii(open_night: OpenNight, shop_case: Callable[[str], Path]) -> None:
    night = open_night(source="online_retail", data=shop_case("q_online_retail_ii"))
    map_source(night)
    lines = rows(night, "order_items", "product_id, quantity, unit_price, _row", "_row")
    assert len(lines) == 888
    assert lines[0] == ("85023", "10", "3.30", 1)
    customers = {customer for (customer,) in rows(night, "orders", "customer_id") if customer}
    assert "12378" in customers and not any("." in customer for customer in customers)


def test_quotes_that_pair_up_across_invoice_lines_swallow_none(open_night: OpenNight, tmp_path: Path) -> None:
    """Where no contract says which values are numbers, the record that a line lies in does."""
    line = "{},{},{},6,12/1/2010 8:26,2.55,17850,United Kingdom\n"
    titles = ["LANTERN", '"CANDLE 24 in', "MUG", 'FRAME 7"', "CUP"]
    header = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
    (tmp_path / "retail.csv").write_text(header + "".join(line.format(536365 + i, 85000 + i, title) for i, title in enumerate(titles)))
    night = open_night("2011-12-10", source="online_retail", data=tmp_path)
    map_source(night)
    assert rows(night, "order_items", "order_id, product_id") == [
        ("536365", "85000"), ("536367", "85002"), ("536368", "85003"), ("536369", "85004"), (None, None),
    ]  # fmt: skip
