"""What came of a model's night, and the figures that are told of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from include.learn.compare import Interval, Verdict, paired_difference
from include.night import Night
from include.release_id import LINEAGE
from ml.nightly_model import Evaluation, NightlyModel

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
        verdict: of the comparison; None where there was none.
        reference: what the reference scored, where the challenger took its place.
        not_compared: why there was no comparison, for people; '' where there was one or nobody to be compared with.
        is_new: whether the champion was fitted tonight.
    """

    predictor: NightlyModel
    by_role: dict[str, Evaluation]
    verdict: Verdict | None = None
    reference: Evaluation | None = None
    not_compared: str = ""
    is_new: bool = True


def figures_of(night: Night, outcome: Outcome) -> list[dict[str, Any]]:
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
    if outcome.verdict:
        fresh = "champion" if outcome.is_new else "challenger"
        measure = unit_metric(outcome.by_role[fresh])
        rows += _bounds(fresh, f"{measure}_over_champion_before", outcome.verdict.tonight)
        rows += _bounds(fresh, f"{measure}_expected_over_champion_before", outcome.verdict.expected.interval)
    for metric in outcome.reference.metrics[:1] if outcome.reference else ():
        rows.append({"role": "champion", "metric": f"{metric.name}_of_champion_before", "value": metric.value})
    split = next(iter(outcome.by_role.values())).split
    return [row | {"split": split} for row in rows if row["value"] is not None and math.isfinite(row["value"])]


def unit_metric(evaluation: Evaluation) -> str:
    """The metric whose mean over units is compared."""
    return evaluation.unit_metric or evaluation.metrics[0].name


def _bounds(role: str, metric: str, interval: Interval) -> Iterator[dict[str, Any]]:
    for suffix, value in (("", interval.value), ("_low", interval.low), ("_high", interval.high)):
        yield {"role": role, "metric": f"{metric}{suffix}", "value": value}


def write_metrics(night: Night, outcome: Outcome, made: str) -> None:
    """Write metrics_<name>.parquet; the name of the deciding metric and the lineage stand in its metadata."""
    moment, name = night.as_of.replace(tzinfo=None), outcome.predictor.name
    rows = [row | {"model": name, "evaluated_at": moment} for row in figures_of(night, outcome)]
    schema = METRICS.with_metadata({LINEAGE: made, "deciding": outcome.predictor.deciding})
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), night.predictions / f"metrics_{name}.parquet")


def headline(outcome: Outcome) -> dict[str, Any]:
    """The deciding figure beside its baseline, for the step's notes; or why there is none."""
    metrics = outcome.by_role["champion"].metrics
    if outcome.by_role["champion"].nobody:
        return {"judged": f"nobody could be judged: {outcome.by_role['champion'].nobody}"}
    return {metrics[0].name: round(metrics[0].value, 4), f"{metrics[0].name}_baseline": metrics[0].baseline_value} if metrics else {}
