"""What a night's validation days decided for the recommender, as it is kept with the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class RecommenderChoice:
    """What validation decided, kept with the model.

    Attributes:
        weights: weight by the generator's name; they add up to 1.
        penalty: how much of an unhappily reviewed product's score is taken off; 0 means off.
        half_life_days: of popularity.
        customers: how many customers it was decided on; 0 means that there were too few, and popularity is used alone.
        ndcg, popularity_ndcg: NDCG@10 of the blend and of popularity on them.
        diversity: the variety that ranked best for them.
        popular_segments: segments for which popularity ranked better; they get popularity.
        second_stage: whether a ranker orders the candidates, or the weights alone.
        stretches: how many windows of days the ranker learned from, the validation days included.
        held_out: how many customers that was decided on, from whom neither weights nor ranker learned; 0 where there were too few.
        held_out_ndcg, held_out_blend_ndcg: NDCG@10 on them with the ranker and with the weights alone.
    """

    weights: Mapping[str, float]
    penalty: float
    half_life_days: float
    customers: int = 0
    ndcg: float = 0.0
    popularity_ndcg: float = 0.0
    diversity: float = 0.0
    popular_segments: Sequence[str] = ()
    second_stage: bool = False
    stretches: int = 0
    held_out: int = 0
    held_out_ndcg: float = 0.0
    held_out_blend_ndcg: float = 0.0
