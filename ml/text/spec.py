"""What the platform has to know of the models that read reviews."""

from __future__ import annotations

from pydantic import BaseModel, Field

from ml.model_spec import ModelSpec, ReportTable
from ml.text.aspects_config import AspectsConfig
from ml.text.sentiment_config import SentimentConfig


class OpinionSettings(BaseModel):
    """What dbt is told when it sums up the sentiment of reviews by product."""

    sentiment_alert_fdr: float = Field(
        0.05, gt=0, le=0.5, description="Share of the alerts about falling reviews that may be false, over all products tested in a night."
    )
    sentiment_alert_drop: float = Field(
        0.1, ge=0, le=2, description="Fall of a product's recent mean score below its earlier mean worth an alert, if beyond chance."
    )
    sentiment_half_life_days: float = Field(365, gt=0, le=36500, description="Age at which a review counts half in a product's mean score.")
    least_sentiment: float = Field(
        -1, ge=-1, le=1, description="Mean score of its reviews below which a product is not recommended; at -1 none is kept out."
    )
    least_sentiment_reviews: int = Field(
        10, ge=1, le=1_000_000, description="Reviews below which a product is not kept out for their score."
    )
    sentiment_recent_days: int = Field(30, ge=1, le=3650, description="Days that count as recent in a product's sentiment.")


ALERTS = """
    WITH alerts AS (
        SELECT * FROM serving.sentiment_alerts WHERE cleared_at IS NULL OR cleared_at >= $as_of
    ), said AS (
        SELECT product_id, array_agg(left(text, 300) || if(length(text) > 300, ' …', '') ORDER BY score, review_id)[:3] AS texts
        FROM features.reviews JOIN serving.review_sentiment USING (review_id, product_id)
        WHERE score < 0 AND reviewed_at >= $as_of - to_days($sentiment_recent_days) AND product_id IN (SELECT product_id FROM alerts)
        GROUP BY product_id
    )
    SELECT coalesce(title, product_id) AS product, texts AS "what buyers say", raised_at::DATE AS raised, round(score_before, 2) AS before,
        round(score_then, 2) AS "then", round(recent_score, 2) AS now, unhappy_then || ' of ' || reviews_then AS unhappy,
        format('{:.1e}', alerts.p_value) AS p, cleared_because AS cleared
    FROM alerts LEFT JOIN features.products USING (product_id) LEFT JOIN said USING (product_id)
        LEFT JOIN serving.product_sentiment USING (product_id)
    ORDER BY cleared_at NULLS FIRST, score_then - score_before, product_id, raised_at LIMIT 25"""

SUSPECTS = """
    SELECT replace(reason, '_', ' ') AS reason, count(*) AS reviews, count(DISTINCT product_id) AS products
    FROM serving.suspect_reviews GROUP BY reason ORDER BY reason"""

SPECS = (
    ModelSpec(
        name="sentiment",
        title="Fit, evaluate and keep the sentiment model; read the new reviews with it.",
        model="ml.text.sentiment:SentimentModel",
        config=SentimentConfig,
        reads=("reviews", "tickets"),
        writes=("review_sentiment", "ticket_sentiment"),
        prefix="sentiment_",
        settings=("min_reviews", "train_minutes", "regime", "max_train_reviews", "epochs", "max_tokens", "rescored_reviews"),
        shared={"encoder": "encoder", "seed": "seed", "threads": "threads"},
        sql_settings=OpinionSettings,
        report=(
            ReportTable("Sentiment alerts", ALERTS, if_empty="No product's buyers have become unhappier."),
            ReportTable("Suspect reviews", SUSPECTS),
        ),
        memory_gb=4,
        hours=6,
    ),
    ModelSpec(
        name="aspects",
        title="Find what reviews praise and blame about each product.",
        model="ml.text.aspect_model:AspectModel",
        config=AspectsConfig,
        reads=("reviews",),
        writes=("product_aspects",),
        shared={"encoder": "encoder", "min_reviews": "sentiment_min_reviews", "seed": "seed", "threads": "threads"},
    ),
)
