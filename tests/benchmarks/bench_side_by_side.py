"""Well-known packages and Nightshelf on one leave-one-out split: accuracy, seconds and peak memory of each, in a process of its own.

    make bench-side-by-side SEQUENCES=<file> [USERS=<first so many>] [EPOCHS=3]

The file is one of `bench_sequences`. Everybody learns from all but each user's last item, and is asked for the ten best of all items
without those the user had; users whose last item is one of these are not judged. The packages run with their own default settings, but for
256 factors of implicit's ALS (100 by default), the last 50 items of a user for RecTools' SASRec (100) and its number of epochs. Nothing was
tuned for them here. RecTools and LensKit want an older NumPy than the product's and live in an environment of their own
(requirements-compare.txt). Nightshelf's seconds are those of choosing, fitting twice, judging and writing all lists, as in a night.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[2]
COMPARE = CHECKOUT / "build" / "compare" / "bin" / "python"
K, LONGEST = 10, 50


class Split(NamedTuple):
    """Rows are in the order of user and time.

    Attributes:
        user, item: (m,) numbers of what is learned from.
        place: (m,) an item's place in its user's sequence.
        wanted: (n,) each user's last item.
    """

    user: np.ndarray
    item: np.ndarray
    place: np.ndarray
    wanted: np.ndarray

    @classmethod
    def read(cls, sequences: Path) -> Split:
        lines = [line.split()[1:] for line in sequences.read_text().splitlines() if line.strip()]
        _, number = np.unique([item for line in lines for item in line], return_inverse=True)
        length = np.array([len(line) for line in lines])
        user = np.repeat(np.arange(len(lines)), length)
        last = np.cumsum(length) - 1
        known = np.ones(len(user), bool)
        known[last] = False
        place = np.arange(len(user)) - np.repeat(last + 1 - length, length)
        return cls(user[known], number[known], place[known], number[last])

    def accuracy(self, lists: np.ndarray) -> dict[str, float]:
        """Of (n, K) item numbers, best first, -1 where there is none."""
        items = max(self.item.max(), self.wanted.max()) + 1
        had = np.isin(np.arange(len(self.wanted)) * items + self.wanted, self.user * items + self.item)
        row, rank = np.nonzero(lists[~had] == self.wanted[~had, None])
        del row
        return {"recall@10": len(rank) / (~had).sum(), "ndcg@10": float((1 / np.log2(rank + 2)).sum() / (~had).sum())}


Asked = Callable[[], np.ndarray]


def implicit_model(model: Any, split: Split) -> Asked:
    import scipy.sparse as sp

    users, items = len(split.wanted), int(max(split.item.max(), split.wanted.max())) + 1
    wanted = sp.csr_matrix((np.ones(len(split.user), np.float32), (split.user, split.item)), (users, items))
    wanted.data[:] = 1
    model.fit(wanted, show_progress=False)
    return lambda: model.recommend(np.arange(users), wanted, N=K)[0]


def implicit_als(split: Split, epochs: int) -> Asked:
    from implicit.als import AlternatingLeastSquares

    return implicit_model(AlternatingLeastSquares(factors=256, random_state=20), split)


def implicit_bpr(split: Split, epochs: int) -> Asked:
    from implicit.bpr import BayesianPersonalizedRanking

    return implicit_model(BayesianPersonalizedRanking(random_state=20, num_threads=1), split)


def rectools_sasrec(split: Split, epochs: int) -> Asked:
    import pandas as pd
    from pytorch_lightning import seed_everything
    from rectools.dataset import Dataset
    from rectools.models import SASRecModel

    seed_everything(20)
    rows = pd.DataFrame({"user_id": split.user, "item_id": split.item, "weight": 1.0})
    dataset = Dataset.construct(rows.assign(datetime=pd.Timestamp("2026-01-01") + pd.to_timedelta(split.place, "D")))
    model = SASRecModel(session_max_len=LONGEST, epochs=epochs, deterministic=True)
    model.fit(dataset)

    def ask() -> np.ndarray:
        found = model.recommend(np.unique(split.user), dataset, K, filter_viewed=True)
        return as_lists(found["user_id"], found["rank"] - 1, found["item_id"], len(split.wanted))

    return ask


def lenskit_item_knn(split: Split, epochs: int) -> Asked:
    import pandas as pd
    from lenskit.batch import recommend
    from lenskit.data import from_interactions_df
    from lenskit.knn import ItemKNNScorer
    from lenskit.pipeline import topn_pipeline

    rows = pd.DataFrame({"user_id": split.user, "item_id": split.item}).drop_duplicates()
    pipeline = topn_pipeline(ItemKNNScorer(feedback="implicit"), n=K)
    pipeline.train(from_interactions_df(rows))

    def ask() -> np.ndarray:
        found = recommend(pipeline, np.unique(split.user).tolist(), K).to_df()
        return as_lists(found["user_id"], found["rank"] - 1, found["item_id"], len(split.wanted))

    return ask


def as_lists(user: Any, place: Any, item: Any, users: int) -> np.ndarray:
    lists = np.full((users, K), -1)
    lists[np.asarray(user, int), np.asarray(place, int)] = item
    return lists


WAYS: dict[str, tuple[Path, Callable[[Split, int], Asked]]] = {
    "implicit_als": (Path(sys.executable), implicit_als),
    "implicit_bpr": (Path(sys.executable), implicit_bpr),
    "lenskit_item_knn": (COMPARE, lenskit_item_knn),
    "rectools_sasrec": (COMPARE, rectools_sasrec),
}


def measured(way: str, sequences: Path, epochs: int) -> dict[str, float]:
    """The figures of one package, in this process."""
    split = Split.read(sequences)
    began = time.perf_counter()
    ask = WAYS[way][1](split, epochs)
    fitted = time.perf_counter()
    lists = ask()
    seconds = {"fit_seconds": fitted - began, "score_seconds": time.perf_counter() - fitted}
    # getrusage would begin with the parent's peak
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024
    return split.accuracy(lists) | seconds | {"peak_mb": peak}


def apart(command: list[str]) -> dict[str, float]:
    """The figures that a process prints last."""
    done = subprocess.run(command, cwd=CHECKOUT, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"}, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: failed with {done.returncode}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequences", type=Path)
    parser.add_argument("--users", type=int, help="only the first so many of the file")
    parser.add_argument("--epochs", type=int, default=3, help="of RecTools' SASRec; its default is 3")
    parser.add_argument("--only", nargs="+", choices=[*WAYS, "nightshelf"], default=[*WAYS, "nightshelf"])
    parser.add_argument("--way", choices=[*WAYS], help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        print(json.dumps(measured(asked.way, asked.sequences, asked.epochs)))
        return 0
    with tempfile.TemporaryDirectory() as place:
        sequences = asked.sequences.resolve()
        if asked.users:
            sequences = Path(place, "sequences.txt")
            sequences.write_text("".join(asked.sequences.read_text().splitlines(keepends=True)[: asked.users]))
        print(f"{'':20}{'Recall@10':>10}{'NDCG@10':>10}{'fitting s':>11}{'lists s':>9}{'peak MB':>9}")
        for way in asked.only:
            if way == "nightshelf":
                figures = apart([sys.executable, "-m", "tests.benchmarks.bench_sequences", str(sequences)])
            else:
                module = [str(WAYS[way][0]), "-m", "tests.benchmarks.bench_side_by_side"]
                figures = apart([*module, str(sequences), "--way", way, "--epochs", str(asked.epochs)])
            print(
                f"{way:20}{figures['recall@10']:10.4f}{figures['ndcg@10']:10.4f}"
                f"{figures['fit_seconds']:11.1f}{figures['score_seconds']:9.1f}{figures['peak_mb']:9.0f}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
