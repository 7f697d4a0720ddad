"""Whom a fresh model is compared with, and what comes of it."""

from __future__ import annotations

import logging

import numpy as np

from include.learn.compare import Verdict, judge_fresh
from include.learn.judged import judged_before, keep_judged, pooled
from include.learn.model_store import Kept, Standing
from include.night import Night
from include.release_id import LINEAGE
from ml.nightly_model import Evaluation, NightlyModel

log = logging.getLogger(__name__)


def has_seen_test_days(night: Night, model: type[NightlyModel], kept: Kept) -> str:
    """Why a kept model cannot be judged tonight, for people; '' where it can."""
    starts_at = model.test_starts_at(night.features)
    if starts_at is None or kept.learned_until is None or kept.learned_until <= starts_at:
        return ""
    return (
        f"the champion of {kept.folder.name} learned from rows up to {kept.learned_until:%Y-%m-%d %H:%M}, and tonight's test days begin at"
        f" {starts_at:%Y-%m-%d %H:%M}: it has seen what it would be judged on"
    )


def comparable(night: Night, model: type[NightlyModel], before: Standing) -> tuple[Kept | None, str]:
    """Whom the challenger is compared with: the reference, or, where that has seen tonight's test days, the latest champion that has not;
    and why, for people, if nobody is left."""
    if before.reference is None:
        return None, ""
    reason = has_seen_test_days(night, model, before.reference)
    for kept in (before.reference, *reversed(before.champions)):
        if not has_seen_test_days(night, model, kept):
            return kept, ""
    log.warning("%s: not compared: %s", model.name, reason)
    return None, reason


def compare(night: Night, name: str, reference: Kept, fresh: Evaluation, other: Evaluation, made: str) -> Verdict:
    """The verdict on a fresh model beside the reference, by tonight's scores and those of earlier nights; tonight's are kept for later
    ones."""
    if not np.array_equal(fresh.unit_ids, other.unit_ids):
        raise ValueError("challenger and reference were judged on different units; they must be judged on one snapshot and split")
    settings, scores = night.settings, (fresh.unit_ids, fresh.unit_scores, other.unit_scores)
    earlier = judged_before(night, name, reference.folder.name)
    verdict = judge_fresh(scores[1:], pooled(earlier, scores), settings.promote_margin, settings.seed)
    keep_judged(night, name, {"reference": reference.folder.name, LINEAGE: made}, scores)
    log.info(
        "%s: to the reference of %s %+.4f tonight (95 %% interval %+.4f to %+.4f), expected %+.4f by %d nights (%+.4f to %+.4f)",
        name,
        reference.folder.name,
        *(getattr(verdict.tonight, bound) for bound in ("value", "low", "high")),
        verdict.expected.value,
        1 + len(earlier),
        *(getattr(verdict.expected.interval, bound) for bound in ("low", "high")),
    )
    return verdict
