"""What a night's validation days decided for the recommender, as it is kept with the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class RecommenderChoice:
    """What validation decided, kept with the model.

    Attributes:
        weights: weight by candidate's name, adding up to 1.
        penalty: how much of an unhappily reviewed product's score is taken off; 0 means off.
        half_life_days: of popularity.
        customers: how many customers it was decided on; 0 means that there were too few, and popularity serves alone.
        ndcg, popularity_ndcg: NDCG@10 of the blend and of popularity on them.
        diversity: how much variety they liked best.
        popular_segments: segments that popularity served better; it serves them.
        second_stage: whether trees order what the candidates bring, or the weights alone.
        stretches: of days that the trees learned from, the validation days among them.
        held_out: how many customers that was decided on, unknown to weights and trees; 0: there were too few.
        held_out_ndcg, held_out_blend_ndcg: NDCG@10 on them with the trees and with the weights alone.
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
