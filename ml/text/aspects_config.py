"""Settings of the aspects, as one typed object."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class AspectsConfig(BaseModel):
    """What the aspects may be told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: str = Field("", description="Folder or hub name of the pretrained text encoder; empty means the packaged all-MiniLM-L6-v2.")
    min_reviews: int = Field(200, ge=1, description="Labelled training reviews below which there are no aspects.")
    max_train_reviews: int = Field(4_000, ge=1, description="Most reviews polarity and terms are learned from; more are sampled.")
    max_reviews: int = Field(20_000, ge=1, description="Latest reviews of products that are read for aspects.")
    max_chars: int = Field(4_000, ge=1, description="Characters of a review that are read.")
    min_term_share: float = Field(0.01, gt=0, le=1, description="Share of the reviews that must use a term, and at least 5.")
    min_noun_share: float = Field(0.15, ge=0, le=1, description="Share of a term's places that must be a noun's.")
    max_terms: int = Field(100, ge=1, description="Aspects of a shop, those of most reviews.")
    min_mentions: int = Field(2, ge=1, description="Reviews of a product that must speak of an aspect.")
    seed: int = Field(20, ge=0, description="Seed of the sample of reviews.")
    threads: int = Field(2, ge=1, le=256, description="Threads that reading and scoring may use.")
