"""Every format a landing file may have, and every way it can be unreadable."""

from __future__ import annotations

import gzip
import json
import os
import threading
from typing import Any

import pytest

from include.collect.contract import load_contract
from include.collect.landing import find_files

HEADER = "review_id,product_id,rating,text,reviewed_at\n"
ROWS = [
    {"review_id": "007", "product_id": "p1", "rating": 5, "text": "Schön, 很好 😀\nzwei Zeilen", "reviewed_at": "2026-02-03T04:05:06Z"},
    {"review_id": "8", "product_id": "p1", "rating": None, "text": 'he said "wow"; it; is', "reviewed_at": "2026-02-03"},
]
CSV = HEADER + '007,p1,5,"Schön, 很好 😀\nzwei Zeilen",2026-02-03T04:05:06Z\n8,p1,,"he said ""wow""; it; is",2026-02-03\n'
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
EXPECTED = [("007", "p1", 5, ROWS[0]["text"], "2026-02-03 04:05:06"), ("8", "p1", None, ROWS[1]["text"], "2026-02-03 00:00:00")]


def reviews(shop: Any) -> list[tuple[Any, ...]]:
    return shop.sql("SELECT review_id, product_id, rating, text, reviewed_at::VARCHAR FROM raw.reviews ORDER BY _row")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.csv", CSV),
        ("r.CSV", "\ufeff" + CSV.replace("review_id", '"Review_ID "', 1)),
        ("r.tsv", HEADER.replace(",", "\t") + CSV[len(HEADER) :].replace(",", "\t").replace("Schön\t", "Schön,")),
        ('a file\'s "name" [1] *.csv', CSV.replace("\n", "\r\n").replace("😀\r\n", "😀\n")),
        ("r.jsonl", LINES),
        ("r.ndjson", "\ufeff" + LINES.replace("\n", "\r\n\r\n")),
        ("r.json", json.dumps(ROWS, indent=1, ensure_ascii=False)),
        ("r.csv.gz", gzip.compress(CSV.encode())),
        ("r.json.gz", gzip.compress(LINES.encode())),
    ],
)
def test_text_formats_give_the_same_rows(open_shop: Any, name: str, content: str | bytes) -> None:
    open_shop.put(f"reviews/{name}", content)
    open_shop.collect()
    assert open_shop.problems() == []
    assert reviews(open_shop) == EXPECTED


@pytest.mark.parametrize("packed", [False, True])
def test_parquet_gives_the_same_rows_from_its_own_types(open_shop: Any, packed: bool) -> None:
    path = open_shop.put_parquet(
        "reviews/r.parquet",
        """SELECT '007' AS "Review_Id", 'p1'::ENUM ('p1') AS product_id, 5.0::DOUBLE AS rating, 'Schön, 很好 😀\nzwei Zeilen' AS text,
        TIMESTAMPTZ '2026-02-03 06:05:06+02' AS reviewed_at, [1, 2] AS list
        UNION ALL SELECT '8', 'p1', NULL, 'he said "wow"; it; is', TIMESTAMPTZ '2026-02-03 00:00:00+00', NULL""",
    )
    if packed:
        open_shop.put("reviews/r.parquet.gz", gzip.compress(path.read_bytes()))
        path.unlink()
    open_shop.collect()
    assert open_shop.problems() == []
    assert reviews(open_shop) == EXPECTED
    assert open_shop.sql("SELECT unknown_columns FROM collect.files WHERE table_name = 'reviews'") == [("list",)]


def test_one_file_a_table_beside_the_folders(open_shop: Any) -> None:
    open_shop.put("reviews.csv", CSV)
    open_shop.put("notes.txt", "not a table")
    open_shop.put("reviews/readme.md", "not a format")
    open_shop.put("reviews/.hidden.csv", "not to be seen")
    open_shop.put("weather/a.csv", "not a table")
    open_shop.collect()
    assert reviews(open_shop) == EXPECTED
    assert open_shop.sql("SELECT count(*) FROM collect.files") == [(3,)]


def test_columns_in_any_order_unknown_noted_missing_null(open_shop: Any) -> None:
    open_shop.put("reviews/r.csv", "colour;REVIEWED_AT; product_id ;review_id;size\nred;2026-02-01;p1;r1;L\n")
    open_shop.collect()
    assert reviews(open_shop) == [("r1", "p1", None, None, "2026-02-01 00:00:00")]
    assert open_shop.sql("SELECT unknown_columns FROM collect.files WHERE table_name = 'reviews'") == [("colour, size",)]


def test_malformed_csv_lines_cost_only_themselves(open_shop: Any) -> None:
    good = [f"r{i},p1,5,fine,2026-02-01" for i in range(6)]
    lines = [good[0], "too,few", good[1], "a,b,1,c,2026-02-01,many", 'r,p1,5,"open,2026-02-01', good[2], "", 'r,p1,5,"x"y,2026-02-01']
    open_shop.put("reviews/r.csv", HEADER + "\n".join([*lines, 'r8,p1,5,"two\nlines",2026-02-01', good[3], 'r,p1,1,"never closed']))
    open_shop.collect()
    assert open_shop.sql("SELECT review_id, _row FROM raw.reviews ORDER BY _row") == [("r0", 1), ("r1", 3), ("r2", 6), ("r8", 8), ("r3", 9)]
    assert open_shop.counts("reviews") == [(10, 5, 0, 5)]
    assert [(row, reason.split(": ")[1]) for row, _, _, reason in open_shop.problems()] == [
        (2, "5 values expected, 2 found"),
        (4, "5 values expected, 6 found"),
        (5, "',' expected after '\"'"),
        (7, "',' expected after '\"'"),
        (10, "a quote is never closed"),
    ]


def test_quotes_that_pair_up_by_chance_lose_nothing(open_shop: Any) -> None:
    """A lone quote within a value is a letter; one that opens the last value and is never closed breaks that line only."""
    open_shop.put("reviews/r.csv", HEADER + 'r1,p1,5,a 5" disc,2026-02-01\nr2,p1,5,ok,2026-02-01\nr3,p1,5,"open,2026-02-01\n')
    open_shop.collect()
    assert open_shop.sql("SELECT review_id, text FROM raw.reviews ORDER BY 1") == [("r1", 'a 5" disc'), ("r2", "ok")]
    assert open_shop.problems() == [(3, None, None, "malformed line: a quote is never closed")]


PRODUCTS = [("S1", "Plate"), ("S2", '"Deluxe pan 24 cm'), ("S3", "Pot"), ("S4", "Lid"), ("S5", 'Frame 7"'), ("S6", "Cup")]


def products(shop: Any) -> list[tuple[Any, ...]]:
    return shop.sql("SELECT product_id, title FROM raw.products WHERE product_id <> 'p1' ORDER BY _row")


@pytest.mark.parametrize("columns", [3, 2])
@pytest.mark.parametrize("between", [2, 0])
def test_quotes_of_two_records_swallow_nothing_between_tabs(open_shop: Any, columns: int, between: int) -> None:
    """One title begins with a quote and a later one ends with one: read literally, line by line."""
    rows = [PRODUCTS[0], PRODUCTS[1], *PRODUCTS[2 : 2 + between], *PRODUCTS[4:]]
    lines = ["product_id\ttitle\tprice", *("\t".join((*row, "1.50")) for row in rows)]
    open_shop.put("products/p.tsv", "\n".join("\t".join(line.split("\t")[:columns]) for line in lines) + "\n")
    open_shop.collect()
    assert open_shop.problems() == []
    assert products(open_shop) == rows


@pytest.mark.parametrize("delimiter", [",", ";", "|"])
@pytest.mark.parametrize("between", [2, 0])
def test_quotes_of_two_records_cost_the_record_that_opens_them(open_shop: Any, delimiter: str, between: int) -> None:
    rows = [PRODUCTS[0], PRODUCTS[1], *PRODUCTS[2 : 2 + between], *PRODUCTS[4:]]
    lines = ["product_id,title,price", *(f"{key},{title},1.50" for key, title in rows)]
    open_shop.put("products/p.csv", "\n".join(lines).replace(",", delimiter) + "\n")
    open_shop.collect()
    assert products(open_shop) == [row for row in rows if row[0] != "S2"]
    assert open_shop.problems() == [(2, None, None, "malformed line: a quote opens here and closes lines later, across whole records")]
    assert open_shop.counts("products")[1] == (len(rows), len(rows) - 1, 0, 1)


@pytest.mark.parametrize(
    ("name", "lines", "kept"),
    [
        ("products/p.csv", 'product_id,title,price\nP1,"24 cm pan,10\nP2,frame 7",NULL\n', ["P2"]),
        ("products/p.csv", 'product_id,title,price\nP1,"24 cm pan,10\nP2,Lid,N/A\nP3,frame 7",9 EUR\n', ["P2"]),
        ("products/p.csv", 'product_id,title,brand\nPAN,"24 cm pan,Fjord\n4711,frame 7",Alder\n', ["4711"]),
        ("products/p.csv", 'product_id;title;brand\nmug;"Mug 8;Fjord\nblue-pan;Pan 9";Alder\n', ["blue-pan"]),
        ("products/p.csv", 'product_id, title, brand\nP1, "24 cm pan, Fjord\nP2, frame 7", Alder\n', ["P2"]),
    ],
)
def test_a_record_is_known_whatever_stands_in_its_cells(open_shop: Any, name: str, lines: str, kept: list[str]) -> None:
    open_shop.put(name, lines)
    open_shop.collect()
    assert [product for product, _ in products(open_shop)] == kept
    assert "across whole records" in open_shop.problems()[0][3]


def test_prose_of_several_lines_is_no_record(open_shop: Any) -> None:
    """Also where its commas are as many as a record has, and its words could be ids and prices."""
    open_shop.put(
        "products/p.csv",
        'product_id,title,description,price\n1001,Pan,"Three sizes:\n16, 20, 24, 28\ncm",9.99\n16,Lid,"A lid.",5\n'
        '1002,Shirt,"Sizes:\n36, 38, 40, 42\nYes, even shoes, gladly, 5",19.99\nmug,Mug,"A mug.\nStrong, cheap, blue, 7\nBuy it",3\n',
    )
    open_shop.put("answers/a.csv", 'answer_id,question,answer\nreturns,How?,"Within 30 days.\nYes, even shoes, gladly.\nThanks"\n')
    open_shop.collect()
    assert open_shop.problems() == []
    assert [product for product, _ in products(open_shop)] == ["1001", "16", "1002", "mug"]
    assert open_shop.sql("SELECT count(*) FROM raw.answers") == [(1,)]


def test_blanks_behind_delimiters_and_blank_lines(open_shop: Any) -> None:
    open_shop.put("products/p.csv", 'product_id, title, price\nP1, "Mug, blue", 3\n\nP2, "Lid", 4\n')
    open_shop.collect()
    assert (products(open_shop), open_shop.problems()) == ([("P1", "Mug, blue"), ("P2", "Lid")], [])


def test_no_review_takes_the_rating_of_another(open_shop: Any) -> None:
    open_shop.put("reviews/r.csv", HEADER + 'r1,p1,5,"24 cm is fine,2026-02-01\nr2,p1,1,broke at 7",2026-02-02\n')
    open_shop.collect()
    assert open_shop.sql("SELECT review_id, rating, text FROM raw.reviews") == [("r2", 1, 'broke at 7"')]


def test_values_of_several_lines_stay_whole(open_shop: Any) -> None:
    """Also where their lines have as many delimiters as a record has."""
    texts = ["one,two\nthree,four", "a,b,c,d\ne,f,g,h\ni,j,k,l", "first\n\n\nlast", "Hello, world\nfine, really, yes,\nok"]
    open_shop.put("reviews/r.csv", HEADER + "".join(f'r{i},p1,5,"{text}",2026-02-01\n' for i, text in enumerate(texts)))
    open_shop.put("products/p.csv", "product_id,title\n" + "".join(f'q{i},"Hello world\nIt was good, {i}"\n' for i in range(3)))
    open_shop.put("products/q.tsv", 'product_id\ttitle\nt1\t"a ""quoted""\ttab"\nt2\t"two\nlines"\nt3\t"Big" pan\nt4\t"whole"\n')
    open_shop.collect()
    assert open_shop.problems() == []
    assert open_shop.sql("SELECT text FROM raw.reviews ORDER BY review_id") == [(text,) for text in texts]
    titles = dict(products(open_shop))
    assert [titles[f"q{i}"] for i in range(3)] == [f"Hello world\nIt was good, {i}" for i in range(3)]
    assert [titles[f"t{i}"] for i in range(1, 5)] == ['a "quoted"\ttab', "two\nlines", '"Big" pan', "whole"]


@pytest.mark.parametrize("text", ["header", "mended"])
def test_the_header_again_is_no_row(open_shop: Any, text: str) -> None:
    """Two files put one behind the other, whether or not other lines are broken."""
    broken = "" if text == "header" else "too few\n"
    open_shop.put("products/p.csv", f"product_id,title\nA1,Pan\n{broken}\ufeffproduct_id,Title\nB1,Pot\n")
    open_shop.collect()
    assert products(open_shop) == [("A1", "Pan"), ("B1", "Pot")]
    assert open_shop.problems()[-1][3] == "malformed line: the header again"


def test_quotes_escaped_by_backslashes_are_refused_with_the_way_to_write_them(open_shop: Any) -> None:
    open_shop.put("products/p.csv", 'product_id,title\nA1,"a \\"big\\" pan"\nA2,Pot\nA3,"called \\"big\\""\nA4,Lid\nA5,"size ""L"""\n')
    open_shop.collect()
    assert products(open_shop) == [("A2", "Pot"), ("A4", "Lid"), ("A5", 'size "L"')]
    assert [row for row, *_ in open_shop.problems()] == [1, 3]
    assert all(reason.endswith('; a quote within a value is written "", not \\"') for *_, reason in open_shop.problems())


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("other", ["\n", "\r\n"])
def test_line_endings_pure_and_mixed(open_shop: Any, ending: str, other: str) -> None:
    rows = "".join(f"r{i},p1,5,fine,2026-02-01{ending if i % 2 else other}" for i in range(4))
    open_shop.put("reviews/r.csv", HEADER.replace("\n", ending) + rows)
    open_shop.collect()
    assert open_shop.problems() == []
    assert open_shop.sql("SELECT _row, review_id, reviewed_at::VARCHAR FROM raw.reviews ORDER BY _row") == [
        (i + 1, f"r{i}", "2026-02-01 00:00:00") for i in range(4)
    ]


def test_malformed_json_lines_cost_only_themselves(open_shop: Any) -> None:
    lines = [json.dumps(ROWS[0]), '{"review_id": ', "", "[1]", '{"review_id": "\x01"}', '"text"', "{'a': 1}", json.dumps(ROWS[1])]
    open_shop.put("reviews/r.jsonl", "\n".join(lines))
    open_shop.collect()
    assert reviews(open_shop) == EXPECTED
    assert open_shop.counts("reviews") == [(7, 2, 0, 5)]
    assert [problem[0] for problem in open_shop.problems()] == [2, 3, 4, 5, 6]
    assert {problem[3] for problem in open_shop.problems()} == {"malformed line: not JSON", "malformed line: not a JSON object"}


def test_json_printed_for_people_is_read(open_shop: Any) -> None:
    open_shop.put("reviews/r.json", "\n".join(json.dumps(row, indent=2, ensure_ascii=False) for row in ROWS))
    open_shop.collect()
    assert open_shop.problems() == []
    assert reviews(open_shop) == EXPECTED


def test_json_keys_in_any_spelling_and_given_twice(open_shop: Any) -> None:
    lines = ['{"product_id": "A1", "Title": "x"}', '{"product_id": "A2", "title": "y"}', '{"product_id": "A3", "title": "a", "title": "b"}']
    open_shop.put("products/p.jsonl", "\n".join([*lines, '{"product_id": "A4", "TITLE": "a", "title": "b"}']))
    open_shop.collect()
    assert products(open_shop) == [("A1", "x"), ("A2", "y")]
    assert [problem[3] for problem in open_shop.problems()] == ["malformed line: a key is given twice"] * 2


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("r.csv.gz", gzip.compress(CSV.encode() * 1000)[:-100], "cannot be read: Compressed file ended"),
        ("r.csv.gz", CSV, "cannot be read: Not a gzipped file"),
        ("r.csv", CSV.encode("latin-1", "replace"), "not UTF-8: byte 0xf6 at position 58, line 2"),
        ("r.jsonl", '{"review_id": "é"}\n'.encode("latin-1"), "not UTF-8: byte 0xe9 at position 15, line 1"),
        ("r.csv", CSV.encode("utf-16"), "not UTF-8 but UTF-16"),
        ("r.csv", CSV.encode()[:64], "not UTF-8: cut off within a character"),
        ("r.csv", b"", "empty: there is not even a header"),
        ("r.csv", "sep=;\nreview_id;product_id\n", "the first line, 'sep=;', is a spreadsheet's and no header: remove it"),
        ("r.csv", "\n" + CSV, "the first line is blank: the header must come first"),
        ("r.csv", gzip.compress(CSV.encode()), "gzip, though its name does not say so: let it end in .gz"),
        ("r.jsonl", b"\n", "empty"),
        ("r.csv", "id,stars\n1,2\n", "required columns missing: review_id, reviewed_at (found: id, stars)"),
        ("r.jsonl", '{"id": 1}\n', "required columns missing: review_id, reviewed_at (found: id)"),
        ("r.json", '[{"review_id": 1}, {', "cannot be read: Invalid Input Error: Malformed JSON"),
        ("r.json", '{\n  "review_id": "1",\n  "product_id":\n', "cannot be read: Invalid Input Error: Malformed JSON"),
        ("r.json", '{"reviews": [{"review_id": "1"}]}', "the rows lie within an object, under 'reviews': write the list alone"),
        ("r.csv", "review_id,Review_ID,product_id,reviewed_at\n", "two columns are named review_id"),
        ("r.parquet", CSV, "no Parquet file"),
        ("r.parquet.gz", gzip.compress(CSV.encode()), "no Parquet file"),
        ("r.csv.refused.json", '{"path": "reviews.tsv", "reason": "no such column"}', "reviews.tsv: no such column"),
        ("r.csv.refused.json", "{", "refused by its source, whose note cannot be read"),
    ],
)
def test_unreadable_file_is_refused_whole_and_the_rest_taken(open_shop: Any, name: str, content: str | bytes, reason: str) -> None:
    open_shop.put(f"reviews/{name}", content)
    open_shop.put("reviews/z.csv", CSV)
    night = open_shop.collect()
    assert open_shop.reason("reviews").startswith(reason)
    assert reviews(open_shop) == EXPECTED
    assert json.loads((night.folder / "collected.json").read_text())["files_refused"] == 1


def test_parquet_with_a_broken_page_is_refused_whole(open_shop: Any) -> None:
    path = open_shop.put_parquet(
        "reviews/r.parquet",
        "SELECT 'r' || i AS review_id, 'p1' AS product_id, now() AS reviewed_at, md5(i::VARCHAR) AS text FROM range(20000) t(i)",
    )
    content = bytearray(path.read_bytes())
    content[1000:9000] = b"\xff" * 8000
    path.write_bytes(content)
    open_shop.collect()
    assert open_shop.reason("reviews").startswith("cannot be read: ")
    assert open_shop.sql("SELECT count(*) FROM raw.reviews") == [(0,)]


def test_refused_file_is_tried_again_and_its_entry_replaced(open_shop: Any) -> None:
    open_shop.put("reviews/r.csv", b"\xff")
    open_shop.collect()
    assert open_shop.reason("reviews").startswith("not UTF-8")
    open_shop.put("reviews/r.csv", CSV)
    night = open_shop.collect("2026-03-02")
    assert open_shop.sql("SELECT file_id, status FROM collect.files ORDER BY file_id") == [(1, "loaded"), (2, "loaded"), (3, "loaded")]
    assert json.loads((night.folder / "collected.json").read_text())["files_refused"] == 0


def test_header_that_is_a_persons_row_is_not_repeated(open_shop: Any, caplog: pytest.LogCaptureFixture) -> None:
    open_shop.put("customers/c.csv", "17,Ann Lee,ann@example.org\n18,Bob,\n")
    open_shop.collect()
    assert open_shop.reason("customers") == "required columns missing: customer_id (found: 3 columns)"
    assert "Ann" not in caplog.text


def test_file_names_that_are_no_text_are_passed_over(open_shop: Any) -> None:
    (open_shop.folder / "reviews").mkdir()
    (open_shop.folder / "reviews" / os.fsdecode(b"caf\xe9.csv")).write_text(CSV)
    _, ignored = find_files(open_shop.folder, load_contract())
    assert ignored == ["reviews/caf\\udce9.csv"]
    open_shop.collect()
    assert open_shop.sql("SELECT count(*) FROM collect.files") == [(2,)]


def test_file_that_grows_while_it_is_read_waits_for_the_next_night(open_shop: Any) -> None:
    path = open_shop.put("reviews/r.csv", CSV)
    writing = threading.Event()
    ended = threading.Event()

    def write() -> None:
        writing.set()
        while not ended.is_set():
            with path.open("a") as file:
                file.write("9,p1,,late,2026-02-03\n")

    writer = threading.Thread(target=write)
    writer.start()
    writing.wait()
    open_shop.collect()
    ended.set()
    writer.join()
    assert open_shop.reason("reviews") == "changed while it was read; the next night tries it again"
    open_shop.collect("2026-03-02")
    assert open_shop.sql("SELECT status FROM collect.files WHERE table_name = 'reviews'") == [("loaded",)]
