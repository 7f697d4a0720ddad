"""The releases on disk: which there are, which one is served, and how one is put in front of the readers."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb

RELEASE_ID = re.compile(r"^\d{8}T\d{6}-[0-9a-f]{8}$")


@dataclass(frozen=True, order=True)
class Release:
    """One published night; releases sort by the moment they stand for, then by id."""

    as_of: datetime
    release_id: str
    shop: str
    source: str = field(compare=False)
    path: Path = field(compare=False)


def read_release(path: Path) -> Release:
    """What a release file says of itself.

    Raises:
        duckdb.Error: the file is no release.
    """
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute("SELECT as_of, release_id, shop, source FROM main.release").fetchall()
    if len(rows) != 1:
        raise duckdb.InvalidInputException(f"{path.name} holds {len(rows)} rows in table release instead of one")
    as_of, release_id, shop, source = rows[0]
    return Release(as_of, release_id, shop, source, path)


def list_releases(home: Path, shop: str | None = None) -> list[Release]:
    """Releases kept under `home`, oldest as-of moment first; of one shop where it is named."""
    found = sorted(read_release(path) for path in (home / "releases").glob("*.duckdb") if RELEASE_ID.match(path.stem))
    return [release for release in found if shop in (None, release.shop)]


def current_release(home: Path) -> Release | None:
    """The release readers see now."""
    serving = home / "serving" / "nightshelf.duckdb"
    return read_release(serving) if serving.exists() else None


def latest_release_before(home: Path, shop: str, as_of: datetime) -> Release | None:
    """The shop's latest kept release that stands for a moment before `as_of` (a UTC time, with or without zone)."""
    earlier = [release for release in list_releases(home, shop) if release.as_of < as_of.replace(tzinfo=None)]
    return earlier[-1] if earlier else None


def serve(release: Path, serving: Path) -> None:
    """Put a release in front of the readers in one atomic step; who has the old one open keeps it.

    A second name for the same file costs neither time nor disk; where the file system has no links it is copied.
    """
    serving.parent.mkdir(parents=True, exist_ok=True)
    incoming = serving.with_name(f".{serving.name}.incoming")
    incoming.unlink(missing_ok=True)
    try:
        try:
            os.link(release, incoming)
        except OSError:
            shutil.copyfile(release, incoming)
            sync(incoming)
        os.replace(incoming, serving)
    finally:
        incoming.unlink(missing_ok=True)
    sync(serving.parent)


def sync(path: Path) -> None:
    """Force a file, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
