"""One model's part of a night: fit, judge, compare with the champion, keep, predict.

The challenger is fitted on everything before the test days and judged on them. The reference, the champion that was last proven, is
judged on the same days with the weights it was judged with on its own night: they are at least a night older and never saw these days; a
model that has seen them is not compared. Who wins predicts with weights refitted on the full history (see `judge_fresh`). Champion is who
predicts tonight, challenger the fresh model where it lost; a first model is champion without a comparison. Where nobody can be judged
nothing speaks for the challenger, and the champion stays.
"""

from __future__ import annotations

import json
import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from include.errors import BadSetting, NightError
from include.learn.comparison import comparable, compare, has_seen_test_days
from include.learn.judged import forget_judged
from include.learn.lineage import lineage
from include.learn.model_store import Kept, Standing, forget, keeping, prune, standing_before
from include.learn.outcome import Outcome, figures_of, headline, write_metrics
from include.learn.tracking import Record, record
from include.learn.tuned import found_before, with_found
from include.night import Night
from include.predictions import forget_ended, mark_ended
from ml.model_spec import ModelSpec, known_models
from ml.nightly_model import Evaluation, NightlyModel

log = logging.getLogger(__name__)


def learn(night: Night, name: str) -> None:
    """Fit, judge, compare and keep model `name` ('sentiment', 'recommender'), and write its predictions and metrics of this night.

    Writes the model's files and metrics_<name>.parquet into night.predictions, and a version into night.models/<name>/<night>. A shop
    that cannot have the model gets neither; the step's notes say why.

    Raises:
        BadSetting: there is no model of that name.
    """
    spec = known_models().get(name)
    if spec is None:
        raise BadSetting(f"No model is named {name!r}", f"Ask for one of {', '.join(known_models())}.")
    config = with_found(night, name, night.settings.of_model(name))
    with night.step(f"learn_{name}") as notes:
        _clear(night, spec)
        _require_features(night, spec)
        model = spec.load_class()
        reason = model.unavailable_reason(night.features, config)
        if reason:
            forget(night, name)
            notes["skipped"] = reason
            mark_ended(night, name, absent=reason)
            log.warning("%s: this shop cannot have it tonight: %s", name, reason)
            return
        if found := found_before(night, name):
            notes["tuned"] = found
        before, previous = standing_before(night, name, model.saved_format), earlier_predictions(night, name)
        compared_with, not_compared = comparable(night, model, before)
        made = lineage(night, name, before, compared_with, previous)
        notes |= {"champion_before": before.champion.folder.name if before.champion else None, "lineage": made}
        if before.champion and night.settings.models == "keep":
            forget(night, name)
            outcome = _keep_champion(night, model, config, before.champion)
        else:
            outcome = _challenge(night, model, config, before, compared_with, made)
            outcome = replace(outcome, not_compared=not_compared)
        rows = outcome.predictor.predict(night.features, night.predictions, _cache(night), previous=previous)
        write_metrics(night, outcome, made)
        prune(night, name)
        notes |= {"rows": rows, "fitted_tonight": outcome.is_new, **headline(outcome)}
        if outcome.not_compared:
            notes["not_compared"] = outcome.not_compared
        notes["tracking"] = record(
            night, Record(name, config.model_dump(mode="json"), figures_of(night, outcome), is_champion=outcome.is_new)
        )
        mark_ended(night, name)


def _keep_champion(night: Night, model: type[NightlyModel], config: Any, champion: Kept) -> Outcome:
    """Judge the champion as it is, and let it predict. Where it has seen tonight's test days nothing is told of it."""
    predictor = _load(model, champion.refitted, config)
    if reason := has_seen_test_days(night, model, champion):
        nobody = Evaluation("test", [], np.empty(0, dtype=object), np.empty(0), nobody=reason)
        return Outcome(predictor, {"champion": nobody}, not_compared=reason, is_new=False)
    judged = _load(model, champion.judged, config).evaluate(night.features, "test", _cache(night))
    return Outcome(predictor, {"champion": judged}, is_new=False)


def _challenge(night: Night, model: type[NightlyModel], config: Any, before: Standing, compared_with: Kept | None, made: str) -> Outcome:
    """Fit and judge a challenger, compare it, refit it if it is promoted, and keep it either way."""
    forget_judged(night, model.name)
    earlier = _load(model, before.champion.judged, config) if before.champion else None
    challenger = model(config)
    challenger.fit(night.features, _cache(night), warm_start=earlier)
    fresh = challenger.evaluate(night.features, "test", _cache(night))
    outcome, champion, reference = _decide(night, model, config, before, (challenger, fresh), earlier, compared_with, made)
    log.info("%s: %s", model.name, "the challenger is promoted" if outcome.is_new else f"the champion of {champion} predicts")
    if outcome.is_new:
        refitted = model(config)
        refitted.refit(night.features, _cache(night), challenger)
        outcome = replace(outcome, predictor=refitted)
    starts_at = model.test_starts_at(night.features)
    with keeping(night, model.name) as folder:
        _save(challenger, folder / "judged")
        if outcome.is_new:
            _save(outcome.predictor, folder / "refitted")
        meta = {
            "model": model.name,
            "shop": night.shop,
            "as_of": night.as_of_sql,
            "role": "champion" if outcome.is_new else "challenger",
            "champion": champion,
            "reference": reference,
            "learned_until": (starts_at or night.as_of.replace(tzinfo=None)).isoformat(),
            "saved_format": model.saved_format,
            "lineage": made,
            "metrics": {metric.name: metric.value for metric in fresh.metrics if math.isfinite(metric.value)},
        }
        (folder / "meta.json").write_text(json.dumps(meta, indent=2))
    return outcome


def _decide(
    night: Night,
    model: type[NightlyModel],
    config: Any,
    before: Standing,
    judged_tonight: tuple[NightlyModel, Evaluation],
    earlier: NightlyModel | None,
    compared_with: Kept | None,
    made: str,
) -> tuple[Outcome, str, str]:
    """Who predicts, and the nights of the champion and of the reference from now on.

    Args:
        judged_tonight: the challenger and how it did.
        earlier: the champion before, as it was judged.
        compared_with: the reference, or who stands in for it; None where nobody can.
        made: the lineage of the challenger.
    """
    challenger, fresh = judged_tonight
    if before.champion is None or before.reference is None or earlier is None:
        return Outcome(challenger, {"champion": fresh}), night.key, night.key
    if not len(fresh.unit_ids):  # nothing speaks for the challenger
        predictor = _load(model, before.champion.refitted, config)
        outcome = Outcome(predictor, {"champion": fresh}, is_new=False)
        return outcome, before.champion.folder.name, before.reference.folder.name
    if compared_with is None:
        return Outcome(challenger, {"champion": fresh}), night.key, night.key
    judged = earlier if compared_with is before.champion else _load(model, compared_with.judged, config)
    other = judged.evaluate(night.features, "test", _cache(night))
    verdict = compare(night, model.name, compared_with, fresh, other, made)
    if verdict.promoted:
        outcome = Outcome(challenger, {"champion": fresh}, verdict, reference=other)
        return outcome, night.key, night.key if verdict.proven else before.reference.folder.name
    predictor = _load(model, compared_with.refitted, config)
    outcome = Outcome(predictor, {"champion": other, "challenger": fresh}, verdict, is_new=False)
    return outcome, compared_with.folder.name, before.reference.folder.name


def _load(model: type[NightlyModel], folder: Path, config: Any) -> NightlyModel:
    kept = model.load(folder)
    kept.with_runtime_config(config)
    return kept


def _save(model: NightlyModel, folder: Path) -> None:
    folder.mkdir()
    model.save(folder)


def _cache(night: Night) -> Path:
    folder = night.shop_home / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def earlier_predictions(night: Night, name: str) -> Path | None:
    """Predictions of the shop's latest strictly earlier night in which model `name` came to its end; it writes its metrics last."""
    written = night.predictions.parent.glob(f"*/metrics_{name}.parquet")
    return max((path.parent for path in written if path.parent.name < night.key), default=None)


def _require_features(night: Night, spec: ModelSpec) -> None:
    """Refuse to learn from a part: a file that is missing would look like a shop without such rows."""
    if missing := [name for name in spec.reads if not (night.features / f"{name}.parquet").is_file()]:
        raise NightError(
            f"Model {spec.name!r} reads {', '.join(missing)}.parquet, which this night has not made",
            "Run the transform tasks of this night again; a file that no task makes is a mistake in the model's spec.py.",
        )


def _clear(night: Night, spec: ModelSpec) -> None:
    """Remove what an earlier try of this night predicted."""
    night.predictions.mkdir(parents=True, exist_ok=True)
    forget_ended(night, spec.name)
    for file in (*spec.writes, f"metrics_{spec.name}"):
        (night.predictions / f"{file}.parquet").unlink(missing_ok=True)
