"""Settings of the recommender, as one typed object."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class RecommenderConfig(BaseModel):
    """What the recommender may be told. `spec.py` says which of it an installation may set; the defaults are what was measured best."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    list_length: int = Field(20, ge=1, le=200, description="Products in each customer's list.")
    language: Literal["en", "zh"] = Field("en", description="Language of the reasons in the lists: English or Chinese.")
    exploration_share: float = Field(
        0, ge=0, le=0.5, description="Share of a list's places kept for new products, drawn by chance; one place at least, unless it is 0."
    )
    new_product_days: int = Field(14, ge=0, le=3650, description="Days for which a product counts as new; one nobody knows always does.")
    similar_length: int = Field(10, ge=1, le=200, description="Products in each list of similar products.")
    similar_text_products: int = Field(
        20_000, ge=1, description="Products with whose texts one product is compared; a larger catalogue is searched category by category."
    )
    diversity: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Least share of its score that each further product of a category in a list loses; validation may choose more.",
    )
    category_lists: int = Field(3, ge=0, le=20, description="Categories a customer that get lists of their own; 0 means none.")
    category_list_length: int = Field(5, ge=1, le=200, description="Products in each list of a customer's category.")
    score_chunk_rows: int = Field(
        4096,
        ge=1,
        le=1_000_000,
        description="Most customers scored at once, fewer where the catalogue is large; the last digits of scores depend on it.",
    )
    score_chunk_mb: int = Field(128, ge=8, description="Most memory one block of scores may take, megabytes; each thread has one.")
    memory_gb: float = Field(2.0, ge=0.25, description="Memory DuckDB may use to read the snapshot before it spills to disk, gigabytes.")
    threads: int = Field(2, ge=1, le=256, description="Threads that reading, fitting and scoring may use.")
    seed: int = Field(20, ge=0, description="Seed of everything random: factors' start, samples of customers.")

    half_life_days: float = Field(
        60, gt=0, description="Days after which an event counts half for popularity, unless validation chooses others."
    )
    fade: float = Field(0.8, gt=0, le=1, description="Decay: the weight of a product relative to the customer's next later one.")
    max_history: int = Field(500, ge=1, description="Most recent distinct products of a customer that are read.")
    knn_shrinkage: float = Field(
        10.0, ge=0, description="Shrinkage of item-kNN's cosine: the higher, the less products of few buyers are trusted."
    )
    repeat_half_life_days: float = Field(60, gt=0, description="Days after which a purchase counts half for buying again.")
    repeatable_share: float = Field(
        0.15, ge=0, le=1, description="Share of buyers who bought a product again from which it counts as repeatable."
    )
    review_half_life_days: float = Field(365, gt=0, description="Age at which a review counts half in what buyers think of a product.")
    follow_days: float = Field(21, gt=0, description="Days after a purchase for which its follow-ups are offered.")
    follow_pairs: int = Field(40, ge=1, description="Most later products that one purchase is paired with.")
    follow_shrinkage: float = Field(5.0, ge=0, description="Purchases of a product from which its follow-ups count by half.")
    interest_half_life_days: float = Field(7, gt=0, description="Days after which interest in a product counts half.")
    neighbours: int = Field(100, ge=1, description="Neighbours kept of a product by item-kNN and EASE.")
    taste_doubt: float = Field(5.0, gt=0, description="Evidence from which a customer's own taste counts as much as everybody's.")
    user_knn_customers: int = Field(20_000, ge=1, description="Customers among whom similar customers are searched.")
    user_knn_neighbours: int = Field(150, ge=1, description="Similar customers whose habits count.")
    ease_max_products: int = Field(
        14_000,
        ge=0,
        description="Products with behaviour up to which EASE is fitted; above, ALS is, and transitions of this many products.",
    )
    ease_ridge: float = Field(200.0, gt=0, description="Ridge of EASE.")
    transitions_ridge: float = Field(150.0, gt=0, description="Ridge of the transitions.")
    transitions_fade: float = Field(
        0.7, gt=0, le=1, description="Decay of the past when transitions score; their examples decay by `fade`."
    )
    transitions_reverse: float = Field(0.2, ge=0, le=1, description="Weight of examples in the reverse order of time.")
    transitions_words: float = Field(
        3.0, ge=0, description="How strongly products that share words are expected to have the same successors."
    )
    als_factors: int = Field(64, ge=1, le=1024, description="Length of ALS's vectors.")
    als_iterations: int = Field(10, ge=1, le=100, description="Alternations of ALS.")
    als_ridge: float = Field(10.0, gt=0, description="Ridge of ALS.")
    als_confidence: float = Field(10.0, gt=0, description="What one unit of evidence adds to ALS's confidence in an observed pair.")
    sequence_factors: int = Field(128, ge=8, le=1024, description="Length of the sequence model's vectors.")
    sequence_heads: int = Field(2, ge=1, description="Heads of its attention; the vectors' length is a multiple of it.")
    sequence_length: int = Field(50, ge=2, description="Most recent products of a customer that it reads.")
    sequence_dropout: float = Field(0.5, ge=0, lt=1, description="Share of activations dropped while it learns.")
    sequence_negatives: int = Field(512, ge=1, description="Negative products that are drawn for each batch.")
    sequence_rate: float = Field(1e-3, gt=0, description="Greatest learning rate.")
    sequence_epochs: int = Field(60, ge=1, description="Most epochs.")
    sequence_again: float = Field(0.25, ge=0, le=1, description="Greatest share of the epochs when it continues from an earlier fit.")
    sequence_again_least: float = Field(0.1, ge=0, le=1, description="Least share of the epochs, where hardly anything is new.")
    sequence_min_customers: int = Field(2000, ge=1, description="Customers with two or more products below which it learns nothing.")
    sequence_max_products: int = Field(30_000, ge=0, description="Products up to which the sequence model is fitted.")
    habitual: float = Field(
        0.25, ge=0, le=1, description="Share of repeated purchases above which transitions and the sequence model are left out."
    )
    sequence_tokens: int = Field(10_000_000, ge=1, description="Most products read while learning; fewer epochs where the shop is large.")

    ranker_each: int = Field(30, ge=1, le=1000, description="Best products of each candidate generator that the ranker orders.")
    ranker_rounds: int = Field(120, ge=1, le=2000, description="Trees of the ranker.")
    ranker_leaves: int = Field(15, ge=2, le=255, description="Leaves of each tree.")
    ranker_rate: float = Field(0.05, gt=0, le=1, description="Learning rate: what each tree adds.")
    ranker_min_customers: int = Field(100, ge=3, description="Validation customers below which there is no ranker.")
    ranker_customers: int = Field(5000, ge=1, description="Customers for the ranker to learn from; with fewer, earlier windows are added.")
    ranker_windows: int = Field(4, ge=1, le=20, description="Most windows of days that the ranker learns from.")

    min_validation_customers: int = Field(20, ge=1, description="Validation customers below which popularity is used alone.")
    max_validation_customers: int = Field(12_000, ge=1, description="Most customers to choose on and to learn from; others are left out.")
    max_judged_customers: int = Field(20_000, ge=1, description="Most customers of one evaluation; more are sampled.")
    encoder: str = Field("", description="Folder or hub name of the pretrained text encoder; empty means the packaged all-MiniLM-L6-v2.")
