"""Collecting as a step of a night: its books, its refusals, its reruns, and what a kill leaves."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from include.collect import NothingCollected
from include.collect.contract import load_contract
from include.errors import MayPass

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parents[3]
COLLECT = """
import sys
from include.collect import collect
from include.night import Night
print("ready", flush=True)
collect(Night.load(sys.argv[1]))
"""


def collected(night: Any) -> dict[str, Any]:
    return dict(json.loads((night.folder / "collected.json").read_text()))


def test_a_night_writes_its_books(open_shop: Any) -> None:
    open_shop.put("reviews/r.csv", "review_id,product_id,rating,reviewed_at\nr1,p1,5,2026-01-31\nr1,p1,5,2026-01-31\nr2,p1,9,2026-01-31\n")
    open_shop.put("orders/o.csv", b"\xff")
    night = open_shop.collect()
    hashes = sorted(
        hashlib.sha256(path.read_bytes()).hexdigest() for path in open_shop.folder.glob("*/*.csv") if path.parent.name != "orders"
    )
    assert collected(night) == {
        "files": 3,
        "rows_read": 5,
        "rows_loaded": 3,
        "rows_duplicate": 1,
        "rows_quarantined": 1,
        "files_refused": 1,
        "oldest_event_at": "2026-01-31 00:00:00",
        "inputs_digest": hashlib.sha256("\n".join(hashes).encode()).hexdigest(),
    }
    (step,) = night.steps()
    assert (step["step"], step["status"], step["notes"]["rows_read"]) == ("collect", "done", 5)
    assert open_shop.sql("SELECT table_name, path, file_id, status FROM collect.files ORDER BY file_id") == [
        ("products", "products/base.csv", 1, "loaded"),
        ("orders", "orders/o.csv", 2, "refused"),
        ("events", "events/base.csv", 3, "loaded"),
        ("reviews", "reviews/r.csv", 4, "loaded"),
    ]


def test_all_tables_exist_with_the_contracts_types(open_shop: Any) -> None:
    open_shop.collect()
    for table in load_contract():
        described = {row[0]: row[1].lower() for row in open_shop.sql(f"DESCRIBE raw.{table.name}")}
        versions = {
            "_file_id": "bigint",
            "_row": "bigint",
            "_valid_from": "timestamp",
            "_superseded_at": "timestamp",
            "_gone_at": "timestamp",
        }
        assert described == {column.name: column.data_type for column in table.columns} | versions


def test_the_same_night_again_takes_nothing_and_says_the_same(open_shop: Any) -> None:
    first = collected(open_shop.collect())
    rows = open_shop.sql("SELECT * FROM raw.events")
    assert collected(open_shop.collect()) == first
    assert open_shop.sql("SELECT * FROM raw.events") == rows


def test_a_later_nights_files_are_not_in_an_earlier_nights_books(open_shop: Any) -> None:
    first = collected(open_shop.collect("2026-03-01"))
    open_shop.put("events/more.csv", "event_id,event_type,occurred_at\ne9,view,2026-03-01\n")
    second = collected(open_shop.collect("2026-03-02"))
    assert (second["files"], second["rows_read"]) == (1, 1)
    assert second["inputs_digest"] != first["inputs_digest"]
    assert collected(open_shop.collect("2026-03-01")) == first


def test_empty_folder_and_missing_folder_say_what_to_put_where(shop: Any) -> None:
    with pytest.raises(NothingCollected, match="No row of products") as caught:
        shop.collect()
    assert f"{shop.folder}/products/" in caught.value.next_step
    assert shop.sql("SELECT count(*) FROM raw.reviews") == [(0,)]
    shop.folder.rmdir()
    with pytest.raises(NothingCollected):
        shop.collect()


def test_required_table_wholly_refused_stops_the_night(open_shop: Any) -> None:
    open_shop.put("products/base.csv", "product_id,price\np1,-1\n")
    with pytest.raises(NothingCollected, match="products"):
        open_shop.collect()
    assert open_shop.counts("products") == [(1, 0, 0, 1)]
    assert collected(open_shop.night)["rows_quarantined"] == 1


def test_no_facts_at_all_stops_the_night(shop: Any) -> None:
    shop.put("products/p.csv", "product_id\np1\n")
    shop.put("customers/c.csv", "customer_id\nc1\n")
    with pytest.raises(NothingCollected, match="None of orders, events, reviews holds a row"):
        shop.collect()


def test_column_added_to_the_contract_is_added_to_the_warehouse(open_shop: Any) -> None:
    night = open_shop.collect()
    with duckdb.connect(str(night.warehouse)) as con:
        con.execute("ALTER TABLE raw.products DROP COLUMN brand")
        con.execute("ALTER TABLE raw.products ADD COLUMN long_gone VARCHAR")
    open_shop.put("products/new.csv", "product_id,brand\np2,Acme\n")
    open_shop.collect()
    assert open_shop.sql("SELECT product_id, brand FROM raw.products ORDER BY 1") == [("p1", None), ("p2", "Acme")]


def test_column_given_a_wider_type_keeps_its_values(open_shop: Any) -> None:
    open_shop.put("products/old.csv", "product_id,stock\np2,7\n")
    night = open_shop.collect()
    with duckdb.connect(str(night.warehouse)) as con:
        con.execute("ALTER TABLE raw.products ALTER COLUMN stock SET DATA TYPE INTEGER")
    open_shop.put("products/new.csv", "product_id,stock\np3,0.5\n")
    open_shop.collect()
    assert open_shop.sql("SELECT product_id, stock::VARCHAR FROM raw.products WHERE stock IS NOT NULL ORDER BY 1") == [
        ("p2", "7.000"),
        ("p3", "0.500"),
    ]


def test_warehouse_held_by_another_process_is_said(open_shop: Any) -> None:
    night = open_shop.collect()
    hold = f"import duckdb, sys; con = duckdb.connect({str(night.warehouse)!r}); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(MayPass, match=r"in use.*Conflicting lock"):
            open_shop.collect()
        holder.communicate()


def test_kill_at_any_moment_leaves_whole_files_only(open_shop: Any) -> None:
    """SIGKILL at growing delays, over files large enough that kills land within them; the last run is left to end."""
    for number in range(4):
        open_shop.put_parquet(
            f"events/{number}.parquet",
            f"""SELECT 'e' || (i % 40000) AS event_id, 'view' AS event_type, i % 7 - 1 AS position,
            TIMESTAMP '2026-01-01' + to_seconds(i + {number}) AS occurred_at FROM range(60000) t(i)""",
        )
    night = open_shop.collect("2026-02-28")
    complete = collected(night)
    expected = open_shop.sql("SELECT * EXCLUDE (_file_id) FROM raw.events ORDER BY ALL")
    night.warehouse.unlink()
    for delay in (0.1, 0.2, 0.3, 0.45, 0.6, None):
        with subprocess.Popen([sys.executable, "-c", COLLECT, str(night.folder)], cwd=CHECKOUT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            if delay is None:
                assert process.wait(timeout=120) == 0
            else:
                time.sleep(delay)
                process.kill()
        if not night.warehouse.exists() or not open_shop.sql("SELECT 1 FROM duckdb_tables() WHERE table_name = 'files'"):
            continue
        assert open_shop.sql("SELECT count(*) FROM collect.files WHERE rows_read <> rows_loaded + rows_duplicate + rows_quarantined") == [
            (0,)
        ]
        assert open_shop.sql("SELECT coalesce(sum(rows_loaded), 0) FROM collect.files WHERE table_name = 'events'") == open_shop.sql(
            "SELECT count(*) FROM raw.events"
        )
        assert open_shop.sql("SELECT coalesce(sum(rows_quarantined), 0) FROM collect.files") == open_shop.sql(
            "SELECT count(DISTINCT (file_id, row_number)) FROM collect.quarantine"
        )
    assert collected(night) == complete
    assert open_shop.sql("SELECT * EXCLUDE (_file_id) FROM raw.events ORDER BY ALL") == expected


def test_large_text_files_are_read_within_bounded_memory(open_shop: Any) -> None:
    """200,000 lines, 40 MB of JSON and as much CSV, with 256 MB for the database."""
    query = "q" * 120
    lines = (f'{{"event_id": "e{i + 1}", "event_type": "search", "occurred_at": 1767225600, "query": "{query}"}}\n' for i in range(200_000))
    open_shop.put("events/e.jsonl", "".join(lines))
    rows = (f"f{i + 1},search,2026-01-01T00:00:00Z,{query}\n" for i in range(200_000))
    open_shop.put("events/f.csv", "event_id,event_type,occurred_at,query\n" + "".join(rows))
    open_shop.collect(warehouse_memory_gb=0.25)
    assert open_shop.counts("events")[1:] == [(200_000, 200_000, 0, 0)] * 2
