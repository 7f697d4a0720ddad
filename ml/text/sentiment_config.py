"""Settings of the sentiment model, as one typed object."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

CHARS_A_TOKEN = 32


class SentimentConfig(BaseModel):
    """What the sentiment model may be told. The platform fills it from its own settings; the other defaults are what was measured best."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: str = Field("", description="Folder or hub name of the pretrained text encoder; empty means the packaged all-MiniLM-L6-v2.")
    min_reviews: int = Field(200, ge=1, description="Labelled training reviews below which there is no model.")
    max_train_reviews: int = Field(12_000, ge=1, description="Most reviews one fit trains on; more are sampled.")
    max_tokens: int = Field(128, ge=8, le=512, description="Tokens of a review that are read.")
    seed: int = Field(20, ge=0, description="Seed of everything random: the head's start, dropout, order and samples of reviews.")
    threads: int = Field(2, ge=1, le=256, description="Threads that reading, training and scoring may use.")

    epochs: int = Field(3, ge=1, le=20, description="Passes over the training reviews of a first fit.")
    learning_rate: float = Field(5e-5, gt=0, description="Peak learning rate of a first fit.")
    continuation_epochs: int = Field(1, ge=1, le=20, description="Passes over new and rehearsed reviews when a model is continued.")
    continuation_learning_rate: float = Field(2e-5, gt=0, description="Peak learning rate when a model is continued.")
    rehearsal_share: float = Field(1.0, ge=0, le=100, description="Old reviews rehearsed for each new one when a model is continued.")
    batch_size: int = Field(16, ge=1, description="Reviews in one step of training.")
    score_batch_size: int = Field(64, ge=1, description="Reviews scored at once.")
    score_chunk_rows: int = Field(20_000, ge=1, description="Reviews held in memory at once when scoring.")

    max_words: int = Field(100_000, ge=100, description="Terms in the vocabulary of the linear model.")
    linear_margin: float = Field(
        0.02, ge=0, le=1, description="Macro-F1 on validation by which the linear model must win to take the encoder's place."
    )

    @property
    def max_chars(self) -> int:
        """Characters of a review that are read at all; the rest is cut before anything parses it."""
        return CHARS_A_TOKEN * self.max_tokens
