"""How good lists are: made from what was known before a holdout, compared with what the customers then wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ml.nightly_model import Evaluation, Metric, Split
from ml.recommend.data.customers import Customers
from ml.recommend.data.exclusions import read_owned
from ml.recommend.data.histories import read_history
from ml.recommend.data.holdouts import Holdout, read_labels, read_segments_before
from ml.recommend.data.snapshot import Snapshot
from ml.recommend.evaluation import beyond_accuracy, metrics
from ml.recommend.evaluation.segments import is_in
from ml.recommend.lists.categories import category_shares
from ml.recommend.ranking.scoring import ListScorer, within

K = 10
DECIDING = f"ndcg@{K}"
# days for which a product counts as new
NEW_DAYS = 30


@dataclass(frozen=True)
class EvaluatedLists:
    """One scorer's lists for n customers, place by place.

    Attributes:
        products: (n, K) product numbers, -1 where nothing is shown.
        hits: (n, K) whether the customer wanted the product.
        miscalibration: (n,), NaN where unknown.
    """

    products: np.ndarray
    hits: np.ndarray
    miscalibration: np.ndarray


def evaluate_lists(
    snapshot: Snapshot, holdout: Holdout, split: Split, model: ListScorer, baselines: Mapping[str, ListScorer], customers: Customers
) -> Evaluation:
    """Evaluates a model on customers of a holdout (see `evaluated_users`): each of them has a label that a list could hold.

    All products known before the split are ranked, except those that the customer owned by then. What was in stock at that time is not
    known, so availability is ignored. NDCG divides by the best that is attainable: labels of products that did not exist yet are left out
    for model and baselines alike. Metrics are compared with the first baseline.

    There are figures for everybody, for each segment with at least `min_validation_customers` of them, such as 'ndcg@10.segment=loyal', and
    of accuracy by the age of the products: 'ndcg@10.product_age=new' counts only labels of new products. Without customers the figures
    are NaN.
    """
    segments = read_segments_before(snapshot, customers, holdout)
    labels = read_labels(snapshot, customers, holdout)
    evaluated = _lists(snapshot, holdout, {"model": model, **baselines}, customers, labels)
    first = next(iter(baselines))
    units = {name: metrics.ndcg(of.hits, np.bincount(labels[0], minlength=len(customers))) for name, of in evaluated.items()}
    found: list[Metric] = []
    compared = {name: evaluated[name] for name in ("model", first)}
    for label, members in _groups(segments, snapshot.config.min_validation_customers):
        figures = {name: _figures(snapshot, model, of, labels, members) for name, of in compared.items()}
        found += [Metric(f"{name}{label}", value, first, figures[first][name]) for name, value in figures["model"].items()]
        found.append(Metric(f"judged_customers{label}", float(len(members))))
    found += _by_age(snapshot, holdout, compared, labels)
    found.append(Metric("variety", model.diversity))
    found += [Metric(f"serves_popularity.segment={name}", 1.0) for name in model.popular_segments]
    ids = np.array(customers.ids.to_pylist(), dtype=object)
    nobody = "" if len(ids) else f"from {holdout.starts_at:%Y-%m-%d} on no customer took anything new that was known before"
    return Evaluation(split, found, ids, units["model"], {name: units[name] for name in baselines}, nobody=nobody)


def _lists(
    snapshot: Snapshot, holdout: Holdout, scorers: Mapping[str, ListScorer], customers: Customers, labels: tuple[np.ndarray, np.ndarray]
) -> dict[str, EvaluatedLists]:
    """Every scorer's lists, a block of customers at a time."""
    history = read_history(snapshot, customers, holdout.starts_at)
    owned = read_owned(snapshot, customers, holdout.starts_at)
    segments = read_segments_before(snapshot, customers, holdout)
    category, k = snapshot.catalogue.category, min(K, len(snapshot.catalogue))

    def of_block(begin: int, end: int) -> dict[str, tuple[np.ndarray, ...]]:
        columns: dict[str, tuple[np.ndarray, ...]] = {}
        asked = history.rows(begin, end)
        wanted = np.zeros((end - begin, len(snapshot.catalogue)), dtype=bool)
        wanted[within(labels, begin, end)] = True
        shares = category_shares(asked, category, snapshot.config.half_life_days)
        for name, scorer in scorers.items():
            plain = is_in(segments.slice(begin, end - begin), scorer.popular_segments)
            ranked = scorer.rank(asked, within(owned, begin, end), k, plain=plain)
            shown = np.isfinite(ranked.scores)
            products = np.where(shown, ranked.products, -1)
            hits = np.take_along_axis(wanted, ranked.products, 1) & shown
            padding = ((0, 0), (0, K - k))
            columns[name] = (
                np.pad(products, padding, constant_values=-1),
                np.pad(hits, padding),
                beyond_accuracy.miscalibration(shares, np.where(shown, category[ranked.products], -2)),
            )
        return columns

    nothing = (np.empty((0, K), np.int64), np.empty((0, K), dtype=bool), np.empty(0))
    parts = list(next(iter(scorers.values())).by_block(len(customers), of_block))
    of_all = {name: zip(nothing, *(part[name] for part in parts), strict=True) for name in scorers}
    return {name: EvaluatedLists(*(np.concatenate(column) for column in columns)) for name, columns in of_all.items()}


def _groups(segments: pa.StringArray, min_customers: int) -> Iterator[tuple[str, np.ndarray]]:
    """Groups with figures of their own: (end of the metrics' names, customer numbers), everybody first."""
    yield "", np.arange(len(segments))
    for name in segments.unique().drop_null().sort().to_pylist():
        members = np.flatnonzero(is_in(segments, [name]))
        if len(members) >= min_customers:
            yield f".segment={name}", members


def _figures(
    snapshot: Snapshot, model: ListScorer, evaluated: EvaluatedLists, labels: tuple[np.ndarray, np.ndarray], members: np.ndarray
) -> dict[str, float]:
    """All figures of some customers' lists, the deciding one first; NaN where nobody has a value."""
    hits, products = evaluated.hits[members], evaluated.products[members]
    wanted = np.bincount(labels[0], minlength=len(evaluated.hits))
    place = beyond_accuracy.percentiles(model.popularity, model.allowed)
    of_answers = np.bincount(labels[0], weights=place[labels[1]], minlength=len(wanted)) / np.maximum(wanted, 1)
    groups = np.where(products >= 0, snapshot.catalogue.category[products], -2)
    return {
        DECIDING: _mean(metrics.ndcg(hits, wanted[members])),
        f"recall@{K}": _mean(metrics.recall(hits, wanted[members])),
        f"hit_rate@{K}": _mean(metrics.hit_rate(hits)),
        f"coverage@{K}": metrics.coverage(products[products >= 0], int(model.allowed.sum())) if len(members) else np.nan,
        f"novelty@{K}": metrics.novelty(products[products >= 0], model.popularity) if (products >= 0).any() else np.nan,
        f"diversity@{K}": _mean_known(beyond_accuracy.diversity(groups)) if (snapshot.catalogue.category >= 0).any() else np.nan,
        f"miscalibration@{K}": _mean_known(evaluated.miscalibration[members]),
        f"popularity_bias@{K}": _mean_known(beyond_accuracy.mean_of_shown(place, products) - of_answers[members]),
    }


def _by_age(
    snapshot: Snapshot, holdout: Holdout, evaluated: Mapping[str, EvaluatedLists], labels: tuple[np.ndarray, np.ndarray]
) -> Iterator[Metric]:
    """NDCG of labels of products that were new when the split started, and of labels of the others."""
    moment = np.datetime64(holdout.starts_at, "us").astype(np.int64)
    new = snapshot.catalogue.known_at > moment - NEW_DAYS * 86_400_000_000
    model, baseline = evaluated
    for name, of_age in (("new", new), ("old", ~new)):
        wanted = np.bincount(labels[0][of_age[labels[1]]], minlength=len(evaluated[model].hits))
        members = np.flatnonzero(wanted)
        if len(members) < snapshot.config.min_validation_customers:
            continue
        ndcg = {who: _mean(metrics.ndcg((of.hits & of_age[of.products])[members], wanted[members])) for who, of in evaluated.items()}
        yield Metric(f"{DECIDING}.product_age={name}", ndcg[model], baseline, ndcg[baseline])
        yield Metric(f"judged_customers.product_age={name}", float(len(members)))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan


def _mean_known(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan
