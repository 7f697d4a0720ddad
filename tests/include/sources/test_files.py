"""A shop that writes the contract's own tables, and the checker that looks at it beforehand."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from include.collect import collect
from include.night import Night
from include.sources import land
from include.sources.files.check import main

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
        command = [sys.executable, "-m", "include.sources.files.check", *map(str, arguments)]
        return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)

    good = run("--data", folder)
    assert (good.returncode, good.stderr) == (0, "")
    absent = run("--data", tmp_path / "nowhere")
    assert absent.returncode == 1
    assert "There is no folder" in absent.stdout
    assert run("--data", folder, "--as-of", "soon").returncode == 1
