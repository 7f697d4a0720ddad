"""Sentiment on files of reviews nobody has prepared: what is read, what the labels mean, and what is said of files that cannot be used."""

from __future__ import annotations

import csv
import gzip
import json
import logging
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.benchmarks.review_files import UnreadableReviews, write_snapshot
from tests.conftest import CHECKOUT

pytestmark = pytest.mark.slow

WORDS = {"neg": "terrible, broke at once", "neu": "okay, nothing special", "pos": "wonderful, love it"}


def read(file: Path, text: str, label: str, time: str | None = None) -> list[dict[str, Any]]:
    folder = file.parent / "snapshot"
    folder.mkdir(exist_ok=True)
    write_snapshot(file, text, label, time, folder)
    table = duckdb.sql(f"select text, rating, label, split, reviewed_at from '{folder / 'reviews.parquet'}' order by review_id")
    return [dict(zip(table.columns, row, strict=True)) for row in table.fetchall()]


def some_csv(folder: Path, labels: Sequence[object], name: str = "some.csv") -> Path:
    file = folder / name
    file.write_text("body,mark\n" + "".join(f"text {number},{label}\n" for number, label in enumerate(labels)))
    return file


@pytest.mark.parametrize(
    ("given", "labels", "ratings"),
    [
        ([1, 2, 3, 4, 5], "nnopp", [1, 2, 3, 4, 5]),
        (["1.0", "2.5", "5.0", "4"], "nopp", [1, 3, 5, 4]),
        ([0, 1, 2, 3, 4], "nnopp", [1, 2, 3, 4, 5]),
        ([0, 1, 0], "npn", None),
        ([-1, 0, 1], "nop", None),
        ([1, 2], "np", None),
        ([1, 10, 4, 6, 7], "npnop", [1, 5, 2, 3, 4]),
        (["Positive", "NEG", "neutral"], "pno", None),
        (["好评", "差评"], "pn", None),
        (["false", "true"], "np", None),
        (["not recommended", "recommended"], "np", None),
    ],
)
def test_labels_are_stars_or_classes(given: list[object], labels: str, ratings: list[int] | None, tmp_path: Path) -> None:
    rows = read(some_csv(tmp_path, given), "body", "mark")
    names = {"n": "negative", "o": "neutral", "p": "positive"}
    assert [row["label"] for row in rows] == [names[label] for label in labels]
    assert [row["rating"] for row in rows] == (ratings or [None] * len(given))


def test_rows_without_text_or_label_are_left_out_and_several_columns_are_joined(tmp_path: Path) -> None:
    file = tmp_path / "some.jsonl"
    rows = [
        {"title": "Good", "body": "Love it", "stars": 5},
        {"title": None, "body": "No title", "stars": 1},
        {"title": "Only title", "stars": 3},
        {"title": "", "body": " ", "stars": 4},
        {"title": "no stars", "body": "x", "stars": None},
        {"title": "Two\nlines", "body": {"nested": [1]}, "stars": 2},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [row["text"] for row in read(file, "title, BODY", "Stars")][:3] == ["Good. Love it", "No title", "Only title"]


def test_packed_files_and_other_encodings(tmp_path: Path) -> None:
    content = "Review,label\n" + '"很好, 很喜欢\n第二行",1\n"太差了",0\n' + "很好,1\n"
    expected = ["很好, 很喜欢\n第二行", "太差了", "很好"]
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(content.encode("utf-8-sig")))
    (tmp_path / "b.csv").write_bytes(content.encode("gb18030"))
    (tmp_path / "c.tsv").write_bytes(content.replace(",1", "\t1").replace(",0", "\t0").replace("w,l", "w\tl").encode("utf-16"))
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("__MACOSX/x.csv", "nothing")
        archive.writestr("read.me", "nothing")
        archive.writestr("inner/reviews.CSV", content)
    duckdb.sql(
        f"copy (select * from (values ('{expected[0]}', 1), ('太差了', 0), ('很好', 1)) t(Review, label)) to '{tmp_path / 'e.parquet'}'"
    )
    for name in ("a.csv.gz", "b.csv", "c.tsv", "d.zip", "e.parquet"):
        rows = read(tmp_path / name, "review", "label")
        assert [row["text"] for row in rows] == expected, name
        assert [row["label"] for row in rows] == ["positive", "negative", "positive"], name


INCHES = (
    "I'm 5'4\", 115 lbs, and it fits",
    'A 27", a 28", and "one size", all too wide',
    'First line, 5\'2"\n\nsecond line: "never again", she said',
    'ends with an inch mark: 12"',
    '"quoted whole, with commas"',
    "plain, without any quote",
    "no comma at all",
)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_inch_marks_before_commas_and_line_breaks_come_out_exactly(line_end: str, tmp_path: Path) -> None:
    """As in a public file of clothing reviews: most texts need no quotes, some hold doubled ones before commas, some run over lines."""
    written = [
        (number, 20 + number % 60, f"{INCHES[(number * 5) % 7 if number > 1500 else 6]} {number}", number % 5 + 1) for number in range(4000)
    ]
    file = tmp_path / "clothing.csv"
    with file.open("w", newline="") as out:
        writer = csv.writer(out, lineterminator=line_end)
        writer.writerow(["", "Age", "Review Text", "Rating"])
        writer.writerows(written)
    rows = read(file, "Review Text", "Rating")
    assert [(row["text"], row["rating"]) for row in rows] == [(text, rating) for _, _, text, rating in written]


def test_broken_rows_are_left_out_alone_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sound = [f'"{number} is 5\'4"", I think",{number % 2}\n' for number in range(100)]
    sound[50] = '"never closed, with 12"" and 5 anna@example.org,1\n'
    sound[60] = "one, two, three,1\n"
    sound[70] = ",1\n"
    file = tmp_path / "some.csv"
    file.write_text("body,mark\n" + "".join(sound))
    with caplog.at_level(logging.INFO):
        rows = read(file, "body", "mark")
    assert [row["text"] for row in rows] == [f"{number} is 5'4\", I think" for number in range(100) if number not in (50, 60, 70)]
    assert "some.csv: 2 of 100 rows are broken, the first of them is row 51: malformed line: " in caplog.text
    assert "some.csv: 100 rows read, 97 of them with a text and a label" in caplog.text and "anna" not in caplog.text
    caplog.clear()
    lines = [json.dumps({"body": f"text {number}", "mark": number % 2}) + "\n" for number in range(9)]
    file.with_suffix(".jsonl").write_text("".join([*lines[:5], '{"body": "cut of\n', *lines[5:]]))
    assert len(read(file.with_suffix(".jsonl"), "body", "mark")) == 9
    assert "some.jsonl: 1 of 10 rows are broken, the first of them is row 6: malformed line: not JSON" in caplog.text
    file.write_text("body,mark\n" + "a,b,c,1\n" * 6 + "text,1\n" * 5)
    with pytest.raises(UnreadableReviews, match=r"some\.csv cannot be read: 6 of 11 rows are broken, the first of them is row 1: "):
        read(file, "body", "mark")


@pytest.mark.parametrize("moment", ["unix", "milliseconds", "iso", "american"])
def test_the_last_fifth_by_time_is_held_out(moment: str, tmp_path: Path) -> None:
    written = {
        "unix": "epoch(moment)::bigint",
        "milliseconds": "epoch_ms(moment)",
        "iso": "strftime(moment, '%Y-%m-%dT%H:%M:%SZ')",
        "american": "strftime(moment, '%m %d, %Y')",
    }[moment]
    file = tmp_path / "some.parquet"
    duckdb.sql(
        f"""copy (select 'text ' || i as body, i % 5 + 1 as stars, {written} as day
            from (select i, timestamp '2014-01-01' + to_days(i) as moment from range(50) t(i)) order by hash(i)) to '{file}'"""
    )
    by_split: dict[str, list[Any]] = {"train": [], "validation": [], "test": []}
    for row in read(file, "body", "stars", "day"):
        by_split[row["split"]].append(row["reviewed_at"])
    assert [len(days) for days in by_split.values()] == [35, 5, 10]
    assert max(by_split["train"]) < min(by_split["validation"]) and max(by_split["validation"]) < min(by_split["test"])


def test_without_a_time_a_hash_of_the_text_holds_out_a_fifth_whatever_the_order(tmp_path: Path) -> None:
    marks = [number % 2 for number in range(2000)]
    rows = read(some_csv(tmp_path, marks), "body", "mark")
    split = {row["text"]: row["split"] for row in rows}
    assert 340 < sum(part == "test" for part in split.values()) < 460 and 140 < sum(part == "validation" for part in split.values()) < 260
    fewer = read(some_csv(tmp_path, marks[:1000], "fewer.csv"), "body", "mark")
    assert all(split[row["text"]] == row["split"] for row in fewer)


@pytest.mark.parametrize(
    ("name", "content", "text", "label", "time", "said"),
    [
        ("a.csv", "body,mark\nx,1\ny,2\n", "boby", "mark", None, "a.csv has no column 'boby'; it has body, mark"),
        ("a.csv", "body,mark\nx,1\ny,2\n", "body", "stars", None, "a.csv has no column 'stars'; it has body, mark"),
        ("a.csv", "body,mark\n,1\n,2\n", "body", "mark", None, "column mark has no label beside a text"),
        ("a.csv", "body,mark\na,x\nb,y\nc,z\nd,w\n", "body", "mark", None, "column mark holds neither stars nor two or three classes"),
        ("a.csv", "body,mark,at\na,1,x\nb,2,y\n", "body", "mark", "at", "column at holds no times: 0 % of its values"),
        ("a.jsonl", "{broken\n", "body", "mark", None, "cannot be read"),
        ("a.parquet", "no parquet", "body", "mark", None, "cannot be read"),
        ("a.csv.gz", "no gzip", "body", "mark", None, "a.csv.gz cannot be unpacked"),
        ("a.xlsx", "x", "body", "mark", None, "a.xlsx ends in none of .json"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_line(
    name: str, content: str, text: str, label: str, time: str | None, said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UnreadableReviews) as told:
        read(tmp_path / name, text, label, time)
    assert said in str(told.value) and "\n" not in str(told.value)


def test_a_file_is_judged_by_the_nightly_path(tmp_path: Path) -> None:
    file = tmp_path / "some.csv"
    kinds = list(WORDS)
    file.write_text("body,mark\n" + "".join(f'"{WORDS[kinds[n % 3]]} {n}",{kinds[n % 3]}\n' for n in range(400)))
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.bench_sentiment",
        str(file),
        "--text",
        "body",
        "--label",
        "mark",
        "--minutes",
        "0.02",
    ]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["macro_f1"] == result["accuracy"] == 1.0 and result["chosen"] in ("linear", "encoder", "blend")
    assert result["ece"] < 0.2 and result["train_seconds"] > 0 and result["reviews_per_second"] > 0
    done = subprocess.run([*command[:3], "none.csv", *command[4:]], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "there is no file none.csv\n") and not done.stdout
