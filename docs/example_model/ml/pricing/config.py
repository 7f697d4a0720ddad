"""Settings of the price model."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class PriceConfig(BaseModel):
    """What the price model may be told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    doubt: float = Field(2.0, ge=0, le=1000, description="Products of a category from which its own price counts half.")
