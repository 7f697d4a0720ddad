"""Leave-one-out on a file of sequences, as papers report it, by the recommender a night runs and with its default settings.

    make bench-recommend SEQUENCES=<file> [ATTRIBUTES=<json>]

A line of the file is a user and the user's items in the order of time, `user item item item ...`; the JSON is item -> list of attribute
numbers. They become a feature snapshot with made-up times: a user's k-th item from the end happens k days before the end, so that the
split by time is leave-one-out: the test day holds every user's last item, the validation day the last but one. Attributes become words of
the products' texts. Then a night's work is done: choices on the validation day by candidates that know the days before it, a fit on all
before the test day, the judging of all users on the test day (asked with their history before it, all items ranked, those in the history
left out), a fit on everything, all lists. Ends with one JSON line. Users whose last item is in their history already are not judged.

Three ways are judged, all asked with the last item but one:

    train only     the blend of candidates fitted on all but the last two items; the last but one chose the weights and was learned from by
                   nothing, as in most papers. This is the figure to compare with theirs.
    second stage   the same candidates, ordered by trees that learned from the last items but one, where these order better
    as a night     the candidates fitted once more, on all but the last item, as a night does before its test days

With --sequence-alone, only the sequence model is fitted, once, on all before the test day, and judged by itself.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from ml.nightly_model import BEFORE_TEST, Evaluation
from ml.recommend.candidates.contract import Training
from ml.recommend.candidates.popularity import Popularity
from ml.recommend.candidates.sequence import SequenceModel
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.customers import active_customers
from ml.recommend.data.histories import read_history
from ml.recommend.data.holdouts import evaluated_users, holdout_of, known_products
from ml.recommend.data.popularity import read_popularity
from ml.recommend.data.snapshot import Snapshot
from ml.recommend.evaluation.evaluate import evaluate_lists
from ml.recommend.ranking.scoring import ListScorer
from ml.recommend.recommender import Recommender

END = "timestamp '2026-01-01'"
NAMES = ("recall@10", "ndcg@10")


def write_snapshot(sequences: Path, attributes: Path | None, folder: Path) -> int:
    """Writes the snapshot; returns the number of users.

    Raises:
        ValueError: the file holds a line that is not a user and at least one item.
    """
    lines = [line.split() for line in sequences.read_text().splitlines() if line.strip()]
    if short := [" ".join(line) for line in lines if len(line) < 2]:
        raise ValueError(f"{sequences}: {len(short)} lines without items, such as {short[0]!r}")
    tags: Mapping[str, Sequence[object]] = json.loads(attributes.read_text()) if attributes else {}
    lengths = np.array([len(line) - 1 for line in lines])
    # an item twice in a sequence is two rows; the number of the row orders those of one user
    rows = pa.table(
        {
            "customer_id": pa.array([line[0] for line in lines]).take(pa.array(np.repeat(np.arange(len(lines)), lengths))),
            "product_id": pa.array([item for line in lines for item in line[1:]]),
            "back": np.concatenate([np.arange(length, 0, -1) for length in lengths]),
        }
    )
    words = pa.table(
        {
            "product_id": pa.array(list(tags), pa.string()),
            "text": pa.array([" ".join(f"attribute{tag}" for tag in given) for given in tags.values()], pa.string()),
        }
    )
    tables = {
        "splits": f"""
            select split, {END} - to_days(since) as starts_at, {END} - to_days(until) as ends_at
            from (values ('train', (select max(back) from rows), 2), ('validation', 2, 1), ('test', 1, 0)) as t (split, since, until)""",
        "interactions": f"""
            select customer_id, product_id, 'purchase' as event_type, {END} - to_days(back) as occurred_at, 1.0::double as event_weight,
                1.0::double as weight, true as is_target, case back when 1 then 'test' when 2 then 'validation' else 'train' end as split
            from rows order by all""",
        "owned": f"select customer_id, product_id, {END} - to_days(max(back)) as first_at from rows group by all order by all",
        "labels": """
            select customer_id, product_id, split, occurred_at as first_at from ({interactions}) where split <> 'train'
            order by all""",
        "products": f"""
            select product_id, product_id as shown_product_id,
                null::varchar as title, null::varchar as category, null::varchar as brand, 1.0::double as price,
                true as is_available, false as is_repeatable, false as stated_repeatable,
                coalesce(text, '') as text, md5(coalesce(text, '')) as text_hash,
                {END} - to_days(max(back) + 1) as created_at, {END} - to_days(max(back) + 1) as first_seen_at
            from (select product_id, (select max(back) from rows) as back from rows group by product_id) left join words using (product_id)
            group by product_id, text order by product_id""",
        "customers": f"""
            select customer_id, 'all' as segment, true as consent, count(*) as interactions, {END} - to_days(min(back)) as last_seen_at,
                {END} - to_days(max(back)) as registered_at
            from rows group by customer_id order by customer_id""",
    }
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as db:
        db.register("rows", rows)
        db.register("words", words)
        for name, query in tables.items():
            db.sql(query.format(interactions=tables["interactions"].replace("order by all", ""))).write_parquet(
                str(folder / f"{name}.parquet"), compression="zstd"
            )
    return len(lines)


def measure(features: Path, users: int, scratch: Path) -> dict[str, float]:
    """A night's work on the snapshot, and its figures."""
    config = RecommenderConfig(max_judged_customers=users)
    cache = scratch / "cache"
    snapshot = Snapshot(features, config)
    began = time.perf_counter()
    judged = Recommender(config)
    judged.choose(snapshot, cache)
    chosen = time.perf_counter()
    ways = {}
    if judged.choice.second_stage:
        ways["second stage"] = accuracy(judged.evaluate(features, "test", cache))
    ways["train only"] = accuracy(without_ranker(judged).evaluate(features, "test", cache))
    asked = time.perf_counter()
    judged.fit_chosen(snapshot, BEFORE_TEST, cache)
    fitted = time.perf_counter()
    evaluation = judged.evaluate(features, "test", cache)
    evaluated = time.perf_counter()
    ways["as a night"] = accuracy(evaluation)
    choice = judged.choice
    print(f"chosen on {choice.customers} users' last item but one (NDCG@10 {choice.ndcg:.4f}): {dict(choice.weights)}")
    for way in ("train only", "second stage", "as a night"):
        if way in ways:
            print(f"{way:13}" + ", ".join(f"{name} {value:.4f}" for name, value in ways[way].items()))
    popularity = {metric.name: metric.baseline_value for metric in evaluation.metrics}
    print(f"{'popularity':13}" + ", ".join(f"{name} {popularity[name]:.4f}" for name in NAMES))
    print(f"{len(evaluation.unit_ids)} of {users} users judged")
    served = Recommender(config)
    served.refit(features, cache, judged)
    refitted = time.perf_counter()
    rows = served.predict(features, scratch / "predictions", cache)
    fits = (chosen - began, fitted - asked, refitted - evaluated)
    print("choosing {:.0f} s, fitting {:.0f} s, fitting on everything {:.0f} s".format(*fits))
    print(f"{rows['recommendations']} recommendations and {rows['similar_products']} similar products")
    return {
        **{f"train_only_{name}": round(value, 5) for name, value in ways["train only"].items()},
        **{name: round(value, 5) for name, value in ways["as a night"].items()},
        "fit_seconds": round(sum(fits), 1),
        "score_seconds": round(evaluated - fitted + time.perf_counter() - refitted, 1),
        "peak_mb": peak_mb(),
    }


def without_ranker(model: Recommender) -> Recommender:
    """The same candidates by their weights alone."""
    blend = Recommender(model.config)
    blend.choice = replace(model.choice, second_stage=False)
    blend.generators, blend.products = model.generators, model.products
    return blend


def accuracy(evaluation: Evaluation) -> dict[str, float]:
    return {metric.name: metric.value for metric in evaluation.metrics if metric.name in NAMES}


def measure_sequence_model(features: Path, users: int, cache: Path) -> dict[str, float]:
    """The sequence model by itself: fitted on what lies before the test day, and what its lists are worth."""
    config = RecommenderConfig(max_judged_customers=users)
    snapshot = Snapshot(features, config)
    holdout = holdout_of(snapshot, "test")
    popularity = Popularity(config)
    popularity.worth = read_popularity(snapshot, config.half_life_days, holdout.starts_at)["all"]
    history = read_history(snapshot, active_customers(snapshot, holdout.starts_at), holdout.starts_at)
    known = known_products(snapshot, holdout)
    model = SequenceModel(config)
    began = time.perf_counter()
    model.fit(Training(snapshot.catalogue, history, popularity.worth, cache))
    fitted = time.perf_counter()
    alone, baseline = (
        ListScorer([candidate], np.ones(1), np.ones(len(known), np.float32), popularity.worth, known, config)
        for candidate in (model, popularity)
    )
    evaluation = evaluate_lists(snapshot, holdout, "test", alone, {"popularity": baseline}, evaluated_users(snapshot, holdout, users))
    figures = {metric.name: metric.value for metric in evaluation.metrics}
    return {
        "recall@10": round(figures["recall@10"], 5),
        "ndcg@10": round(figures["ndcg@10"], 5),
        "fit_seconds": round(fitted - began, 1),
        "score_seconds": round(time.perf_counter() - fitted, 1),
        "peak_mb": peak_mb(),
    }


def peak_mb() -> int:
    """The process's peak memory so far, megabytes."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10))


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-recommend", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequences", type=Path)
    parser.add_argument("--attributes", type=Path)
    parser.add_argument("--sequence-alone", action="store_true")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    with tempfile.TemporaryDirectory() as scratch:
        users = write_snapshot(given.sequences, given.attributes, Path(scratch) / "features")
        measured = measure_sequence_model if given.sequence_alone else measure
        print(json.dumps(measured(Path(scratch) / "features", users, Path(scratch))))


if __name__ == "__main__":
    main()
