"""A release is published whole or not at all, and readers never notice how."""

from __future__ import annotations

import multiprocessing
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from include.errors import MayPass, NightError
from include.night import Night
from include.publish import current_release, latest_release_before, list_releases, publish

ReadyNight = Callable[..., Night]


def rows(path: Path, query: str) -> list[tuple]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_a_published_night_is_served_and_kept_under_its_id(ready_night: ReadyNight) -> None:
    night = ready_night("2026-03-01")
    publish(night)
    kept = night.releases / f"{night.key}-0123abcd.duckdb"
    for path in (night.serving, kept):
        assert rows(path, "SELECT count(*), count(DISTINCT customer_id) FROM recommendations") == [(50, 10)]
        assert rows(path, "SELECT status, shop FROM release") == [("published", "demo")]
    assert rows(kept, "SELECT suite FROM quality_results ORDER BY 1") == [("raw",), ("serving",)]
    comment = "SELECT comment FROM duckdb_columns() WHERE table_name = 'recommendations' AND column_name = 'rank'"
    assert rows(kept, comment) == [("Place in the list, it's from 1.",)]
    assert not list(night.releases.glob(".*"))


def test_publishing_the_same_night_again_gives_the_same_tables(ready_night: ReadyNight) -> None:
    night = ready_night("2026-03-01")
    publish(night)
    before = rows(night.serving, "SELECT * FROM recommendations")
    publish(night)
    assert rows(night.serving, "SELECT * FROM recommendations") == before
    assert len(list_releases(night.home)) == 1


def test_a_backfilled_night_is_kept_but_not_served(ready_night: ReadyNight) -> None:
    later, earlier = ready_night("2026-03-02"), None
    publish(later)
    earlier = ready_night("2026-03-01")
    publish(earlier)
    current = current_release(earlier.home)
    assert current and current.release_id.startswith(later.key)
    assert [release.as_of.day for release in list_releases(earlier.home)] == [1, 2]
    before = latest_release_before(later.home, later.shop, later.as_of)
    assert before and before.as_of.day == 1


def test_another_shop_in_the_same_home_is_served_even_when_its_data_are_older(ready_night: ReadyNight) -> None:
    publish(ready_night("2026-03-02"))
    older = ready_night("2014-07-24", shop="instruments")
    publish(older)
    current = current_release(older.home)
    assert current and current.shop == "instruments"
    assert latest_release_before(older.home, "demo", older.as_of) is None


def test_a_dry_run_publishes_nothing(ready_night: ReadyNight) -> None:
    night = ready_night("2026-03-01", publish=False)
    publish(night)
    assert not night.serving.exists() and not list_releases(night.home)
    assert rows(night.folder / "dry_run.duckdb", "SELECT count(*) FROM recommendations") == [(50,)]


def test_only_the_last_releases_are_kept(ready_night: ReadyNight) -> None:
    for day in range(1, 6):
        night = ready_night(f"2026-03-0{day}", keep_releases=2)
        publish(night)
    assert [release.as_of.day for release in list_releases(night.home)] == [4, 5]


def test_a_night_whose_gate_did_not_pass_is_refused(ready_night: ReadyNight) -> None:
    night = ready_night("2026-03-01")
    steps = night.folder / "steps.jsonl"
    steps.write_text("".join(line for line in steps.read_text().splitlines(keepends=True) if "check_features" not in line))
    with pytest.raises(NightError, match="not passed tonight: features"):
        publish(night)
    assert not night.serving.exists()


def test_a_missing_table_is_refused(ready_night: ReadyNight) -> None:
    night = ready_night("2026-03-01")
    with duckdb.connect(str(night.warehouse)) as warehouse:
        warehouse.execute("DROP TABLE serving.customer_profiles")
    with pytest.raises(NightError, match="customer_profiles"):
        publish(night)
    assert not list(night.releases.glob("*"))


def _publish_on_a_full_disk(folder: str) -> None:
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    try:
        publish(Night.load(folder))
    except MayPass as error:
        sys.exit(7 if "disk is full" in error.problem else 8)


def test_a_disk_that_fills_up_leaves_the_old_release_and_no_rubbish(ready_night: ReadyNight) -> None:
    publish(ready_night("2026-03-01"))
    night = ready_night("2026-03-02", customers=200_000)
    process = multiprocessing.get_context("spawn").Process(target=_publish_on_a_full_disk, args=(str(night.folder),))
    process.start()
    process.join()
    assert process.exitcode == 7
    assert rows(night.serving, "SELECT count(*) FROM recommendations") == [(50,)]
    assert [path.name[:8] for path in night.releases.iterdir()] == ["20260301"]
    publish(night)
    assert rows(night.serving, "SELECT count(*) FROM recommendations") == [(1_000_000,)]


READER = """
import duckdb, pathlib, sys
path, stop = sys.argv[1:3]
while not pathlib.Path(stop).exists():
    connection = duckdb.connect(path, read_only=True)
    row = connection.execute('SELECT count(*), count(DISTINCT release_id), min(release_id) FROM recommendations').fetchone()
    release = connection.execute('SELECT release_id FROM release').fetchone()
    connection.close()
    assert row[1] == 1 and row[2] == release[0], (row, release)
    print(row[0], release[0], flush=True)
"""


def test_readers_polling_all_the_while_see_only_whole_releases(ready_night: ReadyNight, tmp_path: Path) -> None:
    night = ready_night("2026-03-01", customers=1000)
    publish(night)
    stop = tmp_path / "stop"
    reader = subprocess.Popen([sys.executable, "-c", READER, str(night.serving), str(stop)], stdout=subprocess.PIPE, text=True)
    seen: list[str] = []
    collector = threading.Thread(target=lambda: seen.extend(line.strip() for line in reader.stdout or []))
    collector.start()
    for day, customers in ((2, 2000), (3, 3000), (4, 4000)):
        publish(ready_night(f"2026-03-0{day}", customers=customers))
    stop.touch()
    assert reader.wait() == 0
    collector.join()
    assert {line.split()[0] for line in seen} <= {"5000", "10000", "15000", "20000"} and len(set(seen)) > 1
