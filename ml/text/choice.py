"""Which classifier decides: the linear one, a costlier second one, or both; and where the linear one is sure enough to decide alone.

The second one is the encoder, or the network for texts in scripts that the encoder does not support.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ml.text.calibration import Calibration, calibrate, expected_macro_f1, held_out_probabilities, log_loss
from ml.text.languages import Reading
from ml.text.sentiment_config import CANDIDATES, Candidate, SentimentConfig

log = logging.getLogger(__name__)

# which of (linear, second) a candidate uses, the cheapest candidate first
ASKED = {"linear": (True, False), "encoder": (False, True), "network": (False, True), "blend": (True, True)}
BOUNDS = np.concatenate([np.arange(0.70, 0.95, 0.05), np.arange(0.95, 1.0, 0.005)]).round(3)
NEVER_SURE = 2.0
MIN_REVIEWS_TO_CHOOSE = 200  # validation reviews of a reading below which others are used too
MIN_REVIEWS_TO_BE_SURE = 300  # validation reviews below which the second classifier is always used


@dataclass(frozen=True)
class ClassifierChoice:
    """How reviews are decided from the logits of (linear, second).

    Attributes:
        candidate: the one that was chosen.
        calibration: of the logits of both.
        alone: of the linear classifier's logits where it decides alone.
        bound: the linear classifier's probability from which it decides alone; NEVER_SURE where the second is always used.
    """

    candidate: Candidate
    calibration: Calibration
    alone: Calibration
    bound: float

    @property
    def asks_second(self) -> bool:
        return self.candidate != "linear"

    def is_sure(self, linear: np.ndarray) -> np.ndarray:
        """(n,) whether the (n, classes) logits of the linear classifier settle a review."""
        if not self.asks_second:
            return np.ones(len(linear), dtype=bool)
        return np.asarray(self.alone.probabilities(_beside_nothing(linear)).max(axis=1) >= self.bound)

    def read(self, linear: np.ndarray, second: np.ndarray, settled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, classes) probabilities and (n,) decided classes, from the linear logits alone where `settled`."""
        alone, both = self.alone.probabilities(_beside_nothing(linear)), self.calibration.probabilities(np.stack([linear, second]))
        return np.where(settled[:, None], alone, both), np.where(settled, self.alone.decide(alone), self.calibration.decide(both))

    def to_json(self) -> dict[str, Any]:
        return {
            "candidate": self.candidate,
            "calibration": self.calibration.to_json(),
            "alone": self.alone.to_json(),
            "bound": self.bound,
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> ClassifierChoice:
        calibration, alone = Calibration.from_json(fields["calibration"]), Calibration.from_json(fields["alone"])
        return cls(cast(Candidate, fields["candidate"]), calibration, alone, float(fields["bound"]))


def choose_by_reading(
    logits: np.ndarray,
    labels: np.ndarray,
    readings: np.ndarray,
    has_second: Mapping[Reading, bool],
    shown: np.ndarray,
    config: SentimentConfig,
) -> dict[Reading, ClassifierChoice]:
    """The choice for each Reading, by its own validation reviews where it has enough of them, else by those of other readings too.

    Args:
        logits: (2, n, classes) as in `choose`.
        labels: (n,)
        readings: (n,) Reading of each review.
        has_second: whether there is a second classifier for texts of a Reading.
        shown: (classes,) whether a class has training reviews.
    """
    can_read = np.flatnonzero(readings != Reading.UNSUPPORTED)
    choices = {}
    for reading in Reading:
        other = "encoder" if reading == Reading.UNSUPPORTED else "network"
        candidates = tuple(name for name in config.candidates if name != other) if has_second[reading] else ("linear",)
        rows = np.flatnonzero(readings == reading)
        if len(rows) < MIN_REVIEWS_TO_CHOOSE:
            rows = can_read if has_second[reading] and reading != Reading.UNSUPPORTED else np.arange(len(labels))
        choices[reading], losses = choose(logits[:, rows], labels[rows], shown, candidates, config.cascade_loss)
        log.info(
            "%s texts: %s by log loss on %d validation reviews (%s), the linear model alone from %.3f",
            reading.name.lower(),
            choices[reading].candidate,
            len(rows),
            ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items()),
            choices[reading].bound,
        )
    return choices


def choose(
    logits: np.ndarray, labels: np.ndarray, shown: np.ndarray, candidates: tuple[Candidate, ...], loss: float
) -> tuple[ClassifierChoice, dict[Candidate, float]]:
    """Choose by the log loss on validation reviews, each with a calibration fitted to others. Ties go to the cheaper candidate.

    Args:
        logits: (2, n, classes) of (linear, second) on reviews that neither was trained on.
        labels: (n,)
        shown: (classes,) whether a class has training reviews.
        candidates: which may be chosen.
        loss: macro-F1 that may be lost where the linear classifier is sure and decides alone.

    Returns:
        The choice, and every candidate's log loss. Without reviews the costliest candidate is taken.
    """
    able = [name for name in CANDIDATES if name in candidates]
    asked = {name: np.array(ASKED[name]) for name in able}
    losses: dict[Candidate, float] = {}
    if len(labels):
        losses = {name: log_loss(held_out_probabilities(logits, labels, asked[name], shown), labels) for name in able}
    best = min(able, key=lambda name: losses[name]) if losses else able[-1]
    calibration = calibrate(logits, labels, asked[best], shown)
    alone = calibrate(logits, labels, np.array(ASKED["linear"]), shown)
    bound = _lowest_bound(logits, shown, calibration, alone, loss) if best == "blend" else NEVER_SURE
    return ClassifierChoice(best, calibration, alone, bound), losses


def _lowest_bound(logits: np.ndarray, shown: np.ndarray, calibration: Calibration, alone: Calibration, loss: float) -> float:
    """The lowest bound such that, at it and at all bounds above, the linear classifier's decisions cost at most `loss` of macro-F1.

    The macro-F1 is what the calibrated probabilities of the blend let expect; counted labels of a rare class would be too noisy.
    """
    if logits.shape[1] < MIN_REVIEWS_TO_BE_SURE:
        return NEVER_SURE
    own, probabilities = alone.probabilities(logits), calibration.probabilities(logits)
    sure, lone, both = own.max(axis=1), alone.decide(own), calibration.decide(probabilities)
    least = expected_macro_f1(probabilities, both, shown) - loss
    good = [expected_macro_f1(probabilities, np.where(sure >= bound, lone, both), shown) >= least for bound in BOUNDS]
    from_here = np.logical_and.accumulate(good[::-1])[::-1]
    return float(BOUNDS[np.argmax(from_here)]) if from_here.any() else NEVER_SURE


def _beside_nothing(linear: np.ndarray) -> np.ndarray:
    return np.stack([linear, np.zeros_like(linear)])
