"""How a model declares itself: all that the platform has to know of it, in one place, without importing anything heavy.

Every capability is a folder under `ml/` with a `spec.py`, which holds SPECS, a tuple of ModelSpec. The platform finds them there: settings,
the tasks of the night, the tracking, the report and the search for better settings follow. No list names them.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from importlib.util import find_spec
from typing import Any

from pydantic import BaseModel

import ml
from ml.nightly_model import NightlyModel


@dataclass(frozen=True)
class Range:
    """Values of a setting that a search may try, from `low` to `high`; on a logarithmic scale where what counts is the ratio."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class ReportTable:
    """A table of the morning report.

    Attributes:
        title: above it.
        sql: a SELECT over `serving.<table>` and `features.<file>` of the night. It may use $as_of, the night's moment (TIMESTAMP), and any
            setting by its name, such as $list_length. Columns are shown by their names, a list of texts as quotations.
        if_empty: what is said where it finds nothing; without it the table is left out.
    """

    title: str
    sql: str
    if_empty: str = ""


@dataclass(frozen=True)
class ModelSpec:
    """What a model needs, what it makes, and how it is run.

    Attributes:
        name: names the task `learn_<name>`, the model's folder and its files `metrics_<name>.parquet`.
        title: one sentence on what it does, for the task's page.
        model: 'module:Class' of the NightlyModel; imported only when the model is learned.
        config: its pydantic config.
        reads: feature files it needs, without '.parquet'. Where dbt makes one of them after another model (in
            `dbt_project/models/predictions/<model>/`), this one is learned after that.
        writes: prediction files, without '.parquet'.
        settings: fields of the config that an installation may set, as NIGHTSHELF_<prefix><field>; their bounds, defaults and descriptions
            are the config's.
        prefix: of the names of these settings.
        shared: fields of the config that take their value from a setting that is not the model's own, by field.
        sql_settings: settings that only dbt models read, under their own names; a variable of dbt_project.yml each.
        search: fields of the config that a search may change, and how far; empty where the model cannot be tuned.
        report: its section of the morning report.
        memory_gb: memory it may take; models whose sum a machine has are learned side by side.
        hours: after which the task is given up.
    """

    name: str
    title: str
    model: str
    config: type[BaseModel]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    settings: tuple[str, ...] = ()
    prefix: str = ""
    shared: Mapping[str, str] = field(default_factory=dict)
    sql_settings: type[BaseModel] | None = None
    search: Mapping[str, Range] = field(default_factory=dict)
    report: tuple[ReportTable, ...] = ()
    memory_gb: int = 2
    hours: float = 1

    def load_class(self) -> type[NightlyModel]:
        """The model's class.

        Raises:
            TypeError: `model` names something else.
        """
        module, _, name = self.model.partition(":")
        found = getattr(importlib.import_module(module), name)
        if not (isinstance(found, type) and issubclass(found, NightlyModel)):
            raise TypeError(f"{self.model} of model {self.name!r} is no NightlyModel")
        return found

    def own_settings(self) -> dict[str, tuple[Any, Any]]:
        """The settings this model brings, by name: type, and pydantic's field with bounds, default and description."""
        own = {f"{self.prefix}{name}": self.config.model_fields[name] for name in self.settings}
        own |= self.sql_settings.model_fields if self.sql_settings else {}
        return {name: (found.annotation, found) for name, found in own.items()}

    def config_under(self, settings: Mapping[str, Any]) -> Any:
        """The model's config under an installation's settings, by name."""
        from_own = {name: settings[f"{self.prefix}{name}"] for name in self.settings}
        return self.config.model_validate(from_own | {name: settings[setting] for name, setting in self.shared.items()})


@functools.cache
def known_models() -> dict[str, ModelSpec]:
    """Every model there is, by name: what the folders under `ml/` declare, sorted by name.

    Raises:
        TypeError: a spec.py holds no SPECS, or two models, prediction files or settings have one name.
    """
    found: dict[str, ModelSpec] = {}
    taken: dict[str, str] = {}
    for room in sorted(module.name for module in pkgutil.iter_modules(ml.__path__) if module.ispkg):
        if find_spec(f"ml.{room}.spec") is None:
            continue
        specs = getattr(importlib.import_module(f"ml.{room}.spec"), "SPECS", None)
        if not isinstance(specs, tuple) or not all(isinstance(spec, ModelSpec) for spec in specs):
            raise TypeError(f"ml/{room}/spec.py has no SPECS, a tuple of ModelSpec")
        for spec in specs:
            for name in (
                f"model {spec.name}",
                *(f"file {file}" for file in spec.writes),
                *(f"setting {name}" for name in spec.own_settings()),
            ):
                if name in taken:
                    raise TypeError(f"models {taken[name]!r} and {spec.name!r} both have a {name}")
                taken[name] = spec.name
            found[spec.name] = spec
    return {name: found[name] for name in sorted(found)}


def in_order(needs: Mapping[str, set[str]]) -> list[str]:
    """Names in an order in which each comes after those it needs, else by name.

    Raises:
        TypeError: models wait for each other.
    """
    sorter = TopologicalSorter({name: sorted(needs[name]) for name in sorted(needs)})
    ordered: list[str] = []
    try:
        sorter.prepare()
    except CycleError as error:
        raise TypeError(f"models wait for each other: {' -> '.join(error.args[1])}") from error
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        ordered += ready
        sorter.done(*ready)
    return ordered
