"""From logits to probabilities and decisions, and who is asked for them."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from ml.text.calibration import calibrate, calibration_error_by_chance, expected_calibration_error, macro_f1
from ml.text.choice import NEVER_SURE, choose
from ml.text.reviews import class_log_probabilities
from ml.text.sentiment_config import CANDIDATES


def world(reviews: int = 6000) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a linear and of a better classifier that err independently, and the truth, one class frequent."""
    rng = np.random.default_rng(5)
    truth = rng.choice(3, size=reviews, p=[0.1, 0.1, 0.8])
    seen = [rng.normal(size=(reviews, 3)) + strength * np.eye(3)[truth] for strength in (1.2, 1.8)]
    return np.stack([strength * each + np.log([0.1, 0.1, 0.8]) for strength, each in zip((1.2, 1.8), seen, strict=True)]), truth


def test_calibration_mends_overconfidence_and_rare_classes() -> None:
    logits, truth = world()
    overconfident = 4 * logits[1:] + np.array([0.0, 1.0, 0.0])
    one, shown = np.array([True]), np.ones(3, dtype=bool)
    calibration = calibrate(overconfident[:, :3000], truth[:3000], one, shown)
    probabilities = calibration.probabilities(overconfident[:, 3000:])
    before = softmax(overconfident[0, 3000:], axis=1)
    assert expected_calibration_error(before, truth[3000:]) > 0.06 > 4 * expected_calibration_error(probabilities, truth[3000:])
    decided, plain = calibration.decide(probabilities), probabilities.argmax(axis=1)
    assert macro_f1(decided, truth[3000:], 3) > macro_f1(plain, truth[3000:], 3)


def test_few_reviews_have_a_calibration_error_even_where_probabilities_are_right() -> None:
    rng = np.random.default_rng(2)
    probabilities = rng.dirichlet([1, 0.3, 2], size=20_000)
    labels = (rng.random((20_000, 1)) > probabilities.cumsum(axis=1)[:, :-1]).sum(axis=1)
    by_chance = [calibration_error_by_chance(probabilities[:reviews], 1) for reviews in (200, 800, 20_000)]
    assert by_chance[0] > 1.7 * by_chance[1] > 1.7 * 0.015 and by_chance[2] < 0.01
    assert expected_calibration_error(probabilities, labels) < 2 * by_chance[2]


def test_a_class_that_training_did_not_show_is_never_decided_for() -> None:
    logits, truth = world()
    two = np.where(truth == 1, 2, truth)
    calibration = calibrate(logits, two, np.array([True, True]), np.array([True, False, True]))
    probabilities = calibration.probabilities(logits)
    assert probabilities[:, 1].max() == 0 and set(calibration.decide(probabilities)) == {0, 2}


def test_classes_are_as_probable_as_their_stars() -> None:
    stars = np.log([[0.1, 0.2, 0.3, 0.15, 0.25]])
    np.testing.assert_allclose(np.exp(class_log_probabilities(stars)), [[0.3, 0.3, 0.4]])


def test_validation_chooses_the_blend_where_two_know_more_and_the_cheapest_where_one_is_blind() -> None:
    logits, truth = world()
    shown, half = np.ones(3, dtype=bool), slice(0, 3000)
    choice, losses = choose(logits[:, half], truth[half], shown, CANDIDATES, 0.002)
    assert choice.candidate == "blend" and losses["blend"] < losses["encoder"] < losses["linear"]
    blind = np.stack([logits[0], np.random.default_rng(1).normal(size=logits[1].shape)])
    assert choose(blind[:, half], truth[half], shown, ("encoder", "linear"), 0.002)[0].candidate == "linear"
    assert choose(logits[:, :0], truth[:0], shown, CANDIDATES, 0.002)[0].candidate == "blend"


def test_the_cascade_leaves_the_encoder_what_is_not_sure_and_costs_little() -> None:
    logits, truth = world()
    shown = np.ones(3, dtype=bool)
    choice, _ = choose(logits[:, :3000], truth[:3000], shown, CANDIDATES, 0.01)
    linear, encoder, labels = logits[0, 3000:], logits[1, 3000:], truth[3000:]
    settled = choice.is_sure(linear)
    always, _ = choose(logits[:, :3000], truth[:3000], shown, CANDIDATES, 0.0)
    assert 0.1 < settled.mean() < 1 and always.is_sure(linear).mean() <= settled.mean()
    with_cascade, without = (choice.read(linear, encoder, rows)[1] for rows in (settled, np.zeros(3000, dtype=bool)))
    assert macro_f1(with_cascade, labels, 3) > macro_f1(without, labels, 3) - 0.02
    garbage = np.where(settled[:, None], np.nan, encoder)
    np.testing.assert_array_equal(choice.read(linear, garbage, settled)[1], with_cascade)
    assert choose(logits[:, :200], truth[:200], shown, ("blend",), 1.0)[0].bound == NEVER_SURE, "too few to know where it is sure"
