"""A disk that fills up, for real: every step says so and may be tried again, and with room it does what it would have done."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import lightgbm
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from include.errors import GateRefused, MayPass, NightError, told_apart
from include.night import Night
from tests.conftest import QUICK_SENTIMENT, TINY_SHOP
from tests.whole_night import call, tables

pytestmark = pytest.mark.slow

MEGABYTES = 128


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk of its own in memory; skips where nobody may mount one."""
    place = tmp_path_factory.mktemp("disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here, only root may: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """The disk without a byte left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 20)) == 1 << 20:
                pass
        except OSError:
            pass
    assert shutil.disk_usage(disk).free == 0
    try:
        yield
    finally:
        filler.unlink()


def fails_for_want_of_room(night: Night, step: str, disk: Path) -> None:
    with filled(disk), pytest.raises(MayPass, match="The disk is full") as failed:
        call(step, night)
    assert str(night.home) in failed.value.next_step


def test_a_first_night_goes_on_as_if_nothing_had_been(published_night: Night, small_disk: Path, open_night: Callable[..., Night]) -> None:
    night = open_night("2026-03-01", home=small_disk / "first", **TINY_SHOP, **QUICK_SENTIMENT)
    for step in ("land", "collect", "transform"):
        fails_for_want_of_room(night, step, small_disk)
        call(step, night)
    for path in sorted(night.features.glob("*.parquet")):
        assert same_rows(path, published_night.features / path.name), path.name
    assert {step["step"]: step["status"] for step in night.steps()} == dict.fromkeys(("land", "collect", "transform"), "done")


def same_rows(one: Path, other: Path) -> bool:
    first, second = (duckdb.sql(f"FROM read_parquet('{path}') ORDER BY ALL").fetchall() for path in (one, other))
    return repr(first) == repr(second)  # as text: not a number is itself there


def test_a_night_ends_as_it_would_have(published_night: Night, small_disk: Path) -> None:
    home = small_disk / "copied"
    shutil.copytree(published_night.home, home, ignore=shutil.ignore_patterns("models", "docs", "dbt"))
    night = published_night.model_copy(update={"settings": published_night.settings.model_copy(update={"home": home})})
    short_of_room = night.model_copy(update={"settings": night.settings.model_copy(update={"keep_nights": 1})})
    served = tables(night.serving)
    for step in ("check_raw", "check_serving", "publish", "report"):
        fails_for_want_of_room(night, step, small_disk)
        assert tables(night.serving) == served, "the release before stays"
        call(step, night)
    older = night.features.with_name("20250101T000000") / "old"
    older.parent.mkdir()
    older.write_bytes(bytes(1 << 16))
    with filled(small_disk):
        call("prune", short_of_room)  # makes room, and needs none
    assert not older.exists()
    assert tables(night.serving) == served
    assert hidden_files(home) == hidden_files(published_night.home), "nothing of a failed try is left"


def hidden_files(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob(".*") if path.is_file())


def write_duckdb(disk: Path) -> None:
    with duckdb.connect(str(disk / "a.duckdb")) as connection:
        connection.execute("CREATE TABLE t AS SELECT random() AS r FROM range(2000000)")


def write_sqlite(disk: Path) -> None:
    with sqlite3.connect(disk / "a.db") as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("INSERT INTO t VALUES (?)", ["x" * 5_000_000])


def write_lightgbm(disk: Path) -> None:
    draw = np.random.default_rng(1)
    rows = lightgbm.Dataset(draw.random((2000, 5)), draw.random(2000))
    lightgbm.train({"verbosity": -1, "num_leaves": 31, "num_threads": 1}, rows, num_boost_round=20).save_model(disk / "a.txt")


def spill(disk: Path) -> None:
    with duckdb.connect(config={"memory_limit": "40MB", "temp_directory": str(disk), "threads": 1}) as connection:
        connection.execute("CREATE TABLE t AS SELECT random() AS r, i FROM range(4000000) u(i) ORDER BY r")


@pytest.mark.parametrize(
    "write",
    [
        write_duckdb,
        write_sqlite,
        write_lightgbm,
        spill,
        lambda disk: pq.write_table(pa.table({"a": np.random.default_rng(1).random(500_000)}), disk / "a.parquet"),
        lambda disk: np.save(disk / "a.npy", np.zeros(500_000)),
        lambda disk: torch.save(torch.rand(500_000), disk / "a.pt"),
        lambda disk: (disk / "a.txt").write_text("x" * 1_000_000),
    ],
    ids=["duckdb", "sqlite", "lightgbm", "duckdb spilling", "pyarrow", "numpy", "torch", "text"],
)
def test_a_full_disk_is_told_whatever_the_library_says(write: Callable[[Path], None], small_disk: Path) -> None:
    with filled(small_disk), pytest.raises(MayPass, match="disk is full"), told_apart(small_disk):
        write(small_disk)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "memory"),
        (duckdb.OutOfMemoryException("Out of Memory Error: could not allocate block"), "memory"),
        (NightError("dbt could not build stage 'features': dbt's process was ended by signal 9", "Mend it."), "memory"),
        (duckdb.IOException('IO Error: Could not set lock on file "w.duckdb": Conflicting lock is held'), "in use"),
        (OSError(28, os.strerror(28)), "disk is full"),
        (NightError("dbt could not build m: IO Error: No space left on device", "Correct the model."), "disk is full"),
    ],
)
def test_what_may_pass_is_told_from_words_and_numbers(error: Exception, told: str, tmp_path: Path) -> None:
    with pytest.raises(MayPass, match=told), told_apart(tmp_path):
        raise error


@pytest.mark.parametrize("error", [GateRefused("a gap", "close it"), KeyError("a bug"), PermissionError(13, "no"), ValueError("no")])
def test_what_would_come_again_goes_through_as_it_is(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as raised, told_apart(tmp_path):
        raise error
    assert raised.value is error
