"""Scoring a night's reviews and tickets.

Texts that are new or changed are scored. Of those that an earlier model scored, a night scores a limited number again, whole products in
turn. The other scores are reused, so that the cost of a night grows with what is new and not with all there is.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml.text.reviews import LABELS, clean_sql, open_reader
from ml.text.sentiment_config import SentimentConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Written:
    """A kind of text: its feature file, its key, and its file of predictions."""

    features: str
    key: str
    predictions: str

    @property
    def schema(self) -> pa.Schema:
        fields = {
            self.key: pa.string(),
            "product_id": pa.string(),
            "sentiment": pa.string(),
            "score": pa.float64(),
            "p_negative": pa.float64(),
            "p_neutral": pa.float64(),
            "p_positive": pa.float64(),
            "model_version": pa.string(),
            "text_hash": pa.string(),
            "nights_since": pa.int32(),  # since it was scored, if by another model than tonight's; else 0
        }
        return pa.schema(fields)


REVIEWS = Written("reviews", "review_id", "review_sentiment")
TICKETS = Written("tickets", "ticket_id", "ticket_sentiment")
DECIMALS = 6


class SentimentScorer(Protocol):
    """What scoring needs from a model."""

    config: SentimentConfig

    @property
    def version(self) -> str: ...

    def score(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]: ...


def write_scores(model: SentimentScorer, features: Path, out: Path, previous: Path | None) -> dict[str, int]:
    """Write out/review_sentiment.parquet, and out/ticket_sentiment.parquet where the shop has tickets, each sorted by its key.

    Args:
        previous: an earlier night's predictions. A row of the same key and text is reused, unless another model scored it and its
            product is among those with the oldest scores, which have `config.rescored_reviews` reviews together.

    Returns:
        The number of rows of each file, and under 'scored' how many of all rows were scored now.
    """
    out.mkdir(parents=True, exist_ok=True)
    version, rows, new = model.version, {}, 0
    for written in (REVIEWS, TICKETS):
        if not (features / f"{written.features}.parquet").exists():
            continue
        table, scored = _scores(model, version, written, features, previous)
        pq.write_table(table, out / f"{written.predictions}.parquet")
        log.info("%d %s with text: %d scored by model %s, the others reused", table.num_rows, written.features, scored, version)
        rows[written.predictions] = table.num_rows
        new += scored
    return rows | {"scored": new}


def _scores(model: SentimentScorer, version: str, written: Written, features: Path, previous: Path | None) -> tuple[pa.Table, int]:
    """The scores of all texts of a kind, and how many of them were not reused."""
    key, schema = written.key, written.schema
    with open_reader(features, model.config.threads) as connection:
        connection.read_parquet(str(features / f"{written.features}.parquet")).create_view("texts")
        earlier = previous / f"{written.predictions}.parquet" if previous else None
        if earlier and earlier.exists() and pq.read_schema(earlier).names == schema.names:
            connection.read_parquet(str(earlier)).create_view("earlier")
        else:
            connection.register("earlier", schema.empty_table())
        connection.execute(
            f"""
            create temp table kept as
            with known as (
                select
                    {key}, texts.product_id, sentiment, score, p_negative, p_neutral, p_positive, model_version, text_hash,
                    if(model_version = $version, 0, nights_since + 1)::integer as nights_since
                from texts join earlier using ({key}, text_hash)
            ),
            outdated as (
                select
                    coalesce(product_id, {key}) as product,  -- a ticket may be about none
                    sum(count(*)) over (order by max(nights_since) desc, product) - count(*) as before
                from known where nights_since > 0 group by product
            )
            select known.* from known left join outdated on coalesce(known.product_id, known.{key}) = outdated.product
            where nights_since = 0 or before >= $rescored
            """,
            {"version": version, "rescored": model.config.rescored_reviews},
        )
        # a table of its own, because a single query would also clean the texts whose scores are reused
        connection.execute(
            f"create temp table waiting as select {key}, product_id, text, text_hash from texts anti join kept using ({key})"
        )
        text = clean_sql("text")
        waiting = connection.execute(
            f"select {key}, product_id, {text} as text, text_hash from waiting where {text} is not null order by {key}",
            {"max_chars": model.config.max_chars},
        ).to_arrow_reader(model.config.score_chunk_rows)
        scored = [_scored(model, version, written, pa.Table.from_batches([batch])) for batch in waiting if batch.num_rows]
        kept = connection.execute("select * from kept").to_arrow_table().cast(schema)
    return pa.concat_tables([kept, *scored]).sort_by(key), sum(table.num_rows for table in scored)


def _scored(model: SentimentScorer, version: str, written: Written, texts: pa.Table) -> pa.Table:
    probabilities, decided = model.score(texts["text"].to_pylist())
    probabilities = probabilities.round(DECIMALS)
    columns = {
        written.key: texts[written.key],
        "product_id": texts["product_id"],
        "sentiment": pa.array(np.array(LABELS)[decided]),
        "score": pa.array((probabilities[:, 2] - probabilities[:, 0]).round(DECIMALS)),
        **{f"p_{label}": pa.array(probabilities[:, place]) for place, label in enumerate(LABELS)},
        "model_version": pa.array([version] * len(texts)),
        "text_hash": texts["text_hash"],
        "nights_since": pa.array(np.zeros(len(texts), np.int32)),
    }
    return pa.table(columns).cast(written.schema)
