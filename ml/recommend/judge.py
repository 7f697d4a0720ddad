"""How good the lists are: asked with what was known before a split, compared with what the customers then wanted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ml.nightly_model import Evaluation, Metric, Split
from ml.recommend import metrics
from ml.recommend.scoring import Scorer, within
from ml.recommend.snapshot import Exam, Snapshot

K = 10


def judge(snapshot: Snapshot, exam: Exam, split: Split, model: Scorer, baselines: Mapping[str, Scorer], at_most: int) -> Evaluation:
    """Judges every customer who has an answer that a list could hold (a deterministic sample where there are more than `at_most`).

    All products known before the split are ranked, without those the customer owned by then. What was in stock at that time is not
    known, so availability is not looked at. NDCG divides by the best that is attainable: answers about products that did not exist
    yet are left out for model and baselines alike. The metrics are printed beside the first baseline.
    """
    customers = snapshot.examined(exam, at_most)
    history = snapshot.history(customers, exam.starts_at)
    owned = snapshot.owned(customers, exam.starts_at)
    answers = snapshot.labels(customers, exam)
    wanted_counts = np.bincount(answers[0], minlength=len(customers))
    scorers = {"model": model, **baselines}
    lists: dict[str, list[np.ndarray]] = {name: [] for name in scorers}
    hits: dict[str, list[np.ndarray]] = {name: [] for name in scorers}
    k = min(K, len(snapshot.catalogue))
    for begin, end in model.blocks(len(customers)):
        wanted = np.zeros((end - begin, len(snapshot.catalogue)), dtype=bool)
        wanted[within(answers, begin, end)] = True
        for name, scorer in scorers.items():
            ranked = scorer.rank(history.rows(begin, end), within(owned, begin, end), k)
            shown = np.isfinite(ranked.scores)
            lists[name].append(ranked.products[shown])
            hit = np.take_along_axis(wanted, ranked.products, 1) & shown
            hits[name].append(np.pad(hit, ((0, 0), (0, K - hit.shape[1]))))
    figures: dict[str, dict[str, float]] = {}
    units: dict[str, np.ndarray] = {}
    for name in scorers:
        hit = np.concatenate(hits[name]) if hits[name] else np.zeros((0, K), dtype=bool)
        shown_products = np.concatenate(lists[name]) if lists[name] else np.empty(0, np.int64)
        units[name] = metrics.ndcg(hit, wanted_counts)
        figures[name] = {
            f"ndcg@{K}": _mean(units[name]),
            f"recall@{K}": _mean(metrics.recall(hit, wanted_counts)),
            f"hit_rate@{K}": _mean(metrics.hit_rate(hit)),
            f"coverage@{K}": metrics.coverage(shown_products, int(model.allowed.sum())),
            f"novelty@{K}": metrics.novelty(shown_products, model.popularity),
        }
    first = next(iter(baselines))
    found = [Metric(name, value, first, figures[first][name]) for name, value in figures["model"].items()]
    found.append(Metric("judged_customers", float(len(customers))))
    ids = np.array(customers.ids.to_pylist(), dtype=object)
    return Evaluation(split, found, ids, units["model"], {name: units[name] for name in baselines})


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0
