"""The shop's data, brought into the landing folder as files of the store contract.

A folder here is a kind of shop: the `demo` generator, `files` (a shop that writes the contract itself), or a folder of
SELECTs, one `<table>.sql` a contract table, over somebody else's files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from include.errors import BadSource

if TYPE_CHECKING:
    from include.night import Night

SOURCES = Path(__file__).resolve().parent


def known_sources() -> list[str]:
    """The names `source` may have, sorted: `files` and every folder here that holds a generator or SELECTs."""
    folders = (folder for folder in SOURCES.iterdir() if folder.is_dir() and not folder.name.startswith(("_", ".")))
    return sorted({"files"} | {folder.name for folder in folders if (folder / "__init__.py").exists() or any(folder.glob("*.sql"))})


def land(night: Night) -> None:
    """Bring everything the shop handed over before the night's as-of moment into `night.landing`.

    Raises:
        BadSource: the source is unknown, or its data folder is missing or cannot be read.
    """
    source = night.settings.source
    with night.step("land") as notes:
        if source not in known_sources():
            raise BadSource(f"source: there is no shop data of kind {source!r}", f"Choose one of: {', '.join(known_sources())}.")
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
