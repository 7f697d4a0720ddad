"""The weights of the blend: what earns one, and what is only chance."""

from __future__ import annotations

import numpy as np
import pytest

from ml.recommend.ranking.blend import Pool, search, unit


def test_the_blend_finds_the_generator_that_knows_and_the_penalty_that_helps():
    rng = np.random.default_rng(4)
    wanted = rng.random((300, 40)) < 0.1
    noise, knows = rng.random((300, 40)).astype(np.float32), (wanted * 0.5 + rng.random((300, 40))).astype(np.float32)
    allowed = np.ones_like(wanted)
    pool = Pool.of([unit(noise), unit(knows)], allowed, wanted, np.zeros(40, np.float32), 10)
    weights, penalty, reached = search(pool, start=0, k=10)
    assert weights.sum() == pytest.approx(1) and weights[1] > 0.8 and penalty == 0
    assert reached >= pool.ndcg(pool.scores[1], 10) > pool.ndcg(pool.scores[0], 10)
    dissatisfaction = np.zeros(40, np.float32)
    dissatisfaction[:20] = 1
    wanted[:, :20] = False
    pool = Pool.of([unit(noise), unit(knows)], allowed, wanted, dissatisfaction, 10)
    assert search(pool, start=0, k=10)[1] > 0


def test_a_gain_within_its_error_does_not_make_a_blend():
    """One generator knows something, one nothing; on twenty customers some mixture of the two is a little better by chance."""
    alone = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        wanted = rng.random((20, 60)) < 0.05
        knows = (wanted * 0.6 + rng.random((20, 60))).astype(np.float32)
        noise = rng.random((20, 60)).astype(np.float32)
        pool = Pool.of([unit(noise), unit(knows)], np.ones_like(wanted), wanted, np.zeros(60, np.float32), 10)
        weights, _, reached = search(pool, start=0, k=10)
        gain = (pool.ndcgs(pool.total(weights), 10) - pool.ndcgs(pool.scores[1], 10)).numpy()
        assert weights.tolist() == [0, 1] or gain.mean() > gain.std() / np.sqrt(20)
        assert reached == pytest.approx(pool.ndcg(pool.total(weights), 10))
        alone += weights.tolist() == [0, 1]
    assert alone > 0
