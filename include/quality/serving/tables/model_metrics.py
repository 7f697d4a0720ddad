"""Figures of the models: a champion that is worse than its baseline is told."""

from __future__ import annotations

from include.quality.serving.served import ServedChecks

LOWER_IS_BETTER = "^ece$|loss|error|brier|rmse|mae"
NEITHER_IS_BETTER = "^(coverage|novelty|diversity|miscalibration|popularity_bias)@"  # personal lists may well be narrower than popular ones


def check(checks: ServedChecks) -> None:
    better = f"CASE WHEN regexp_matches(metric, '{LOWER_IS_BETTER}') THEN value > baseline_value ELSE value < baseline_value END"
    below = f"role = 'champion' AND NOT regexp_matches(metric, '{NEITHER_IS_BETTER}') AND {better}"
    checks.none_where("champion_not_below_baseline", "warn", below, "value", "baseline", "baseline_value")
