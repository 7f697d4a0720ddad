"""The same night again: as long as what it went on from is kept it is the same, and afterwards it has another name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pyarrow.parquet as pq
import pytest

from include.learn import learn
from include.night import Night
from include.release_id import lineage_told, release_id
from tests.ml.recommend.tiny_snapshots import two_tastes, write_snapshot

pytestmark = pytest.mark.slow

NIGHTS = 21
QUICK: dict[str, Any] = {"source": "files", "shop": "tiny", "tracking_uri": "http://127.0.0.1:9", "list_length": 3, "threads": 1}


def learned(open_night: Callable[..., Night], day: int, **settings: Any) -> tuple[str, dict[str, Any]]:
    """A night of a shop that has one more customer every day: the release's id and the prediction files."""
    night = open_night(f"2026-04-{day:02d}", **(QUICK | settings))
    products = {f"p{number:03d}": {"title": f"Thing {number}", "category": "All"} for number in range(12)}
    write_snapshot(night.features, two_tastes(customers=10 + day, products=12), products)
    learn(night, "recommender")
    return release_id(night), {file.name: pq.read_table(file).to_pylist() for file in sorted(night.predictions.glob("*.parquet"))}


def test_a_night_twenty_nights_back_is_the_same_while_its_past_is_kept(open_night: Callable[..., Night]) -> None:
    nights = [learned(open_night, day, keep_releases=25) for day in range(1, NIGHTS + 1)]
    assert len({name for name, _ in nights}) == NIGHTS

    assert learned(open_night, 2, keep_releases=25) == nights[1], "twenty nights back, from a champion that is still there"
    assert lineage_told(open_night("2026-04-02", **QUICK)).endswith("after 20260401T000000")

    shutil.rmtree(open_night("2026-04-02", **QUICK).models)
    name, _ = learned(open_night, 2, keep_releases=25)
    assert name != nights[1][0], "what it went on from is gone: another lineage, another id"
    assert "after" not in lineage_told(open_night("2026-04-02", **QUICK))


def test_other_settings_that_change_nothing_change_no_name(open_night: Callable[..., Night]) -> None:
    name, tables = learned(open_night, 1)
    again, same = learned(open_night, 1, threads=2, keep_releases=9)
    assert again == name and same == tables
    assert learned(open_night, 1, seed=21)[0] != name
