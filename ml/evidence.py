"""How sure a choice must be. One rule covers all that a night decides by figures of customers or reviews; it follows from what a wrong
choice costs.

* Between options that differ in nothing but the figure (a weight, a half-life), the best mean is taken. A wrong choice costs no more than
  the difference itself, and the next night chooses again.
* An option that replaces a simpler or safer one (a blend for one candidate generator, a ranker for a blend, a penalty, variety, popularity
  for a segment) needs a gain beyond chance. It is chosen again every night, so one wrong choice in six is affordable (NIGHTLY): one
  standard error. Where several such options are tried, the chance is divided among them (Bonferroni), because the best of five is one
  standard error ahead by luck alone.
* What later nights keep, and what people are told, may be wrong once in forty (LASTING): the 95 % interval.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

NIGHTLY = 0.16
LASTING = 0.025


def standard_errors(doubt: float, tried: int = 1) -> float:
    """How many standard errors a gain must measure, if it may come by chance with probability `doubt` over `tried` options."""
    return NormalDist().inv_cdf(1 - doubt / tried)


def is_better(gains: np.ndarray, tried: int = 1, doubt: float = NIGHTLY) -> bool:
    """Whether the mean of paired gains is above 0 beyond chance; False for fewer than two units.

    Args:
        gains: (n,) the option's score less that of the option it would replace, of each unit.
        tried: how many options compete for the place, of which this is the best.
        doubt: NIGHTLY or LASTING.
    """
    if len(gains) < 2:
        return False
    error = float(gains.std(ddof=1)) / np.sqrt(len(gains))
    return bool(gains.mean() > standard_errors(doubt, tried) * error)
