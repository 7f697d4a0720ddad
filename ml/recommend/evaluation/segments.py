"""Segments of customers for whom popularity ranks better than the model: they get popularity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.evidence import is_better
from ml.nightly_model import Evaluation


def worse_than_popularity(evaluation: Evaluation, segments: pa.StringArray, min_customers: int) -> list[str]:
    """Names of the segments in which popularity's mean score is above the model's beyond chance (see `is_better`), sorted. Segments with
    fewer than `min_customers` customers are left out.

    Args:
        evaluation: of n customers, with the baseline 'popularity'.
        segments: (n,) where each customer was before the evaluation's days; NULL where unknown.
    """
    gain = evaluation.baselines["popularity"] - evaluation.unit_scores
    names = segments.unique().drop_null().sort().to_pylist()
    members = {name: pc.equal(segments, name).fill_null(False).to_numpy(zero_copy_only=False) for name in names}
    known = {name: of_it for name, of_it in members.items() if of_it.sum() >= min_customers}
    return [name for name, of_it in known.items() if is_better(gain[of_it], tried=len(known))]


def is_in(segments: pa.StringArray, names: Sequence[str]) -> np.ndarray:
    """(n,) whether each customer's segment is one of `names`."""
    return np.asarray(pc.is_in(segments, pa.array(list(names), pa.string())).to_numpy(zero_copy_only=False))
