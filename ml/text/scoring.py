"""Scoring a night's reviews: only those that are new or whose text or model changed; the rest is taken over."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml.text.reviews import LABELS, clean_sql, open_reader
from ml.text.sentiment_config import SentimentConfig

log = logging.getLogger(__name__)

FILE = "review_sentiment"
SCHEMA = pa.schema(
    [
        ("review_id", pa.string()),
        ("product_id", pa.string()),
        ("sentiment", pa.string()),
        ("score", pa.float64()),
        ("p_negative", pa.float64()),
        ("p_neutral", pa.float64()),
        ("p_positive", pa.float64()),
        ("model_version", pa.string()),
        ("text_hash", pa.string()),
    ]
)
DECIMALS = 6


class Scorer(Protocol):
    """What scoring needs of a model."""

    config: SentimentConfig

    @property
    def version(self) -> str: ...

    def score(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]: ...


def write_scores(model: Scorer, features: Path, out: Path, previous: Path | None) -> dict[str, int]:
    """Write out/review_sentiment.parquet, sorted by review_id; rows written, and how many of them were scored now.

    Args:
        previous: an earlier night's predictions; a row of the same review, text and model version is taken from there.
    """
    version, new = model.version, 0
    with open_reader(features, model.config.threads) as connection:
        earlier = previous / f"{FILE}.parquet" if previous else None
        if earlier and earlier.exists():
            connection.read_parquet(str(earlier)).create_view("earlier")
        else:
            connection.register("earlier", SCHEMA.empty_table())
        text = clean_sql("reviews.text")
        connection.execute(
            f"""
            create temp table kept as
            select review_id, reviews.product_id, sentiment, score, p_negative, p_neutral, p_positive, model_version, text_hash
            from reviews join earlier using (review_id, text_hash)
            where model_version = $version and {text} is not null
            """,
            {"version": version, "max_chars": model.config.max_chars},
        )
        waiting = connection.execute(
            f"""
            select review_id, product_id, {text} as text, text_hash from reviews
            where {text} is not null and review_id not in (select review_id from kept)
            order by review_id
            """,
            {"max_chars": model.config.max_chars},
        ).to_arrow_reader(model.config.score_chunk_rows)
        scored = [_scored(model, version, pa.Table.from_batches([batch])) for batch in waiting if batch.num_rows]
        new = sum(table.num_rows for table in scored)
        kept = connection.execute("select * from kept").to_arrow_table().cast(SCHEMA)
    table = pa.concat_tables([kept, *scored]).sort_by("review_id")
    out.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, out / f"{FILE}.parquet")
    log.info("%d reviews with text: %d scored by model %s, %d taken over", table.num_rows, new, version, table.num_rows - new)
    return {FILE: table.num_rows, "scored": new}


def _scored(model: Scorer, version: str, reviews: pa.Table) -> pa.Table:
    probabilities, decided = model.score(reviews["text"].to_pylist())
    probabilities = probabilities.round(DECIMALS)
    columns = {
        "review_id": reviews["review_id"],
        "product_id": reviews["product_id"],
        "sentiment": pa.array(np.array(LABELS)[decided]),
        "score": pa.array((probabilities[:, 2] - probabilities[:, 0]).round(DECIMALS)),
        **{f"p_{label}": pa.array(probabilities[:, place]) for place, label in enumerate(LABELS)},
        "model_version": pa.array([version] * len(reviews)),
        "text_hash": reviews["text_hash"],
    }
    return pa.table(columns).cast(SCHEMA)
