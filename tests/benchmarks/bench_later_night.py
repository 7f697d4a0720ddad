"""The sequence model on a first night, and on the next one with and without the first night's weights: seconds of CPU and NDCG@10.

    python -m tests.benchmarks.bench_later_night SEQUENCES [--items 500] [--seeds 3]

The users and their items come from a file as `bench_sequences` reads it: the most wanted items, and the users who have five of them or
more. The times are others: a tenth of the users gets an item each day, so that a night's new rows are about a hundredth of all. Validation
and test last ten days each, so that they hold one item of every user. The first night ends a day before the next one does. A night fits
three times: on what lies before the validation days, before the test days, and on everything; each of these may go on from the fits before
it, and on the next night from those that the first one kept. Seconds are those that the process computed on all cores together, as other
work on the machine makes these longer by little only. The NDCG is that of the second fit: each user's item of the test days among all
items, those in the history left out. Two fits that differ in their seed alone differ, so all is done with several, and the difference that
the seeds make is printed too.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np

from include.learn.compare import relative_difference
from ml.recommend.candidates.contract import Training
from ml.recommend.candidates.sequence import SequenceModel
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.customers import active_customers
from ml.recommend.data.histories import read_history
from ml.recommend.data.snapshot import Snapshot
from tests.benchmarks.bench_sequences import write_snapshot

END, DAY = datetime(2026, 1, 1), timedelta(days=1)
TENTH, K, LEAST = 10, 10, 5


def spread(folder: Path, out: Path, end: datetime) -> None:
    """The snapshot with a user's k-th item from the end 10 (k - 1) days before that tenth of the users has its turn; what is not before
    `end` has not happened."""
    out.mkdir()
    for table in ("products", "customers"):
        (out / f"{table}.parquet").write_bytes((folder / f"{table}.parquet").read_bytes())
    with duckdb.connect() as db:
        db.execute("create table i as from read_parquet(?)", [str(folder / "interactions.parquet")])
        turn = f"to_days({TENTH} * (datediff('day', occurred_at, ?) - 1) + (hash(customer_id) % {TENTH})::int + 1)"
        moved = f"select * replace (? - {turn} + interval '12 hours' as occurred_at) from i order by all"
        db.execute(f"create table moved as from ({moved}) where occurred_at < ?", [END, END, end])
        for name, query in {
            "interactions": "from moved",
            "splits": f"""
                select split, $end - to_days(since) as starts_at, $end - to_days(until) as ends_at
                from (values ('train', 36500, {2 * TENTH}), ('validation', {2 * TENTH}, {TENTH}), ('test', {TENTH}, 0))
                    as t (split, since, until)
            """,
        }.items():
            db.sql(query, params={"end": end} if "$end" in query else None).write_parquet(str(out / f"{name}.parquet"))


def fit(snapshot: Snapshot, before: datetime | None, earlier: Sequence[SequenceModel]) -> tuple[SequenceModel, float]:
    """A model of the rows before a moment, and the seconds of CPU it took."""
    model, history = SequenceModel(snapshot.config), read_history(snapshot, active_customers(snapshot, before), before)
    began = time.process_time()
    model.fit(Training(snapshot.catalogue, history, np.zeros(len(snapshot.catalogue)), Path(), earlier))
    return model, time.process_time() - began


def night(features: Path, config: RecommenderConfig, kept: Sequence[SequenceModel]) -> tuple[list[SequenceModel], np.ndarray, np.ndarray]:
    """What the night keeps, each judged user's NDCG@10, and the seconds of its three fits."""
    snapshot = Snapshot(features, config)
    rehearsed, first = fit(snapshot, snapshot.end_of(("train",)), kept)
    judged, second = fit(snapshot, snapshot.end_of(("train", "validation")), [*kept, rehearsed])
    _, third = fit(snapshot, None, [judged])
    return [rehearsed, judged], ndcg(snapshot, judged), np.array([first, second, third])


def ndcg(snapshot: Snapshot, model: SequenceModel) -> np.ndarray:
    """Of the users with one new item in the test days, in the order of their ids."""
    starts_at = snapshot.end_of(("train", "validation"))
    customers = active_customers(snapshot, starts_at)
    known, later = read_history(snapshot, customers, starts_at), read_history(snapshot, customers)
    # the latest product of the whole history is that of the test days
    wanted = later.product[np.minimum(later.indptr[:-1], len(later.product) - 1)]
    fresh = later.last_at[later.indptr[:-1]] >= known.moment
    values = np.zeros(len(customers))
    for begin in range(0, len(customers), 1000):
        some = slice(begin, begin + 1000)
        asked = known.rows(begin, min(begin + 1000, len(customers)))
        scores = model.score(asked)
        scores[asked.customer, asked.product] = -1
        right = scores[np.arange(asked.customers), wanted[some]]
        rank = (scores > right[:, None]).sum(1)
        fresh[some] &= right >= 0
        values[some] = np.where(rank < K, 1 / np.log2(rank + 2), 0)
    return values[fresh]


def write_sequences(file: Path, out: Path, items: int) -> None:
    """The file with its most wanted items only, of users who have enough of them."""
    lines = [line.split() for line in file.read_text().splitlines() if line.strip()]
    wanted = {item for item, _ in Counter(item for line in lines for item in line[1:]).most_common(items)}
    kept = ([user, *(item for item in line if item in wanted)] for user, *line in lines)
    out.write_text("".join(" ".join(line) + "\n" for line in kept if len(line) > LEAST))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequences", type=Path)
    parser.add_argument("--items", type=int, default=500, help="only so many, the most wanted")
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    found: dict[str, list[np.ndarray]] = {"first night": [], "next night, going on": [], "next night, from nothing": []}
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        write_sequences(asked.sequences, place / "sequences.txt", asked.items)
        write_snapshot(place / "sequences.txt", None, place / "features")
        spread(place / "features", place / "first", END - DAY)
        spread(place / "features", place / "next", END)
        for seed in range(asked.seeds):
            config, kept = RecommenderConfig(seed=seed), []
            for (name, values), folder in zip(found.items(), ("first", "next", "next"), strict=True):
                models, scores, seconds = night(place / folder, config, kept if name == "next night, going on" else [])
                kept = models if name == "first night" else kept
                values.append(scores)
                fits = " + ".join(f"{one:.0f}" for one in seconds)
                print(
                    f"seed {seed}, {name}: NDCG@10 {scores.mean():.4f} of {len(scores)} users, {fits} = {seconds.sum():.0f} s of CPU",
                    flush=True,
                )
    for name, values in found.items():
        print(
            f"{name}: NDCG@10 {np.mean(values):.4f}, over the seeds from {min(map(np.mean, values)):.4f} to {max(map(np.mean, values)):.4f}"
        )
    warm, cold = (np.mean(found[name], axis=0) for name in ("next night, going on", "next night, from nothing"))
    difference = relative_difference(warm, cold, asked.seeds)
    print(f"going on instead of from nothing: {difference.value:+.1%} [{difference.low:+.1%}, {difference.high:+.1%}]")
    return 0


if __name__ == "__main__":
    sys.exit(main())
