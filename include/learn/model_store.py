"""The models a shop keeps: one folder a model and night, with what the model was and how it did.

    models/<name>/<night>/judged/     the weights that were judged; they never saw that night's test days
    models/<name>/<night>/refitted/   the weights that predicted (only of a champion)
    models/<name>/<night>/meta.json   role, as_of, figures, up to when it learned, and who was champion and reference after that night

The folder is the truth that later nights go by. A night goes on from what the latest strictly earlier one left: the champion, who
predicted, and the reference, the champion that was last proven and that fresh models are measured by. Often they are the same.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from include.night import Night

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """A kept version of a model: its folder, and its meta.json."""

    folder: Path
    meta: dict[str, Any]

    @property
    def is_champion(self) -> bool:
        return bool(self.meta["role"] == "champion")

    @property
    def learned_until(self) -> datetime | None:
        """The judged weights learned from nothing at or after this moment (UTC); None where that was not written down."""
        until = self.meta.get("learned_until")
        return datetime.fromisoformat(until) if until else None

    @property
    def lineage(self) -> str:
        """What it was made from (see `lineage`)."""
        return str(self.meta.get("lineage", self.folder.name))

    @property
    def saved_format(self) -> int:
        return int(self.meta.get("saved_format", 1))

    @property
    def judged(self) -> Path:
        return self.folder / "judged"

    @property
    def refitted(self) -> Path:
        return self.folder / "refitted"


def kept_versions(night: Night, name: str) -> list[Kept]:
    """Every kept version of a model of this shop, oldest first."""
    folders = sorted(path.parent for path in (night.models / name).glob("*/meta.json") if not path.parent.name.startswith("."))
    return [Kept(folder, json.loads((folder / "meta.json").read_text())) for folder in folders]


@dataclass(frozen=True)
class Standing:
    """Who a night goes on from.

    Attributes:
        champion: predicted in the latest strictly earlier night; None in a first one.
        reference: the champion last proven, by which fresh models are measured; None likewise.
        champions: all kept ones of earlier nights, oldest first.
    """

    champion: Kept | None
    reference: Kept | None
    champions: list[Kept]


def standing_before(night: Night, name: str, saved_format: int) -> Standing:
    """How things stood before this night. Versions in a format that is no longer read do not count."""
    earlier = [kept for kept in kept_versions(night, name) if kept.folder.name < night.key]
    champions = {kept.folder.name: kept for kept in earlier if kept.is_champion}
    readable = {key: kept for key, kept in champions.items() if kept.saved_format == saved_format}
    if champions and not readable:
        log.warning("%s: the champion of %s is kept in a format that is no longer read: starting anew", name, max(champions))
    if not readable:
        return Standing(None, None, [])
    latest = readable[max(readable)]
    after = earlier[-1].meta
    champion = readable.get(after.get("champion", ""), latest)
    return Standing(champion, readable.get(after.get("reference", ""), champion), list(readable.values()))


@contextmanager
def keeping(night: Night, name: str) -> Iterator[Path]:
    """A private folder to write a version into; it takes its place at once when the block ends well, and is removed when it does not."""
    target = night.models / name / night.key
    private = target.with_name(f".{target.name}.{os.getpid()}")
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(".*"):
        shutil.rmtree(left)  # what a killed try of any night left; the shop belongs to this night
    private.mkdir()
    try:
        yield private
        if target.exists():
            target.rename(target.with_name(f".{target.name}.replaced"))
        private.rename(target)
    finally:
        for left in target.parent.glob(".*"):
            shutil.rmtree(left)


def forget(night: Night, name: str) -> None:
    """Remove what an earlier try of this night kept."""
    shutil.rmtree(night.models / name / night.key, ignore_errors=True)


def prune(night: Night, name: str) -> None:
    """Keep the latest `keep_releases` versions, this night's, and whoever was champion or reference after one of these or after the one
    before them, so that each of these nights can be run again; remove the others."""
    versions = kept_versions(night, name)
    recent = versions[-night.settings.keep_releases - 1 :]
    keep = {kept.folder.name for kept in recent[-night.settings.keep_releases :]} | {night.key}
    for kept in recent:
        keep |= {str(kept.meta.get(role, kept.folder.name)) for role in ("champion", "reference")}
    for kept in versions:
        if kept.folder.name not in keep:
            log.info("%s: removing version %s", name, kept.folder.name)
            shutil.rmtree(kept.folder)
