"""Exams that choices are made on: customers asked with what was known before, and what the candidates had to offer them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ml.recommend.blend import Pool, scaled
from ml.recommend.candidates import Candidate
from ml.recommend.config import RecommenderConfig
from ml.recommend.facts import Facts
from ml.recommend.judge import K
from ml.recommend.ranker import Rows, pool_of, telling
from ml.recommend.ranker_features import feature_table
from ml.recommend.scoring import Scorer, by_popularity, within
from ml.recommend.shop_arrays import Customers, Exam, History
from ml.recommend.snapshot import Snapshot


@dataclass(frozen=True)
class _Block:
    """Customers begin to end of an exam: their histories, (n, P) what may be shown and what was wanted, and c times (n, P) unit scores
    with (n,) what is 1 in them."""

    begin: int
    end: int
    asked: History
    allowed: np.ndarray
    wanted: np.ndarray
    scores: Sequence[np.ndarray]
    best: Sequence[np.ndarray]


def _blocks(
    snapshot: Snapshot, exam: Exam, customers: Customers, candidates: Sequence[Candidate], config: RecommenderConfig
) -> Iterator[_Block]:
    history = snapshot.history(customers, exam.starts_at)
    owned, answers = snapshot.owned(customers, exam.starts_at), snapshot.labels(customers, exam)
    known = known_before(snapshot, exam)
    scorer = Scorer(candidates, np.ones(len(candidates)), np.ones(len(known)), np.zeros(len(known)), known, config)
    for begin, end in scorer.blocks(len(customers)):
        asked = history.rows(begin, end)
        allowed = np.tile(known, (end - begin, 1))
        allowed[within(owned, begin, end)] = False
        wanted = np.zeros_like(allowed)
        wanted[within(answers, begin, end)] = True
        scores, best = zip(*(scaled(candidate.score(asked)) for candidate in candidates), strict=True)
        yield _Block(begin, end, asked, allowed, wanted, scores, best)


def pool_before(snapshot: Snapshot, exam: Exam, candidates: Sequence[Candidate], config: RecommenderConfig) -> Pool:
    """What the blend of some candidates is chosen on; see `rehearse`."""
    customers = snapshot.examined(exam, config.max_validation_customers)
    blocks = _blocks(snapshot, exam, customers, candidates, config)
    return Pool.joined([Pool.of(b.scores, b.allowed, b.wanted, snapshot.catalogue.discontent, K) for b in blocks])


def rehearse(snapshot: Snapshot, exam: Exam, candidates: Sequence[Candidate], config: RecommenderConfig) -> tuple[Pool, Rows]:
    """What the blend is chosen on and what the second stage learns from: the exam's customers, the same in both, in the order of their ids.

    Args:
        snapshot, exam: the questions.
        candidates: fitted on nothing after the exam's start.
        config: sizes, and the most customers.
    """
    customers = snapshot.examined(exam, config.max_validation_customers)
    facts = Facts.read(snapshot, exam.starts_at)
    filling = by_popularity(facts.wanted_7)
    names = [candidate.name for candidate in candidates]
    ids = np.array(customers.ids.to_pylist(), dtype=object)
    pools, parts = [], []
    for block in _blocks(snapshot, exam, customers, candidates, config):
        pools.append(Pool.of(block.scores, block.allowed, block.wanted, snapshot.catalogue.discontent, K))
        bar = np.where(block.allowed, filling, np.float32(-np.inf))
        pool, live, scores = pool_of(block.scores, bar, config.ranker_each)
        said, sure = dict(zip(names, scores, strict=True)), telling(names, block.best)
        features, table = feature_table(block.asked, pool, said, sure, snapshot.catalogue, facts)
        hit = np.take_along_axis(block.wanted, pool, 1) & live
        of = ids[block.begin : block.end]
        parts.append(Rows(features, table[live.ravel()], hit[live], live.sum(axis=1), block.wanted.sum(axis=1), of))
    return Pool.joined(pools), Rows.joined(parts)


def earlier(snapshot: Snapshot, exam: Exam) -> Iterator[Exam]:
    """Exams as long as one, each just before the last, as long as as much lies before them."""
    begin, end = snapshot.span(exam)
    first = snapshot.first_at
    length = end - begin
    while first is not None and begin - 2 * length >= first:
        begin, end = begin - length, begin
        yield Exam(begin, end, None)


def known_before(snapshot: Snapshot, exam: Exam) -> np.ndarray:
    """(P,) products known before the exam."""
    return snapshot.catalogue.known_at < snapshot.moment(exam.starts_at)
