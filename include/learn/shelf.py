"""The models a shop keeps: one folder a model and night, with what the model was and how it did.

    models/<name>/<night>/judged/     the weights that were judged; they never saw that night's test days
    models/<name>/<night>/refitted/   the weights that predicted (only of a champion)
    models/<name>/<night>/meta.json   role, as_of, figures

The folder is the truth that later nights go by: the champion of a night is the latest kept champion of a strictly earlier one.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.night import Night

log = logging.getLogger(__name__)

CHAMPIONS_KEPT = 2  # the current one, and the one a repeated last night goes on from


@dataclass(frozen=True)
class Kept:
    """A kept version of a model: its folder, and its meta.json."""

    folder: Path
    meta: dict[str, Any]

    @property
    def is_champion(self) -> bool:
        return bool(self.meta["role"] == "champion")

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


def champion_before(night: Night, name: str, saved_format: int) -> Kept | None:
    """The champion this night goes on from: the latest of a strictly earlier night; None without one, or where that has another format."""
    earlier = [kept for kept in kept_versions(night, name) if kept.is_champion and kept.folder.name < night.key]
    if earlier and earlier[-1].saved_format != saved_format:
        log.warning("%s: the champion of %s is kept in a format that is no longer read: starting anew", name, earlier[-1].folder.name)
        return None
    return earlier[-1] if earlier else None


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
    """Keep the latest `keep_releases` versions, the latest two champions and this night's; remove the others."""
    versions = kept_versions(night, name)
    champions = [kept.folder for kept in versions if kept.is_champion][-CHAMPIONS_KEPT:]
    keep = {kept.folder for kept in versions[-night.settings.keep_releases :]} | set(champions) | {night.models / name / night.key}
    for kept in versions:
        if kept.folder not in keep:
            log.info("%s: removing version %s", name, kept.folder.name)
            shutil.rmtree(kept.folder)
