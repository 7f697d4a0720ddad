"""A shop's reviews, read from the feature snapshot: cleaned, cut, and sampled where there are more than a night trains on.

Reviews are hostile input. They are cut to a length before anything parses them. Control characters, marks that change the direction of
writing and zero-width characters become blanks. A text of which nothing remains counts as no text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from scipy.special import log_softmax, logsumexp

LABELS = ("negative", "neutral", "positive")
STARS = ("1 star", "2 stars", "3 stars", "4 stars", "5 stars")
CLASS_OF_STARS = np.array([0, 0, 1, 2, 2])
STARS_OF_CLASS = np.array([0, 2, 4])  # the clearest ones

_INVISIBLE = "[\\x00-\\x1F\\x7F-\\x{9F}\\x{AD}\\x{200B}-\\x{200F}\\x{2028}-\\x{202E}\\x{2060}-\\x{2069}\\x{FEFF}]+"


@dataclass(frozen=True)
class Reviews:
    """Reviews in a fixed order.

    Attributes:
        keys: table of review_id and text_hash (n rows), which identify the review and its text.
        texts: (n,) cleaned texts.
        labels: (n,) int64 indices into LABELS.
        stars: (n,) int64 indices into STARS, of the class in `labels`; -1 where unknown or of another class.
        weights: (n,) float64 weight of a review in training: 1, or less for suspect reviews.
    """

    keys: pa.Table
    texts: list[str]
    labels: np.ndarray
    stars: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def class_counts(self) -> np.ndarray:
        """(3,) reviews by class, in the order of LABELS."""
        return np.bincount(self.labels, minlength=len(LABELS))

    def targets(self, of_stars: bool) -> np.ndarray:
        """(n,) targets of a classifier: stars if it predicts them (the class's clearest ones where unknown), else labels."""
        return np.where(self.stars >= 0, self.stars, STARS_OF_CLASS[self.labels]) if of_stars else self.labels

    def rows(self, which: np.ndarray) -> Reviews:
        """The reviews of some row numbers, in their order."""
        texts = [self.texts[row] for row in which]
        return Reviews(self.keys.take(which), texts, self.labels[which], self.stars[which], self.weights[which])

    def __add__(self, other: Reviews) -> Reviews:
        keys = pa.concat_tables([self.keys, other.keys])
        arrays = ((self.labels, other.labels), (self.stars, other.stars), (self.weights, other.weights))
        return Reviews(keys, self.texts + other.texts, *map(np.concatenate, arrays))


def class_log_probabilities(outputs: np.ndarray) -> np.ndarray:
    """(n, classes) log-probabilities over LABELS from (n, stars or classes) logits. A class has the probability of its stars together."""
    own = log_softmax(outputs, axis=1)
    if outputs.shape[1] == len(LABELS):
        return own
    return np.stack([logsumexp(own[:, label == CLASS_OF_STARS], axis=1) for label in range(len(LABELS))], axis=1)


def clean_sql(column: str) -> str:
    """SQL that cuts a text column to $max_chars characters, removes invisible ones and merges blanks; NULL if nothing remains."""
    return f"nullif(trim(regexp_replace(regexp_replace(left({column}, $max_chars), '{_INVISIBLE}', ' ', 'g'), '\\s+', ' ', 'g')), '')"


def open_reader(features: Path, threads: int) -> duckdb.DuckDBPyConnection:
    """A private in-memory connection with the view `reviews` over the snapshot's reviews."""
    connection = duckdb.connect(config={"threads": threads})
    connection.execute("set timezone = 'UTC'")
    connection.execute("set enable_progress_bar = false")
    connection.read_parquet(str(features / "reviews.parquet")).create_view("reviews")
    return connection


def count_labelled(features: Path, splits: Sequence[str], max_chars: int, threads: int) -> dict[str, int]:
    """Labelled reviews with text by label, in the order of LABELS, zeros included."""
    with open_reader(features, threads) as connection:
        query = f"""
            select label, count(*) from reviews
            where label is not null and list_contains($splits, split) and {clean_sql("text")} is not null
            group by label
        """
        counts = dict(connection.execute(query, {"splits": list(splits), "max_chars": max_chars}).fetchall())
    return {label: int(counts.get(label, 0)) for label in LABELS}


def first_labelled(features: Path, split: str) -> datetime | None:
    """The moment of a split's first labelled review, UTC; None where there is none."""
    with open_reader(features, threads=1) as connection:
        query = "select min(reviewed_at) from reviews where label is not null and split = ?"
        row = connection.execute(query, [split]).fetchone()
    return row[0] if row else None


def count_seen(features: Path, splits: Sequence[str], seen: pa.Table) -> int:
    """How many reviews of some splits are among the keys (review_id, text_hash) of those a model was trained on, with any text."""
    with open_reader(features, threads=1) as connection:
        connection.register("seen", seen)
        query = "select count(*) from reviews semi join seen using (review_id) where list_contains(?, split)"
        row = connection.execute(query, [list(splits)]).fetchone()
    return int(row[0]) if row else 0


def read_labelled(
    features: Path,
    splits: Sequence[str],
    *,
    max_chars: int,
    threads: int,
    seed: int,
    limit: int | None = None,
    seen: pa.Table | None = None,
    only_seen: bool = False,
) -> Reviews:
    """Labelled reviews with text of some splits, ordered by review_id.

    Args:
        limit: most reviews to read. Where there are more, classes share it in proportion to the square roots of their sizes, which
            favours rare classes. Half of a class are its latest reviews, half are drawn from the rest by a hash.
        seen: keys (review_id, text_hash) of reviews that a model was trained on. They are left out; with `only_seen` the others are.
        seed: seed of the draw.
    """
    with open_reader(features, threads) as connection:
        connection.register("seen", seen if seen is not None else _no_keys())
        connection.execute(
            f"""
            create temp table candidates as
            select review_id, text_hash, label, reviewed_at from reviews
            where label is not null and list_contains($splits, split) and {clean_sql("text")} is not null
              and ((review_id, text_hash) in (select (review_id, text_hash) from seen)) = $only_seen
            """,
            {"splits": list(splits), "max_chars": max_chars, "only_seen": only_seen},
        )
        counts = dict(connection.execute("select label, count(*) from candidates group by label").fetchall())
        quotas = share_out({label: counts.get(label, 0) for label in LABELS}, limit)
        connection.register(
            "quotas", pa.table({"label": LABELS, "quota": [quotas[label] for label in LABELS], "class": range(len(LABELS))})
        )
        table = connection.execute(
            f"""
            with by_age as (
                select *, row_number() over (partition by label order by reviewed_at desc, review_id) as age_rank
                from candidates join quotas using (label)
            ),
            drawn as (
                select *, row_number() over (
                    partition by label order by (age_rank > quota // 2), md5(review_id || $seed), review_id
                ) as place
                from by_age
            )
            select
                review_id,
                text_hash,
                {clean_sql("text")} as text,
                class,
                if(list_extract($class_of_stars, 1 + star) = class, star, -1) as star,
                weight
            from drawn join (
                select review_id, text_hash, text, {_star_sql(connection)} as star, {_weight_sql(connection)} as weight from reviews
            ) using (review_id, text_hash)
            where place <= quota
            order by review_id
            """,
            {"max_chars": max_chars, "seed": str(seed), "class_of_stars": CLASS_OF_STARS.tolist()},
        ).to_arrow_table()
    labels, stars = (table[name].to_numpy().astype(np.int64) for name in ("class", "star"))
    weights = table["weight"].to_numpy()
    return Reviews(table.select(["review_id", "text_hash"]), table["text"].to_pylist(), labels, stars, weights)


def most_reviews(features: Path, splits: Sequence[str], chars: int, max_chars: int, threads: int) -> int:
    """How many labelled reviews of average length hold `chars` characters, each cut to `max_chars`; at least one."""
    with open_reader(features, threads) as connection:
        query = "select avg(least(length(text), $max_chars)) from reviews where label is not null and list_contains($splits, split)"
        (mean,) = connection.execute(query, {"splits": list(splits), "max_chars": max_chars}).fetchone() or (None,)
    return max(1, int(chars / max(mean or 1.0, 1.0)))


def share_out(counts: Mapping[str, int], limit: int | None) -> dict[str, int]:
    """How many reviews each class gets of `limit`: all if they fit, else in proportion to the square roots of the counts.

    What a class cannot use goes to the others, from the rarest class up.
    """
    if limit is None or sum(counts.values()) <= limit:
        return dict(counts)
    quotas: dict[str, int] = {}
    left = limit
    waiting = sorted(counts, key=lambda label: (counts[label], label))
    while waiting:
        label = waiting[0]
        share = math.sqrt(counts[label]) / max(sum(math.sqrt(counts[name]) for name in waiting), 1e-12)
        quotas[label] = min(counts[label], round(left * share))
        left -= quotas[label]
        waiting.pop(0)
    return quotas


def _star_sql(connection: duckdb.DuckDBPyConnection) -> str:
    """SQL of a review's index into STARS; -1 without a rating, and where the snapshot has none at all."""
    has_ratings = "rating" in connection.table("reviews").columns
    return f"coalesce(least(greatest(round(rating), 1), {len(STARS)})::integer - 1, -1)" if has_ratings else "-1"


def _weight_sql(connection: duckdb.DuckDBPyConnection) -> str:
    """SQL of a review's weight; 1 where the snapshot has none."""
    return "weight" if "weight" in connection.table("reviews").columns else "1.0::double"


def _no_keys() -> pa.Table:
    return pa.table({"review_id": pa.array([], pa.string()), "text_hash": pa.array([], pa.string())})
