"""The list of models a night learns: a line each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from include.settings import Settings
from ml.nightly_model import NightlyModel
from ml.recommend.config import RecommenderConfig
from ml.recommend.recommender import Recommender
from ml.text.aspect_model import AspectModel, AspectsConfig
from ml.text.sentiment import SentimentModel
from ml.text.sentiment_config import SentimentConfig


@dataclass(frozen=True)
class ModelLine:
    """A model, the config it gets from the settings, and the prediction files it writes (without '.parquet')."""

    model: type[NightlyModel]
    config: Callable[[Settings], Any]
    writes: tuple[str, ...]


def sentiment_config(settings: Settings) -> SentimentConfig:
    return SentimentConfig(
        encoder=settings.encoder,
        min_reviews=settings.sentiment_min_reviews,
        regime=settings.sentiment_regime,
        max_train_reviews=settings.sentiment_max_train_reviews,
        train_minutes=settings.sentiment_train_minutes,
        epochs=settings.sentiment_epochs,
        max_tokens=settings.sentiment_max_tokens,
        rescored_reviews=settings.sentiment_rescored_reviews,
        seed=settings.seed,
        threads=settings.threads,
    )


def aspects_config(settings: Settings) -> AspectsConfig:
    return AspectsConfig(encoder=settings.encoder, min_reviews=settings.sentiment_min_reviews, seed=settings.seed, threads=settings.threads)


def recommender_config(settings: Settings) -> RecommenderConfig:
    return RecommenderConfig(
        list_length=settings.list_length,
        language=settings.language,
        exploration_share=settings.exploration_share,
        new_product_days=settings.new_product_days,
        similar_length=settings.similar_length,
        diversity=settings.diversity,
        category_lists=settings.category_lists,
        category_list_length=settings.category_list_length,
        score_chunk_rows=settings.score_chunk_rows,
        memory_gb=settings.warehouse_memory_gb,
        half_life_days=settings.half_life_days,
        repeatable_share=settings.repeatable_share,
        review_half_life_days=settings.sentiment_half_life_days,
        encoder=settings.encoder,
        seed=settings.seed,
        threads=settings.threads,
    )


MODELS: dict[str, ModelLine] = {
    line.model.name: line
    for line in (
        ModelLine(SentimentModel, sentiment_config, writes=("review_sentiment", "ticket_sentiment")),
        ModelLine(AspectModel, aspects_config, writes=("product_aspects",)),
        ModelLine(
            Recommender,
            recommender_config,
            writes=("recommendations", "recommendations_default", "recommendations_by_category", "similar_products"),
        ),
    )
}
