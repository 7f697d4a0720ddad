"""What the search for settings found for a shop, and its use in later nights.

    tuned/<model>.json    a list, oldest first: as_of of the night it was found on, settings, by how much they were better

A night uses what was found on a strictly earlier one, so that a past night run again is the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from include.night import Night, write_atomically


def tuned_file(night: Night, name: str) -> Path:
    return night.shop_home / "tuned" / f"{name}.json"


def found_before(night: Night, name: str) -> dict[str, Any]:
    """The settings a night of the model goes by beyond the installation's; empty where no search found better ones."""
    earlier = [entry for entry in _entries(night, name) if entry["night"] < night.key]
    settings: dict[str, Any] = earlier[-1]["settings"] if earlier else {}
    return settings


def keep_found(night: Night, name: str, entry: dict[str, Any]) -> None:
    """Write down what a search on this night's features found, instead of what an earlier search on the same night did."""
    others = [other for other in _entries(night, name) if other["night"] != night.key]
    _write(night, name, sorted([*others, {"night": night.key} | entry], key=lambda kept: kept["night"]))


def forget_found(night: Night, name: str) -> None:
    """Take back what an earlier search on this night's features found."""
    _write(night, name, [other for other in _entries(night, name) if other["night"] != night.key])


def with_found(night: Night, name: str, config: Any) -> Any:
    """The model's config of this night: the installation's, and what was found over it.

    Settings that the config does not have any more are left out.
    """
    found = {key: value for key, value in found_before(night, name).items() if key in type(config).model_fields}
    return type(config).model_validate(config.model_dump() | found)


def _write(night: Night, name: str, entries: list[dict[str, Any]]) -> None:
    if entries:
        write_atomically(tuned_file(night, name), json.dumps(entries, indent=2))
    else:
        tuned_file(night, name).unlink(missing_ok=True)


def _entries(night: Night, name: str) -> list[dict[str, Any]]:
    file = tuned_file(night, name)
    entries: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []
    return entries
