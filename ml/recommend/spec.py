"""What the platform has to know of the recommender."""

from __future__ import annotations

from ml.model_spec import ModelSpec, Range, ReportTable
from ml.recommend.config import RecommenderConfig

STRATEGIES = """
    SELECT strategy, count(*) AS places, count(*) FILTER (rank = 1) AS "first places", count(DISTINCT product_id) AS products
    FROM serving.recommendations GROUP BY strategy ORDER BY places DESC, strategy"""

SPECS = (
    ModelSpec(
        name="recommender",
        title="Fit, evaluate and keep the recommender; make everyone's list.",
        model="ml.recommend.recommender:Recommender",
        config=RecommenderConfig,
        reads=(
            "customers",
            "dismissed",
            "interactions",
            "labels",
            "owned",
            "products",
            "review_scores",
            "rules",
            "segments",
            "sentiment_rules",
            "splits",
        ),
        writes=("recommendations", "recommendations_default", "recommendations_by_category", "similar_products"),
        settings=(
            "list_length",
            "language",
            "exploration_share",
            "new_product_days",
            "similar_length",
            "diversity",
            "category_lists",
            "category_list_length",
            "score_chunk_rows",
        ),
        shared={
            "memory_gb": "warehouse_memory_gb",
            "half_life_days": "half_life_days",
            "repeatable_share": "repeatable_share",
            "review_half_life_days": "sentiment_half_life_days",
            "encoder": "encoder",
            "seed": "seed",
            "threads": "threads",
        },
        search={
            "fade": Range(0.5, 1.0),
            "knn_shrinkage": Range(1, 200, log=True),
            "ease_ridge": Range(20, 5000, log=True),
            "transitions_ridge": Range(10, 3000, log=True),
            "transitions_fade": Range(0.3, 1.0),
            "repeat_half_life_days": Range(5, 365, log=True),
            "interest_half_life_days": Range(1, 60, log=True),
            "als_confidence": Range(1, 100, log=True),
            "als_ridge": Range(1, 100, log=True),
            "sequence_dropout": Range(0.1, 0.7),
            "sequence_rate": Range(3e-4, 3e-3, log=True),
            "ranker_rate": Range(0.02, 0.2, log=True),
        },
        report=(ReportTable("What the lists are made of", STRATEGIES),),
        memory_gb=6,
        hours=6,
    ),
)
