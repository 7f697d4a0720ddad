"""The landing folder: which files lie there for which table, and whether a file's bytes can be read at all."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from include.collect.contract import Contract, Table

log = logging.getLogger(__name__)

FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
}
REFUSED_NOTE = ".refused.json"  # what a source leaves where it could not make a table's file
CHUNK_BYTES = 1 << 20
HEAD_CHARACTERS = 1 << 18


class Unreadable(Exception):
    """A file that must be refused whole; the message is the reason."""


@dataclass(frozen=True)
class LandingFile:
    """A file in the landing folder. `name` is its path relative to that folder, `format` one of csv, json, parquet, refused."""

    table: Table
    path: Path
    name: str
    format: str


@dataclass(frozen=True)
class Text:
    """What one pass over a text file showed.

    Attributes:
        head: its beginning, without byte order mark.
        lines: number of line feeds, and one more where the last line lacks its own.
        quotes: number of double quotes.
        bare_returns: number of carriage returns that no line feed follows.
    """

    head: str
    lines: int
    quotes: int
    bare_returns: int


def find_files(landing: Path, contract: Contract) -> tuple[list[LandingFile], list[str]]:
    """All files to collect, <table>/<any name> and <table>.<format>, and the names of what is not read.

    Files come by table in the contract's order, then by name. Hidden files are passed over in silence.
    """
    found: list[LandingFile] = []
    ignored: list[str] = []
    names = {name: position for position, name in enumerate(contract.table_names)}
    for entry in sorted(landing.iterdir()) if landing.is_dir() else []:
        if entry.name.startswith("."):
            continue
        table = entry.name.lower() if entry.is_dir() else entry.name.lower().split(".")[0]
        if table not in names:
            ignored.append(_speakable(entry.name))
            continue
        for path in sorted(entry.iterdir()) if entry.is_dir() else [entry]:
            kind, name = _format(path.name.lower()), str(path.relative_to(landing))
            if kind and path.is_file() and name == _speakable(name):
                found.append(LandingFile(contract.table(table), path, name, kind))
            elif not path.name.startswith("."):
                ignored.append(_speakable(name))
    return sorted(found, key=lambda file: (names[file.table.name], file.name)), ignored


def _format(name: str) -> str | None:
    if name.startswith("."):
        return None
    return "refused" if name.endswith(REFUSED_NOTE) else FORMATS.get(Path(name.removesuffix(".gz")).suffix)


def _speakable(name: str) -> str:
    """A file name that is no UTF-8, spelled out: neither the database nor a log could take it as it is."""
    return name.encode("utf-8", "backslashreplace").decode()


def hash_file(path: Path) -> tuple[str, int]:
    """SHA-256 of the bytes as they lie on disk, and their number."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size


def open_bytes(path: Path) -> BinaryIO:
    """The file's bytes, unpacked where it is gzip."""
    return cast(BinaryIO, gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb"))


def inspect_text(path: Path) -> Text:
    """Read a text file once, in bounded memory: is it whole, is it UTF-8, how does it begin.

    Raises:
        Unreadable: it is in another encoding; the reason names the byte and the line.
        OSError, EOFError, zlib.error: it is cut short or no gzip.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    head: list[str] = []
    held = position = lines = quotes = bare_returns = 0
    last = b"\n"
    with open_bytes(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            if position == 0 and chunk.startswith(b"\x1f\x8b"):
                raise Unreadable("gzip, though its name does not say so: let it end in .gz")
            if position == 0 and chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise Unreadable("not UTF-8 but UTF-16; save it as UTF-8")
            pending = len(decoder.getstate()[0])
            try:
                text = decoder.decode(chunk)
            except UnicodeDecodeError as error:
                at, line = position - pending + error.start, lines + error.object[: error.start].count(b"\n") + 1
                raise Unreadable(
                    f"not UTF-8: byte 0x{error.object[error.start]:02x} at position {at}, line {line}; save it as UTF-8"
                ) from error
            if held < HEAD_CHARACTERS:
                head.append(text)
                held += len(text)
            position += len(chunk)
            lines += chunk.count(b"\n")
            quotes += chunk.count(b'"')
            bare_returns += chunk.count(b"\r") - chunk.count(b"\r\n") - (last == b"\r" and chunk.startswith(b"\n"))
            last = chunk[-1:]
    if decoder.getstate()[0]:
        raise Unreadable(f"not UTF-8: cut off within a character at position {position}, line {lines + 1}")
    return Text("".join(head).removeprefix("\ufeff"), lines + (last != b"\n"), quotes, bare_returns)


def read_refusal(path: Path) -> str:
    """The reason in a source's note {"path", "reason"} about a file it could not make."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        return f"{note['path']}: {note['reason']}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"refused by its source, whose note cannot be read: {error}"
