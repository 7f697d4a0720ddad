"""The output tables as they declare themselves: the `meta` in the YAML beside each one's SQL in `dbt_project/models/serving/`.

    config:
      meta:
        key: [customer_id, rank]          # no two rows share it; a release lies in this order
        writer: recommender               # the model whose predictions it holds; without it, SQL alone makes it
        if_empty: warn                    # or stop, though its writer wrote something; fine unless it says otherwise
        compared_with_yesterday: true     # a great loss of rows against the last release is told
        not_null: [score]                 # beside the key and release_id
        between: {score: [-1, 1]}         # bounds, null where there is none
        allowed: {sentiment: [negative, neutral, positive]}
        references: {review_id: reviews}  # ids that the feature file of this name must hold, reviews.parquet in its column review_id
        shown: [product_id]               # columns that say more of an offending row than its key
        rows:                             # what no row may be; $as_of is the night's moment
          - {name: falls_only, never: score_then >= score_before, shown: [score_then], severity: stop}

The serving gate, the release, the README's list and the docs read it from there. What needs several rows or other tables is written by hand
in `include/quality/serving/tables/<table>.py`.
"""

from __future__ import annotations

import functools
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from include.stages import PROJECT
from ml.model_spec import known_models


class RowRule(BaseModel):
    """What no row of a table may be: a condition in SQL."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    never: str
    shown: tuple[str, ...] = ()
    severity: Literal["warn", "stop"] = "stop"


class ServedTable(BaseModel):
    """What a table of the release says of itself. Columns are in the table's order, with their descriptions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    columns: dict[str, str]
    key: tuple[str, ...] = Field(min_length=1)
    writer: str | None = None
    if_empty: Literal["fine", "warn", "stop"] = "fine"
    compared_with_yesterday: bool = False
    not_null: tuple[str, ...] = ()
    between: dict[str, tuple[int | float | None, int | float | None]] = {}
    allowed: dict[str, tuple[str, ...]] = {}
    references: dict[str, str] = {}
    shown: tuple[str, ...] = ()
    rows: tuple[RowRule, ...] = ()


@functools.cache
def served_tables() -> dict[str, ServedTable]:
    """Every output table, by name, sorted.

    Raises:
        TypeError: a table says nothing of itself, or names a column or a model that there is not; the message names the file.
    """
    found: dict[str, ServedTable] = {}
    for path in sorted((PROJECT / "models" / "serving").glob("*.sql")):
        declared = path.with_suffix(".yml")
        if not declared.exists():
            raise TypeError(f"{declared.relative_to(PROJECT)} is missing: it says what the table's key is, and describes its columns")
        try:
            (model,) = [model for model in yaml.safe_load(declared.read_text())["models"] if model["name"] == path.stem]
            columns = {column["name"]: column["description"] for column in model["columns"]}
            meta: dict[str, Any] = model["config"]["meta"]
            table = ServedTable(name=path.stem, description=model["description"], columns=columns, **meta)
        except (KeyError, ValueError, ValidationError) as error:
            raise TypeError(f"{declared.relative_to(PROJECT)}: {type(error).__name__}: {error}") from error
        _require_known(table)
        found[table.name] = table
    return found


def _require_known(table: ServedTable) -> None:
    named = {*table.key, *table.not_null, *table.between, *table.allowed, *table.references, *table.shown}
    named |= {column for row in table.rows for column in row.shown}
    if unknown := sorted(named - table.columns.keys()):
        raise TypeError(f"models/serving/{table.name}.yml names columns that the table has not: {', '.join(unknown)}")
    if table.writer and table.writer not in known_models():
        raise TypeError(f"models/serving/{table.name}.yml names {table.writer!r} as writer, and there is no such model")
