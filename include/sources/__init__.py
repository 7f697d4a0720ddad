"""The shop's data, brought into the landing folder as files of the store contract.

A folder here is a kind of shop: the `demo` generator, `files` (a shop that writes the contract itself), or a folder of
SELECTs, one `<table>.sql` a contract table, over somebody else's files. An installation keeps its own folders of SELECTs
elsewhere, in the folder that the setting `sources` names.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from include.errors import BadSource
from include.settings import Settings, load_settings

if TYPE_CHECKING:
    from include.night import Night

SOURCES = Path(__file__).resolve().parent


def known_sources(settings: Settings | None = None) -> list[str]:
    """The names `source` may have, sorted: `files`, every folder here that holds a generator or SELECTs, and the installation's own.

    Args:
        settings: say where the installation's own lie; by default those of the environment.

    Raises:
        BadSource: the folder of the installation's own is missing, or one of them has the name of one that is here.
    """
    own = (settings or load_settings()).sources
    folders = {"files": SOURCES / "files"} | {folder.name: folder for folder in _folders(SOURCES)}
    if own is None:
        return sorted(folders)
    if not own.is_dir():
        raise BadSource(f"sources: there is no folder {own}", "Point NIGHTSHELF_SOURCES to the folder that holds your own sources.")
    for folder in _folders(own):
        if folder.name in folders:
            raise BadSource(f"Two sources are named {folder.name}: {folders[folder.name]} and {folder}", "Give your own another name.")
        folders[folder.name] = folder
    return sorted(folders)


def folder_of(settings: Settings) -> Path:
    """Where a source's files.yml and SELECTs lie: with the installation's own, else here."""
    own = settings.sources / settings.source if settings.sources else None
    return own if own and own.is_dir() else SOURCES / settings.source


def _folders(place: Path) -> list[Path]:
    """The folders of a place that hold SELECTs; here, also those that hold a generator."""
    folders = (folder for folder in sorted(place.iterdir()) if folder.is_dir() and not folder.name.startswith(("_", ".")))
    return [folder for folder in folders if any(folder.glob("*.sql")) or (place == SOURCES and (folder / "__init__.py").exists())]


def land(night: Night) -> None:
    """Bring everything the shop handed over before the night's as-of moment into `night.landing`.

    Raises:
        BadSource: the source is unknown, or its data folder is missing or cannot be read.
    """
    source = night.settings.source
    with night.step("land") as notes:
        known = known_sources(night.settings)
        if source not in known:
            raise BadSource(f"source: there is no shop data of kind {source!r}", f"Choose one of: {', '.join(known)}.")
        if source == "demo":
            from include.sources import demo

            notes.update(demo.generate(night))
        elif source == "files":
            if not night.landing.is_dir():
                raise BadSource(
                    f"data: there is no folder {night.landing}",
                    "Create it with one folder a contract table, or point NIGHTSHELF_DATA to it.",
                )
            notes["landing"] = str(night.landing)
        else:
            from include.sources import mapping

            notes.update(mapping.map_source(night))
