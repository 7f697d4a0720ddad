"""Whether texts without stars help when the model labels them itself and learns from that (pseudo-labels: Lee, 2013).

    python -m tests.benchmarks.bench_self_training FILE --text summary,reviewText --label overall --time unixReviewTime [--unrated 0.5]

A share of a file's training reviews loses its stars. A model is fitted to the others and labels those; what it is at least `--sure` of
joins the training reviews, with the clearest stars of its class, and a second model is fitted. A third sees all stars. Each goes the
nightly's own path and is judged on the same held-out reviews, beside the first with its 95 % interval. A JSON line each. What files and
labels may look like says review_files.py.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from include.settings import load_settings
from ml.text.calibration import macro_f1
from ml.text.reviews import LABELS, STARS_OF_CLASS
from ml.text.sentiment import SentimentModel
from ml.text.sentiment_config import SentimentConfig
from tests.benchmarks.bench_sentiment import macro_f1_difference, read_split
from tests.benchmarks.review_files import UnreadableReviews, add_file_arguments, write_snapshot

UNRATED = "split = 'train' and ('0x' || right(md5(text), 8))::bigint / 4294967296.0 < $unrated"


def lines(whole: Path, scratch: Path, config: SentimentConfig, unrated: float, sure: float) -> Iterator[dict[str, Any]]:
    rated, taught = scratch / "rated", scratch / "taught"
    reviews = whole / "reviews.parquet"
    kept = f"select * from read_parquet($reviews) where not ({UNRATED})"
    write(rated, kept, {"reviews": str(reviews), "unrated": unrated})
    first, decided = judged(rated, config)
    test = read_split(whole, ["test"], config)
    yield {"learned_from": "those with stars"} | figures(first, test.labels, decided, decided, config.seed)
    with duckdb.connect() as connection:
        query = f"select * from read_parquet($reviews) where {UNRATED} order by review_id"
        hidden = connection.execute(query, {"reviews": str(reviews), "unrated": unrated}).to_arrow_table()
    probabilities, guessed = first.score(hidden["text"].to_pylist())
    believed = np.flatnonzero(probabilities.max(axis=1) >= sure)
    columns = {"label": np.array(LABELS)[guessed], "rating": STARS_OF_CLASS[guessed] + 1}
    own = hidden
    for name, values in columns.items():
        place = own.column_names.index(name)
        own = own.set_column(place, name, pa.array(values).cast(own.schema.field(name).type))
    write(taught, f"{kept} union all by name select * from believed", {"reviews": str(reviews), "unrated": unrated}, own.take(believed))
    right = np.array(hidden["label"].to_pylist())[believed] == np.array(LABELS)[guessed[believed]]
    second, by_second = judged(taught, config)
    row = {"learned_from": "those and its own labels", "labelled": len(believed), "of": len(hidden), "right": round(float(right.mean()), 4)}
    yield row | figures(second, test.labels, by_second, decided, config.seed)
    third, by_third = judged(whole, config)
    yield {"learned_from": "all, with their stars"} | figures(third, test.labels, by_third, decided, config.seed)


def write(folder: Path, query: str, parameters: dict[str, Any], believed: pa.Table | None = None) -> None:
    folder.mkdir()
    with duckdb.connect() as connection:
        if believed is not None:
            connection.register("believed", believed)
        connection.execute(f"create table rows as {query}", parameters)
        connection.execute(f"copy (from rows order by review_id) to '{folder / 'reviews.parquet'}' (format parquet)")


def judged(features: Path, config: SentimentConfig) -> tuple[SentimentModel, np.ndarray]:
    """The model fitted to what lies before the test, and what it decides there."""
    model = SentimentModel(config)
    model.fit(features, features)
    return model, model.score(read_split(features, ["test"], config).texts)[1]


def figures(model: SentimentModel, labels: np.ndarray, decided: np.ndarray, first: np.ndarray, seed: int) -> dict[str, Any]:
    return {
        "chosen": model.chosen,
        "macro_f1": round(macro_f1(decided, labels, len(LABELS)), 4),
        "accuracy": round(float(np.mean(decided == labels)), 4),
        "macro_f1_over_first_95": macro_f1_difference(decided, first, labels, seed),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_file_arguments(parser)
    parser.add_argument("--unrated", type=float, default=0.5, help="share of the training reviews that loses its stars")
    parser.add_argument("--sure", type=float, default=0.9, help="probability from which the model's own label is believed")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as scratch:
        try:
            write_snapshot(given.reviews, given.text, given.label, given.time, Path(whole))
        except UnreadableReviews as error:
            sys.stderr.write(f"{error}\n")
            return 2
        for line in lines(Path(whole), Path(scratch), load_settings().of_model("sentiment"), given.unrated, given.sure):
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
