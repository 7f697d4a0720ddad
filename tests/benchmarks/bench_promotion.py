"""How often a worse model is promoted, and how long a better one waits.

    python -m tests.benchmarks.bench_promotion [--customers 100 1000] [--shops 100]

Simulated shops, the rule itself. Customers are judged for a week each, so that the test days of two nights share six sevenths of them. One
in five finds something, at a place of ten drawn evenly (NDCG of one answer); a fresh model gives 30 % of the customers another list, and
loses or gains as many finds as it is worse or better. Every night's fresh model is alike. Beside it the rule that was in force before: a
fresh model is promoted unless it is worse than the last champion for sure.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field

import numpy as np

from include.learn import compare
from include.learn.compare import judge_fresh, relative_difference
from ml.recommend.evaluation.evaluate import K
from ml.recommend.evaluation.metrics import discounts

NIGHTS = 30
DAYS = 7
FINDS, AGREE = 0.2, 0.7
MARGIN = 0.01
WORTH = (-0.25, -0.10, -0.05, 0.0, 0.05, 0.10)
EACH_NIGHT = 0.98  # of the one that predicted the night before, where every fresh model is a little worse than the last
compare.RESAMPLES = 200  # of an interval; a night takes more


@dataclass(frozen=True)
class Shop:
    """Customers of NIGHTS + DAYS days: whether and where each of two models finds something, and how readily a worse one loses it."""

    first: np.ndarray
    fresh: np.ndarray
    luck: np.ndarray

    @classmethod
    def drawn(cls, judged: int, rng: np.random.Generator) -> Shop:
        size = (NIGHTS + DAYS - 1, max(1, judged // DAYS))

        def lists() -> np.ndarray:
            return np.where(rng.random(size) < FINDS, discounts(K)[rng.integers(0, K, size)], 0.0)

        first, other, luck = lists(), lists(), rng.random(size)
        return cls(first, np.where(rng.random(size) < AGREE, first, other), luck)

    def scores(self, worth: float | None) -> np.ndarray:
        """(days, customers) of the first model (None), or of one that is fresh and worth so much over it."""
        if worth is None:
            return self.first
        if worth <= 0:
            return np.where(self.luck < 1 + worth, self.fresh, 0.0)
        gained = (self.fresh == 0) & (self.luck < worth * FINDS / (1 - FINDS))
        return np.where(gained, discounts(K).mean(), self.fresh)


@dataclass
class Course:
    """How thirty nights went: worth of who predicted, whether tonight's fresh model did, and the first night that it did."""

    served: list[float] = field(default_factory=list)
    promoted: list[bool] = field(default_factory=list)

    def add(self, promoted: bool, worth: float) -> None:
        self.promoted.append(promoted)
        self.served.append(worth)

    @property
    def waited(self) -> int:
        return self.promoted.index(True) if any(self.promoted) else NIGHTS


def as_it_is(shop: Shop, worth: float, ratchet: bool = False) -> Course:
    """Nights by the rule in force: beside the reference, with the evidence since it became one."""
    course, reference, since, fresh_sums = Course(), None, 0, np.zeros_like(shop.first)
    sums = np.zeros_like(shop.first)
    for night in range(NIGHTS):
        tonight = _next(course, worth, ratchet)
        days = slice(night, night + DAYS)
        fresh, other = shop.scores(tonight)[days], shop.scores(reference)[days]
        fresh_sums[days] += fresh
        sums[days] += other
        pooled = slice(since, night + DAYS)
        verdict = judge_fresh((fresh.ravel(), other.ravel()), (fresh_sums[pooled].ravel(), sums[pooled].ravel()), MARGIN, seed=night)
        course.add(verdict.promoted, tonight if verdict.promoted else reference or 0.0)
        if verdict.proven:
            reference, since = tonight, night + 1
            fresh_sums[:], sums[:] = 0, 0
    return course


def as_it_was(shop: Shop, worth: float, ratchet: bool = False) -> Course:
    """Nights by the rule before: beside the last champion, by tonight alone."""
    course, champion = Course(), None
    for night in range(NIGHTS):
        tonight = _next(course, worth, ratchet)
        days = slice(night, night + DAYS)
        interval = relative_difference(shop.scores(tonight)[days].ravel(), shop.scores(champion)[days].ravel(), seed=night)
        champion = tonight if interval.high >= -MARGIN else champion
        course.add(champion == tonight, champion or 0.0)
    return course


def _next(course: Course, worth: float, ratchet: bool) -> float:
    return (1 + (course.served[-1] if course.served else 0.0)) * EACH_NIGHT - 1 if ratchet else worth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--shops", type=int, default=100)
    chosen = parser.parse_args()
    for judged in chosen.customers:
        shops = [Shop.drawn(judged, np.random.default_rng(seed)) for seed in range(max(20, chosen.shops * 1000 // max(1000, judged)))]
        for name, rule in (("now", as_it_is), ("before", as_it_was)):
            for worth in WORTH:
                courses = [rule(shop, worth) for shop in shops]
                told = {
                    "first_night": float(np.mean([course.promoted[0] for course in courses])),
                    "nights_of_30": float(np.mean([course.promoted for course in courses])),
                    "thirtieth_night": float(np.mean([course.promoted[-1] for course in courses])),
                    "mean_wait_nights": float(np.mean([course.waited for course in courses])),
                    "served_worth": float(np.mean([course.served for course in courses])),
                }
                _tell(judged, name, len(shops), {"fresh_model_worth": worth} | told)
            ended = [rule(shop, 0.0, ratchet=True).served[-1] for shop in shops]
            _tell(judged, name, len(shops), {"each_night": EACH_NIGHT, "worth_after_30": float(np.mean(ended))})


def _tell(judged: int, rule: str, shops: int, told: dict[str, float]) -> None:
    figures = {name: round(value, 3) for name, value in told.items()}
    print(json.dumps({"benchmark": "promotion", "judged_customers": judged, "rule": rule, "shops": shops} | figures), flush=True)


if __name__ == "__main__":
    main()
