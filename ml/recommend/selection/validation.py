"""What a night decides on its validation days: the half-life of popularity, the blend, whether a ranker orders better, how much variety
the customers like, and for which segments popularity ranks better."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ml.evidence import is_better
from ml.recommend.candidates.contract import CandidateGenerator
from ml.recommend.candidates.fitting import fit_generators
from ml.recommend.candidates.popularity import Popularity
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.customers import Customers
from ml.recommend.data.holdouts import Holdout, earlier_holdouts, evaluated_users, known_products, read_segments_before, selection_holdout
from ml.recommend.data.popularity import read_popularity
from ml.recommend.data.product_statistics import ProductStatistics
from ml.recommend.data.snapshot import Snapshot
from ml.recommend.evaluation.evaluate import K, evaluate_lists
from ml.recommend.evaluation.segments import worse_than_popularity
from ml.recommend.ranking.blend import search
from ml.recommend.ranking.ranker import Ranker, Rows
from ml.recommend.ranking.scoring import ListScorer, scorer_by
from ml.recommend.selection.backtest import backtest, backtest_pool, backtest_rows
from ml.recommend.selection.choice import RecommenderChoice
from ml.recommend.selection.variety import best_variety

log = logging.getLogger(__name__)

HELD_OUT = 3  # every third customer decides between blend and ranker
HALF_LIVES = (3.0, 7.0, 14.0, 30.0, 60.0, 120.0, 365.0)


@dataclass(frozen=True)
class Decision:
    """What was decided, and what it was decided with.

    Attributes:
        choice: the decision.
        generators: those it was made with; none where there were too few customers.
        ranker: None where the blend alone orders.
        learned: what the ranker learned from.
    """

    choice: RecommenderChoice
    generators: Sequence[CandidateGenerator] = ()
    ranker: Ranker | None = None
    learned: Sequence[Rows] = ()


@dataclass(frozen=True)
class RankerTrial:
    """Whether a ranker orders better than the blend.

    Attributes:
        evaluated: the ranker that did not learn from the customers held out; None where the blend is kept.
        ranker: the ranker that learned from all; None likewise.
        learned: what it learned from.
        figures: fields of the choice.
    """

    evaluated: Ranker | None
    ranker: Ranker | None
    learned: Sequence[Rows]
    figures: dict[str, Any]


def popularity_alone(config: RecommenderConfig) -> RecommenderChoice:
    """The choice of a shop that has too little to choose on."""
    return RecommenderChoice(weights={Popularity.name: 1.0}, penalty=0.0, half_life_days=config.half_life_days)


def decide(snapshot: Snapshot, cache: Path, config: RecommenderConfig, kept: Sequence[CandidateGenerator] = ()) -> Decision:
    """Decides the half-life of popularity first, then the blend, both by NDCG on validation customers; then whether a ranker is better.
    Variety and segments follow, by customers from whom neither blend nor ranker learned.

    Args:
        kept: sequence models of an earlier night, from which a fit may continue.
    """
    holdout = selection_holdout(snapshot)
    customers = evaluated_users(snapshot, holdout, config.max_validation_customers)
    if len(customers) < config.min_validation_customers:
        log.info("blend: only %d customers to choose on, popularity is used alone", len(customers))
        return Decision(popularity_alone(config))
    half_life, popularity_ndcg = _best_half_life(snapshot, holdout, config)
    generators = fit_generators(snapshot, cache, holdout.starts_at, half_life, config, earlier=kept)
    pool, rows = backtest(snapshot, holdout, generators, config)
    has_ranker_trial = len(customers) >= config.ranker_min_customers
    held = np.arange(len(customers)) % HELD_OUT == 0 if has_ranker_trial else np.zeros(len(customers), dtype=bool)
    weights, penalty, ndcg = search(pool.only(~held), start=0, k=K)
    named = {generator.name: round(float(weight), 4) for generator, weight in zip(generators, weights, strict=True) if weight > 0}
    log.info(
        "blend: %s, penalty %s, NDCG@%d %.4f, popularity %.4f on %d customers", named, penalty, K, ndcg, popularity_ndcg, len(customers)
    )
    choice = RecommenderChoice(named, penalty, half_life, len(customers), ndcg, popularity_ndcg)
    trial = RankerTrial(None, None, (), {})
    if has_ranker_trial:
        apart = pool.only(held)
        blend_ndcg = apart.ndcgs(apart.total(weights) * (1 - penalty * apart.dissatisfaction), K).numpy()
        earlier_rows = list(_earlier_rows(snapshot, holdout, cache, half_life, len(customers), config))
        trial = try_ranker(rows, earlier_rows, held, blend_ndcg, config)
        choice = replace(choice, **trial.figures)
    unknown = customers.only(held) if trial.evaluated is not None else customers
    statistics = ProductStatistics.read(snapshot, holdout.starts_at)
    model = scorer_by(choice, generators, snapshot.catalogue, statistics, known_products(snapshot, holdout), config, trial.evaluated)
    choice = replace(choice, diversity=best_variety(snapshot, holdout, replace(model, category=None), unknown, config.diversity))
    model = replace(model, diversity=choice.diversity)
    choice = replace(choice, popular_segments=_worse_segments(snapshot, holdout, generators, statistics, model, unknown))
    return Decision(choice, generators, trial.ranker, trial.learned)


def try_ranker(
    latest: Rows, earlier_rows: Sequence[Rows], held: np.ndarray, blend_ndcg: np.ndarray, config: RecommenderConfig
) -> RankerTrial:
    """Decides whether a ranker is used: it must rank the customers `held` out better than the blend beyond chance. Neither the ranker that
    is compared nor the weights of the blend learned from these customers. (n held out,) `blend_ndcg` is the NDCG of the blend on each.

    More days are more to learn from, but may be outdated where a shop changes. Earlier windows are left out where the latest alone ranks
    better beyond chance (see `is_better`).
    """
    held_out, learned = latest.only(held), [latest, *earlier_rows]
    evaluated, scores = _trained(learned, held_out, config)
    if earlier_rows:
        alone, by_latest = _trained([latest], held_out, config)
        gain = by_latest - scores
        log.info("ranker: NDCG@%d %.4f with earlier windows, %.4f without", K, scores.mean(), by_latest.mean())
        if is_better(gain):
            evaluated, scores, learned = alone, by_latest, [latest]
    if evaluated is None:
        return RankerTrial(None, None, learned, {})
    ndcg = float(scores.mean())
    blend = float(blend_ndcg.mean())
    log.info("ranker: NDCG@%d %.4f, blend %.4f on %d customers held out", K, ndcg, blend, len(held_out.sizes))
    ranker = Ranker.fit(Rows.joined(learned), config) if is_better(scores - blend_ndcg) else None
    figures = {"held_out": len(held_out.sizes), "held_out_ndcg": ndcg, "held_out_blend_ndcg": blend}
    figures |= {"second_stage": ranker is not None, "stretches": len(learned)}
    return RankerTrial(evaluated if ranker else None, ranker, learned, figures)


def _trained(learned: Sequence[Rows], held_out: Rows, config: RecommenderConfig) -> tuple[Ranker | None, np.ndarray]:
    """A ranker that learned from the other customers, and (n,) its NDCG on those held out; 0 where there was nothing to learn from."""
    others = Rows.joined([rows.only(~np.isin(rows.customers, held_out.customers)) for rows in learned])
    trial = Ranker.fit(others, config)
    if trial is None:
        return None, np.zeros(len(held_out.sizes))
    return trial, held_out.ndcg(trial.predict_rows(held_out, config.threads), K)


def _earlier_rows(
    snapshot: Snapshot, holdout: Holdout, cache: Path, half_life: float, customers: int, config: RecommenderConfig
) -> Iterator[Rows]:
    """Rows of earlier windows, each by generators fitted before it, until there are enough customers."""
    for _, before in zip(range(config.ranker_windows - 1), earlier_holdouts(snapshot, holdout), strict=False):
        if customers >= config.ranker_customers:
            return
        if not len(evaluated_users(snapshot, before, 1)):
            continue
        rows = backtest_rows(snapshot, before, fit_generators(snapshot, cache, before.starts_at, half_life, config), config)
        customers += len(rows.sizes)
        yield rows


def _worse_segments(
    snapshot: Snapshot,
    holdout: Holdout,
    generators: Sequence[CandidateGenerator],
    statistics: ProductStatistics,
    model: ListScorer,
    customers: Customers,
) -> list[str]:
    """The segments for which popularity ranks better than the model on the holdout's customers, with the generators of the choice."""
    segments = read_segments_before(snapshot, customers, holdout)
    if holdout.split is None or segments.null_count == len(segments):  # the shop is too young to have segments
        return []
    config = model.config
    baselines = {"popularity": scorer_by(popularity_alone(config), generators, snapshot.catalogue, statistics, model.allowed, config)}
    evaluation = evaluate_lists(snapshot, holdout, holdout.split, model, baselines, customers)
    worse = worse_than_popularity(evaluation, segments, config.min_validation_customers)
    log.info("segments served by popularity: %s", ", ".join(worse) or "none")
    return worse


def _best_half_life(snapshot: Snapshot, holdout: Holdout, config: RecommenderConfig) -> tuple[float, float]:
    """The half-life whose popularity ranks best, and its NDCG."""
    tried = sorted({*HALF_LIVES, config.half_life_days})
    popularities: list[CandidateGenerator] = []
    for half_life in tried:
        popularity = Popularity(config)
        popularity.worth = read_popularity(snapshot, half_life, holdout.starts_at)["all"]
        popularities.append(popularity)
    pool = backtest_pool(snapshot, holdout, popularities, config)
    values = [pool.ndcg(scores, K) for scores in pool.scores]
    best = int(np.argmax(values))
    return tried[best], values[best]
