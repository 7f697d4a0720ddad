"""Which settings of the recommender a search may change, and how far."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """Values from `low` to `high`, on a logarithmic scale where `log` is set."""

    low: float
    high: float
    log: bool = False


SEARCHED: dict[str, Range] = {
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
}
