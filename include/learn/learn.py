"""One model's part of a night: fit, judge, compare with the champion, keep, predict.

The challenger is fitted on everything before the test days and judged on them. The champion is judged on the same days with the
weights it was judged with on its own night: they are at least a night older and never saw these days. Who wins predicts with
weights refitted on the full history. Champion is who predicts tonight, challenger who lost the comparison; a first model is
champion without one. Where nobody can be judged nothing speaks for the challenger, and the champion stays.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from include.errors import BadSetting
from include.learn.compare import Interval, better_or_alike, paired_difference
from include.learn.models import MODELS, ModelLine
from include.learn.shelf import Kept, champion_before, forget, keeping, prune
from include.learn.tracking import Record, record
from include.learn.tuned import found_before, with_found
from include.night import Night
from ml.nightly_model import BEFORE_TEST, EVERYTHING, Evaluation, NightlyModel

log = logging.getLogger(__name__)

METRICS = pa.schema(
    [
        ("model", pa.string()),
        ("role", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("baseline", pa.string()),
        ("baseline_value", pa.float64()),
        ("split", pa.string()),
        ("evaluated_at", pa.timestamp("us")),
    ]
)


@dataclass(frozen=True)
class Outcome:
    """Who predicts tonight and how everyone did.

    Attributes:
        predictor: the champion of this night, with the weights that predict.
        by_role: evaluations of the champion, and of the challenger where one lost.
        difference: relative difference challenger to champion before the decision, where there was a comparison.
        is_new: whether the champion was fitted tonight.
    """

    predictor: NightlyModel
    by_role: dict[str, Evaluation]
    difference: Interval | None
    is_new: bool


def learn(night: Night, name: str) -> None:
    """Fit, judge, compare and keep model `name` ('sentiment', 'recommender'), and write its predictions and metrics of this night.

    Writes the model's files and metrics_<name>.parquet into night.predictions, and a version into night.models/<name>/<night>. A shop
    that cannot have the model gets neither; the step's notes say why.

    Raises:
        BadSetting: there is no model of that name.
    """
    line = MODELS.get(name)
    if line is None:
        raise BadSetting(f"No model is named {name!r}", f"Ask for one of {', '.join(MODELS)}.")
    config = with_found(night, name, line.config(night.settings))
    with night.step(f"learn_{name}") as notes:
        _clear(night, name, line)
        reason = line.model.why_not(night.features, config)
        if reason:
            forget(night, name)
            notes["skipped"] = reason
            log.warning("%s: this shop cannot have it tonight: %s", name, reason)
            return
        if found := found_before(night, name):
            notes["tuned"] = found
        champion = champion_before(night, name, line.model.saved_format)
        notes["champion_before"] = champion.folder.name if champion else None
        if champion and night.settings.models == "keep":
            forget(night, name)
            outcome = _keep_champion(night, line, config, champion)
        else:
            outcome = _challenge(night, name, line, config, champion)
        rows = outcome.predictor.predict(night.features, night.predictions, _cache(night), previous=earlier_predictions(night, name))
        _write_metrics(night, name, outcome)
        prune(night, name)
        notes |= {"rows": rows, "fitted_tonight": outcome.is_new, **_headline(outcome)}
        notes["tracking"] = record(
            night, Record(name, config.model_dump(mode="json"), _figures(night, outcome), is_champion=outcome.is_new)
        )


def _keep_champion(night: Night, line: ModelLine, config: Any, champion: Kept) -> Outcome:
    """Judge the champion as it is, and let it predict."""
    judged = _load(line, champion.judged, config)
    evaluation = judged.evaluate(night.features, "test", _cache(night))
    return Outcome(_load(line, champion.refitted, config), {"champion": evaluation}, None, is_new=False)


def _challenge(night: Night, name: str, line: ModelLine, config: Any, champion: Kept | None) -> Outcome:
    """Fit and judge a challenger, compare it with the champion, refit it if it wins, and keep it either way."""
    reigning = _load(line, champion.judged, config) if champion else None
    challenger = line.model(config)
    challenger.fit(night.features, BEFORE_TEST, _cache(night), warm_start=reigning)
    evaluation = challenger.evaluate(night.features, "test", _cache(night))
    by_role, difference, promoted = {"champion": evaluation}, None, True
    if reigning is not None:
        other = reigning.evaluate(night.features, "test", _cache(night))
        promoted = False
        if len(evaluation.unit_ids):
            promoted, difference = better_or_alike(evaluation, other, night.settings.promote_margin, night.settings.seed)
            log.info(
                "%s: challenger to champion %+.4f, 95 %% interval %+.4f to %+.4f", name, difference.value, difference.low, difference.high
            )
        by_role = {"champion": evaluation, "challenger": other} if promoted else {"champion": other, "challenger": evaluation}
    log.info("%s: %s", name, "the challenger is promoted" if promoted else "the champion stays")
    predictor = challenger
    if promoted:
        predictor = line.model(config)
        predictor.fit(night.features, EVERYTHING, _cache(night), warm_start=challenger)
    with keeping(night, name) as folder:
        _save(challenger, folder / "judged")
        if promoted:
            _save(predictor, folder / "refitted")
        meta = {
            "model": name,
            "shop": night.shop,
            "as_of": night.as_of_sql,
            "role": "champion" if promoted else "challenger",
            "saved_format": line.model.saved_format,
            "went_on_from": champion.folder.name if champion else None,
            "metrics": {metric.name: metric.value for metric in evaluation.metrics if math.isfinite(metric.value)},
        }
        (folder / "meta.json").write_text(json.dumps(meta, indent=2))
    if not promoted and champion:
        predictor = _load(line, champion.refitted, config)
    return Outcome(predictor, by_role, difference, is_new=promoted)


def _load(line: ModelLine, folder: Path, config: Any) -> NightlyModel:
    model = line.model.load(folder)
    model.serve_under(config)
    return model


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


def _clear(night: Night, name: str, line: ModelLine) -> None:
    """Remove what an earlier try of this night predicted."""
    night.predictions.mkdir(parents=True, exist_ok=True)
    for file in (*line.writes, f"metrics_{name}"):
        (night.predictions / f"{file}.parquet").unlink(missing_ok=True)


def _figures(night: Night, outcome: Outcome) -> list[dict[str, Any]]:
    """Rows of metrics_<name>, without model and time: every metric of every role, and bounds of the 95 % intervals.

    A figure that cannot be had is left out.
    """
    seed = night.settings.seed
    rows: list[dict[str, Any]] = []
    for role, evaluation in outcome.by_role.items():
        rows += [
            {
                "role": role,
                "metric": metric.name,
                "value": metric.value,
                "baseline": metric.baseline,
                "baseline_value": metric.baseline_value,
            }
            for metric in evaluation.metrics
        ]
        for name, scores in evaluation.baselines.items() if evaluation.unit_scores.size else ():
            interval = paired_difference(evaluation.unit_scores, scores, seed)
            rows += _bounds(role, f"{unit_metric(evaluation)}_minus_{name}", interval)
    if outcome.difference:
        fresh = "champion" if outcome.is_new else "challenger"
        measure = unit_metric(outcome.by_role[fresh])
        rows += _bounds(fresh, f"{measure}_over_champion_before", outcome.difference)
    split = next(iter(outcome.by_role.values())).split
    return [row | {"split": split} for row in rows if row["value"] is not None and math.isfinite(row["value"])]


def unit_metric(evaluation: Evaluation) -> str:
    """The metric whose mean over units is compared."""
    return evaluation.unit_metric or evaluation.metrics[0].name


def _bounds(role: str, metric: str, interval: Interval) -> Iterator[dict[str, Any]]:
    for suffix, value in (("", interval.value), ("_low", interval.low), ("_high", interval.high)):
        yield {"role": role, "metric": f"{metric}{suffix}", "value": value, "baseline": None, "baseline_value": None}


def _write_metrics(night: Night, name: str, outcome: Outcome) -> None:
    moment = night.as_of.replace(tzinfo=None)
    rows = [row | {"model": name, "evaluated_at": moment} for row in _figures(night, outcome)]
    pq.write_table(pa.Table.from_pylist(rows, schema=METRICS), night.predictions / f"metrics_{name}.parquet")


def _headline(outcome: Outcome) -> dict[str, Any]:
    """The deciding figure beside its baseline, for the step's notes; or why there is none."""
    metrics = outcome.by_role["champion"].metrics
    if outcome.by_role["champion"].nobody:
        return {"judged": f"nobody could be judged: {outcome.by_role['champion'].nobody}"}
    return {metrics[0].name: round(metrics[0].value, 4), f"{metrics[0].name}_baseline": metrics[0].baseline_value} if metrics else {}
