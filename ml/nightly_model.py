"""The one protocol every model of a night keeps: fit, evaluate, predict over Parquet; save and load without pickles.

A model reads the feature snapshot of one night, a folder of Parquet files that does not change while it is read, and writes Parquet
predictions. It knows neither the scheduler nor the warehouse, and it decides nothing about its own promotion.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np

Split = Literal["train", "validation", "test"]
BEFORE_TEST: tuple[Split, ...] = ("train", "validation")
EVERYTHING: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Metric:
    """One figure of a model's evaluation beside the baseline's on the same rows; `baseline` names it, such as 'popularity'."""

    name: str
    value: float
    baseline: str | None = None
    baseline_value: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """How a model did on one split.

    Attributes:
        metrics: every figure, the deciding one first (higher is better).
        unit_ids: (n,) what was evaluated one by one: customers or reviews, sorted. Two evaluations of one split on one snapshot have the
            same ids, so that models can be compared in pairs.
        unit_scores: (n,) the unit's share of the deciding figure.
        baselines: (n,) scores of each baseline on the same units, by its name. The one that metrics are compared with comes first.
        unit_metric: name of the metric that is the mean of `unit_scores`, where the deciding metric is no such mean; '' where it is.
        nobody: why there was nothing to evaluate on, for people; '' where there was. The figures are then NaN and are not published.
    """

    split: Split
    metrics: Sequence[Metric]
    unit_ids: np.ndarray
    unit_scores: np.ndarray
    baselines: Mapping[str, np.ndarray] = field(default_factory=dict)
    unit_metric: str = ""
    nobody: str = ""


class NightlyModel(ABC):
    """A model that is fitted, evaluated and asked for predictions every night.

    Subclasses take one pydantic config, which `save` keeps beside the weights. `deciding` names the first of their metrics. A subclass
    increases `saved_format` when its `load` can no longer read what `save` wrote before. A saved model of another format is left alone, and
    the next night starts from scratch.
    """

    name: ClassVar[str]
    deciding: ClassVar[str]
    saved_format: ClassVar[int] = 1
    config: Any

    def __init__(self, config: Any) -> None:
        self.config = config

    def with_runtime_config(self, config: Any) -> None:
        """Take over tonight's settings (list length, threads) in a model of an earlier night. Settings that its weights depend on stay."""
        self.config = config

    @classmethod
    @abstractmethod
    def unavailable_reason(cls, features: Path, config: object) -> str | None:
        """Why this shop cannot have this model (too few reviews, say), for people; None where it can."""

    @classmethod
    @abstractmethod
    def test_starts_at(cls, features: Path) -> datetime | None:
        """The moment (UTC, without zone) at which the snapshot's test rows begin; None where there are none. `fit` learns from
        nothing at or after it."""

    @abstractmethod
    def fit(self, features: Path, cache: Path, warm_start: Self | None = None) -> None:
        """Learn from the rows before the test days, and from nothing else, so that the model can be evaluated on these days.

        Choices (blend weights, calibration) are made on validation rows.

        Args:
            features: the snapshot folder.
            cache: folder that outlives the night, for what depends on content alone (text vectors by hash).
            warm_start: a model of an earlier night to continue from.
        """

    @abstractmethod
    def refit(self, features: Path, cache: Path, evaluated: Self) -> None:
        """Learn from all rows, those of the test days too, so that the model can predict.

        Args:
            evaluated: the model that `fit` left on the same snapshot; its choices are taken over.
        """

    @abstractmethod
    def evaluate(self, features: Path, split: Split, cache: Path) -> Evaluation:
        """Evaluate on the rows of `split`, with predictions from the history before it."""

    @abstractmethod
    def predict(self, features: Path, out: Path, cache: Path, previous: Path | None = None) -> dict[str, int]:
        """Write this model's prediction files into the folder `out`; returns rows by file name, without '.parquet'.

        Args:
            previous: an earlier night's prediction folder; what is unchanged may be taken from there.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write weights as safetensors and the rest as JSON or Parquet into `folder`, which exists and is empty."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """The model as `save` left it. Nothing in the folder is executed."""
