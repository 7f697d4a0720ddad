"""A shop that writes the contract's own tables, and the checker that looks at a shop of any kind beforehand."""

from __future__ import annotations

import gzip
import hashlib
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from include.collect import NothingCollected, collect
from include.night import Night
from include.sources import land
from include.sources.check import main

INVOICES = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n1,85001,CANDLE,2,2011-02-10,3.30,7,France\n"

CHECKOUT = Path(__file__).resolve().parents[3]


def put(folder: Path, name: str, content: str | bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A good small shop."""
    folder = tmp_path / "my shop"
    put(folder, "products.csv", "product_id,title,price\n1,Piano,100\n2,Drum,20\n")
    put(folder, "reviews/2026.jsonl", "".join(f'{{"review_id": {i}, "product_id": 1, "reviewed_at": "2026-01-01"}}\n' for i in range(100)))
    return folder


def digest(folder: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_files_are_collected_where_they_lie(folder: Path, open_night: Callable[..., Night]) -> None:
    night = open_night(source="files", data=folder)
    before = digest(folder)
    land(night)
    collect(night)
    assert digest(folder) == before
    with duckdb.connect(str(night.warehouse), read_only=True) as con:
        assert con.execute("SELECT product_id, title FROM raw.products ORDER BY 1").fetchall() == [("1", "Piano"), ("2", "Drum")]
        assert con.execute("SELECT count(*) FROM raw.reviews").fetchall() == [(100,)]


def test_good_shop_passes_and_is_told_what_it_misses(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = digest(folder.parent)
    assert main(["--data", str(folder), "--as-of", "2026-03-01"]) == 0
    assert digest(folder.parent) == before
    report = capsys.readouterr().out
    assert report.startswith(f"Checked {folder} as of 2026-03-01 00:00 UTC; nothing was changed.")
    assert "products (required): 2 rows in 1 file: 2 good, 0 duplicate, 0 would go to quarantine" in report
    assert "reviews (fact): 100 rows in 1 file: 100 good" in report
    assert "events (fact): no views, carts or searches" in report
    assert report.rstrip().endswith("The night would run.")


def test_everything_wrong_is_named_with_its_place(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(
        folder,
        "reviews/bad.csv",
        "review_id;product_id;reviewed_at;rating;stars\n" + "".join(f"b{i};1;2026-01-01;{i};\n" for i in range(8)),
    )
    put(folder, "reviews/copy.jsonl", (folder / "reviews/2026.jsonl").read_bytes())
    put(folder, "events/cut.csv.gz", gzip.compress(b"event_id,event_type,occurred_at\n" * 500)[:-9])
    put(folder, "orders/ids.csv", "order,when\n1,2\n")
    put(folder, "customers/c.csv", "customer_id,birth_date\n1,5.5.1955\n")
    put(folder, "weather\x1b[31m/a.csv", "")
    assert main(["--data", str(folder)]) == 1
    report = capsys.readouterr().out
    for line in (
        "reviews (fact): 108 rows in 2 files: 105 good, 0 duplicate, 3 would go to quarantine",
        "    unknown columns, left out: stars",
        "  rating: above 5: 2 rows",
        "    reviews/bad.csv, row 7: '6'",
        "  rating: below 1: 1 row",
        "  reviews/copy.jsonl: would be passed over, for its content is that of another file",
        "  events/cut.csv.gz: would be refused whole: cannot be read: Compressed file ended before the end-of-stream marker was reached",
        "  orders/ids.csv: would be refused whole: required columns missing: order_id, ordered_at (found: order, when)",
        "    customers/c.csv, row 1",
        "  weather\\x1b[31m",
        "  customers: 100.0% of the rows are refused, and NIGHTSHELF_MAX_QUARANTINE_SHARE lets 5.0% pass.",
    ):
        assert line in report.splitlines()
    assert "1955" not in report


@pytest.mark.parametrize("missing", ["products.csv", "reviews/2026.jsonl"])
def test_shop_without_what_a_night_needs_does_not_pass(folder: Path, missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / missing).unlink()
    assert main(["--data", str(folder)]) == 1
    assert "The night would NOT run:" in capsys.readouterr().out


def test_checker_as_a_program(folder: Path, tmp_path: Path) -> None:
    def run(*arguments: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "include.sources.check", *map(str, arguments)]
        return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)

    good = run("--data", folder)
    assert (good.returncode, good.stderr) == (0, "")
    absent = run("--data", tmp_path / "nowhere")
    assert absent.returncode == 1
    assert "there is no folder" in absent.stdout and "\n  Next: Create it" in absent.stdout
    assert run("--data", folder, "--as-of", "soon").returncode == 1


def test_checker_reads_a_mapped_source_as_the_night_will(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "retail.csv", INVOICES + "1,85001,CANDLE,two,2011-02-10,3.30,7,France\n" * 4)
    put(tmp_path, "cut.csv", "InvoiceNo,StockCode\n1,2\n")
    put(tmp_path, "notes.doc", "?")
    before = digest(tmp_path)
    assert main(["--source", "online_retail", "--data", str(tmp_path), "--as-of", "2026-03-01"]) == 1
    report = capsys.readouterr().out
    for line in (
        f"Checked {tmp_path} by source online_retail as of 2026-03-01 00:00 UTC; nothing was changed.",
        "order_items (optional): 5 rows mapped: 1 good, 0 duplicate, 4 would go to quarantine",
        "  quantity: not an amount: 4 rows",
        "    retail.csv, row 2: 'two'",
        "  notes.doc",
        "  order_items: 80.0% of the rows are refused, and NIGHTSHELF_MAX_QUARANTINE_SHARE lets 5.0% pass.",
    ):
        assert line in report.splitlines()
    assert f"  would be refused whole: {tmp_path}/cut.csv: required columns missing: Description" in report
    assert digest(tmp_path) == before
    monkeypatch.setenv("NIGHTSHELF_MAX_QUARANTINE_SHARE", "0.9")
    monkeypatch.setenv("NIGHTSHELF_SOURCE", "online_retail")
    assert main(["--data", str(tmp_path), "--as-of", "2026-03-01"]) == 0


def test_what_is_refused_is_named_where_nothing_is_left(tmp_path: Path, open_night: Callable[..., Night]) -> None:
    """315 orders of before 1970 are no missing file."""
    header = "order_id,customer_id,ordered_at\n"
    put(tmp_path, "products.csv", "product_id\n1\n")
    put(tmp_path, "orders/a.csv", header + "1,anna@example.com,1969-01-01\n2,2,1968-01-01\n")
    put(tmp_path, "events/a.csv", "event_id,customer_id,event_type,occurred_at\n1,anna@example.com,view,bob@example.com\n")
    put(tmp_path, "reviews/a.csv", "review,stars\n1,5\n")
    with pytest.raises(NothingCollected) as caught:
        collect(open_night(source="files", data=tmp_path))
    problem = caught.value.problem
    assert "2 refused rows of orders, the first orders/a.csv, row 1, ordered_at '1969-01-01': before 1970" in problem
    assert "1 refused row of events, the first events/a.csv, row 1, occurred_at '[email]': " in problem
    assert "refused whole: reviews/a.csv: required columns missing: review_id, reviewed_at" in problem
    assert "Put a file" not in caught.value.next_step


def test_nothing_of_a_mapped_source_names_it_and_the_shops_files(tmp_path: Path, open_night: Callable[..., Night]) -> None:
    shop = tmp_path / "it's a shop"
    put(shop, "retail.csv", "InvoiceNo,StockCode\n1,2\n")
    night = open_night(source="online_retail", data=shop)
    land(night)
    with pytest.raises(NothingCollected) as caught:
        collect(night)
    assert caught.value.problem.startswith(f"No row of products could be collected from the files in {shop} by source online_retail; ")
    assert f"refused whole: {shop}/retail.csv: required columns missing: Description" in caught.value.problem
    assert f"`make check-source SOURCE=online_retail DATA={shlex.quote(str(shop))}`" in caught.value.next_step
    assert "landing" not in str(caught.value)
