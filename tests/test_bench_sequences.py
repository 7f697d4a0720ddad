"""Leave-one-out on a file of sequences, end to end as make runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest

from tests.benchmarks.bench_sequences import write_snapshot
from tests.conftest import CHECKOUT

pytestmark = pytest.mark.slow


@pytest.fixture
def sequences(tmp_path: Path) -> Path:
    """Users who walk round a ring of items: the next item is the one after the last."""
    rng = np.random.default_rng(5)
    lines = []
    for user in range(120):
        start, length = rng.integers(0, 30), rng.integers(4, 12)
        lines.append(" ".join([f"u{user}", *(f"{(start + i) % 30 + 1}" for i in range(length))]))
    file = tmp_path / "ring.txt"
    file.write_text("\n".join(lines) + "\n")
    return file


def test_the_split_by_time_is_leave_one_out(sequences: Path, tmp_path: Path) -> None:
    attributes = tmp_path / "attributes.json"
    attributes.write_text(json.dumps({"1": [3, 4], "2": [4]}))
    assert write_snapshot(sequences, attributes, tmp_path / "features") == 120
    lasts = sorted((line.split()[0], line.split()[-1], line.split()[-2]) for line in sequences.read_text().splitlines())
    with duckdb.connect() as db:
        features = str(tmp_path / "features")
        labels = "select customer_id, max(product_id) filter (split = 'test'), max(product_id) filter (split = 'validation')"
        found = db.sql(f"{labels} from '{features}/labels.parquet' group by all order by customer_id").fetchall()
        outside = db.sql(f"""
            select count(*) from '{features}/interactions.parquet' join '{features}/splits.parquet' using (split)
            where occurred_at < starts_at or occurred_at >= ends_at""").fetchone()
        texts = dict(db.sql(f"select product_id, text from '{features}/products.parquet'").fetchall())
    assert found == lasts
    assert outside == (0,)
    assert texts["1"] == "attribute3 attribute4" and texts["2"] == "attribute4" and texts["3"] == ""


def test_what_follows_is_found_and_the_last_line_is_the_figures(sequences: Path) -> None:
    command = [sys.executable, "-m", "tests.benchmarks.bench_sequences", str(sequences)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    accuracy = {f"{fitted}{name}" for fitted in ("", "train_only_") for name in ("recall@10", "ndcg@10")}
    assert set(figures) == accuracy | {"fit_seconds", "score_seconds", "peak_mb"}
    assert figures["recall@10"] > 0.5 and figures["train_only_recall@10"] > 0.5
    assert "120 of 120 users judged" in done.stdout
