"""Histories: what they say of a customer's habits."""

from __future__ import annotations

import pytest
from tiny_snapshots import DAY, START, bought, write_snapshot

from ml.recommend.data.customers import active_customers
from ml.recommend.data.histories import HABIT_DECAY, read_history
from ml.recommend.data.snapshot import Snapshot


def test_a_habit_decays_with_the_orders_since(tmp_path, config):
    events = [*bought("c", "milk", 1, 2, 2.4, 5), *bought("c", "bread", 1, 9), ("c", "tea", "view", START + 3 * DAY)]
    snapshot = Snapshot(write_snapshot(tmp_path / "features", events, {name: {} for name in ("bread", "milk", "tea")}), config)
    history = read_history(snapshot, active_customers(snapshot))
    by_name = dict(zip(snapshot.catalogue.ids.take(history.product).to_pylist(), range(3), strict=True))
    # orders on the days 1, 2, 5 and 9
    milk, bread, tea = (by_name[name] for name in ("milk", "bread", "tea"))
    assert history.habit[milk] == pytest.approx(HABIT_DECAY + HABIT_DECAY**2 + HABIT_DECAY**3)
    assert history.habit[bread] == pytest.approx(1 + HABIT_DECAY**3) and history.habit[tea] == 0
    assert [history.orders_ago[entry] for entry in (milk, bread, tea)] == [1, 0, 0]
    assert [history.orders_since[entry] for entry in (milk, bread, tea)] == [4, 4, 0]
