"""What the models of a night left in its prediction folder, beside their predictions.

    metrics_<model>.parquet    how the model did; its lineage and deciding metric stand in the file's metadata
    ended_<model>.json         written last: {"absent": null}, or {"absent": reason} where this shop cannot have the model

A table that is made of predictions is not built before its model has ended.
"""

from __future__ import annotations

import json

from include.night import Night, write_atomically


def mark_ended(night: Night, model: str, absent: str | None = None) -> None:
    """Say that a model has done its part of the night; `absent` is the reason, for people, where the shop cannot have it."""
    write_atomically(night.predictions / f"ended_{model}.json", json.dumps({"absent": absent}))


def forget_ended(night: Night, model: str) -> None:
    (night.predictions / f"ended_{model}.json").unlink(missing_ok=True)


def absent_models(night: Night) -> dict[str, str]:
    """The models that the shop cannot have this night, by name, with the reason."""
    said = {file.stem.removeprefix("ended_"): json.loads(file.read_text()) for file in sorted(night.predictions.glob("ended_*.json"))}
    return {name: told["absent"] for name, told in said.items() if told["absent"]}
