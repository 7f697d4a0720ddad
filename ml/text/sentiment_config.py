"""Settings of the sentiment model, as one typed object."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ml.text.encoder.regimes import Regime

CHARS_A_TOKEN = 32

Candidate = Literal["linear", "encoder", "network", "blend"]
CANDIDATES: tuple[Candidate, ...] = ("linear", "encoder", "network", "blend")


class SentimentConfig(BaseModel):
    """What the sentiment model may be told. `spec.py` says which of it an installation may set; the defaults are what was measured best."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: str = Field("", description="Folder or hub name of the pretrained text encoder; empty means the packaged all-MiniLM-L6-v2.")
    regime: Regime = Field("full", description="Which weights of the encoder are trained: full, head, lora, adalora, prefix or adapters.")
    candidates: tuple[Candidate, ...] = Field(CANDIDATES, min_length=1, description="Among what the validation days choose.")
    min_reviews: int = Field(
        200, ge=1, le=10_000_000, description="Rated reviews with text below which no sentiment is trained or published."
    )
    max_train_reviews: int = Field(
        50_000, ge=1, le=10_000_000, description="Most reviews the encoder is trained on in a night; more are sampled."
    )
    max_tokens: int = Field(128, ge=8, le=512, description="Tokens of a review that are read.")
    seed: int = Field(20, ge=0, description="Seed of everything random: the head's start, dropout, order and samples of reviews.")
    threads: int = Field(2, ge=1, le=256, description="Threads that reading and scoring may use; training always has two.")

    train_minutes: float = Field(
        10.0,
        gt=0,
        le=1440,
        description="Minutes a night may train, the first fit and the refit, turned into tokens by the pace of two cores.",
    )
    tokens_per_second: float = Field(
        1200.0, gt=0, description="Tokens one core trains on in a second. By it minutes become reviews, so that every machine trains alike."
    )
    epochs: int = Field(3, ge=1, le=20, description="Passes over the rarest class of reviews on a first night.")
    learning_rate: float = Field(1e-4, gt=0, description="Peak learning rate of a first fit.")
    continuation_epochs: int = Field(1, ge=1, le=20, description="Passes over new and replayed reviews when a model is continued.")
    continuation_learning_rate: float = Field(2e-5, gt=0, description="Peak learning rate when a model is continued.")
    rehearsal_share: float = Field(1.0, ge=0, le=100, description="Old reviews replayed for each new one when a model is continued.")
    batch_size: int = Field(16, ge=1, description="Reviews in one step of training.")
    rescored_reviews: int = Field(
        20_000,
        ge=0,
        le=1_000_000_000,
        description="Reviews with an earlier model's score that a night scores anew, whole products in turn; new ones are always scored.",
    )
    score_chunk_rows: int = Field(20_000, ge=1, description="Reviews held in memory at once when scoring.")

    linear_max_chars: int = Field(
        16_000_000, ge=1000, description="Characters that the linear model learns from; of more, reviews are sampled."
    )
    readable_share: float = Field(
        0.2, ge=0, le=1, description="Share of texts in supported scripts below which the encoder is not trained."
    )
    unread_share: float = Field(
        0.2, ge=0, le=1, description="Share of texts in unsupported scripts below which no network is trained on them."
    )
    network_min_reviews: int = Field(
        2000, ge=1, description="Labelled reviews in unsupported scripts below which no network is trained on them."
    )
    cascade_loss: float = Field(
        0.0005, ge=0, le=1, description="Macro-F1 that may be lost where the linear model is sure and the encoder is not used."
    )

    @property
    def max_chars(self) -> int:
        """Characters of a review that are read; the rest is cut off before anything parses it."""
        return CHARS_A_TOKEN * self.max_tokens
