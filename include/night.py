"""One night: which shop, as of which moment, with which settings, and where its files lie.

A night is opened once and written to disk; every later step loads it from there, so steps can run in processes of their
own and a killed night can be run again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from include.errors import BadSetting, MayPass, NightOvertaken, told_apart
from include.masking import mask_emails
from include.settings import Settings

log = logging.getLogger(__name__)

FIRST_YEAR = 1970  # keys of years below 1000 would not sort, and MLflow's clock begins here


def parse_as_of(text: str) -> datetime:
    """A moment from 'YYYY-MM-DD' (midnight UTC) or an ISO 8601 time, as an aware UTC datetime.

    Raises:
        BadSetting: the text is neither, or lies before 1970.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        if moment.year < FIRST_YEAR:
            raise ValueError(f"before {FIRST_YEAR}")
    except (ValueError, OverflowError) as error:
        raise BadSetting(f"as_of: {text!r} is not a date or time", "Write it as 2026-11-23 or 2026-11-23T02:00:00+00:00.") from error
    return moment


class Night(BaseModel):
    """One night of one shop. All paths follow from the settings and the as-of moment."""

    model_config = ConfigDict(frozen=True)

    settings: Settings
    as_of: datetime

    @field_validator("as_of")
    @classmethod
    def _whole_seconds_of_utc(cls, as_of: datetime) -> datetime:
        return as_of.astimezone(UTC).replace(microsecond=0)

    # ---- names -----------------------------------------------------------------------------------------------------
    @property
    def key(self) -> str:
        """The night's name in folders: its as-of moment, such as 20261123T020000."""
        return self.as_of.strftime("%Y%m%dT%H%M%S")

    @property
    def shop(self) -> str:
        """The name the shop's state is kept under; two data folders never share one."""
        if self.settings.shop:
            return self.settings.shop
        if self.settings.data is None:
            return self.settings.source
        return f"{self.settings.source}-{hashlib.sha256(str(self.settings.data).encode()).hexdigest()[:8]}"

    @property
    def as_of_sql(self) -> str:
        """The as-of moment as a UTC timestamp without zone, as SQL reads it."""
        return self.as_of.strftime("%Y-%m-%d %H:%M:%S")

    # ---- places ----------------------------------------------------------------------------------------------------
    @property
    def home(self) -> Path:
        return self.settings.home

    @property
    def shop_home(self) -> Path:
        """State of this shop alone; releases of all shops lie beside each other under `home`."""
        return self.home / "shops" / self.shop

    @property
    def landing(self) -> Path:
        """Folder collecting reads: one folder a contract table. A shop that writes the contract itself is read in place."""
        if self.settings.source == "files":
            return self.settings.data or self.home / "landing"
        return self.shop_home / "landing"

    @property
    def warehouse(self) -> Path:
        return self.shop_home / "warehouse.duckdb"

    @property
    def features(self) -> Path:
        return self.shop_home / "features" / self.key

    @property
    def predictions(self) -> Path:
        return self.shop_home / "predictions" / self.key

    @property
    def models(self) -> Path:
        return self.shop_home / "models"

    @property
    def folder(self) -> Path:
        """What this night wrote about itself: night.json, steps.jsonl, collected.json, quality/*.json, logs."""
        return self.shop_home / "nights" / self.key

    @property
    def releases(self) -> Path:
        return self.home / "releases"

    @property
    def serving(self) -> Path:
        return self.home / "serving" / "nightshelf.duckdb"

    @property
    def reports(self) -> Path:
        return self.home / "reports"

    # ---- life ------------------------------------------------------------------------------------------------------
    @classmethod
    def open(cls, settings: Settings, as_of: datetime) -> Night:
        """Begin (or begin again) a night, and claim the shop for it.

        What the steps of an earlier try noted down stays, so that a night can go on from the step that failed; with other
        settings it is another night, and begins with an empty page.
        """
        night = cls(settings=settings, as_of=as_of)
        text, path = night.model_dump_json(indent=2), night.folder / "night.json"
        night.home.mkdir(parents=True, exist_ok=True)
        with told_apart(night.home):
            if not path.exists() or path.read_text() != text:
                (night.folder / "steps.jsonl").unlink(missing_ok=True)
                write_atomically(path, text)
            write_atomically(night.shop_home / "current_night", night.key)
        return night

    @classmethod
    def load(cls, folder: str | Path) -> Night:
        """The night whose folder this is."""
        return cls.model_validate_json((Path(folder) / "night.json").read_text())

    @contextmanager
    def step(self, name: str) -> Iterator[dict[str, Any]]:
        """Time a step and keep what it notes down: appends one line to steps.jsonl, also when the step fails.

        Yields a dictionary for the step's own figures (rows read, say). Line: step, status ('done' or 'failed'),
        started_at, seconds, peak_mb (of this process, its largest child and, where the notes have a peak_mb, a process that goes on
        working for others), notes, and problem, next_step when it failed.

        Raises:
            NightOvertaken: another night was opened for this shop meanwhile; writing on would mix the two.
            MayPass: the disk is full, a file is in use, or memory does not suffice, whatever the step raised.
        """
        claim = (self.shop_home / "current_night").read_text()
        if claim != self.key:
            raise NightOvertaken(
                f"Night {self.key} of {self.shop} was overtaken by night {claim}", "Run this night again when the other has ended."
            )
        notes: dict[str, Any] = {}
        line: dict[str, Any] = {"step": name, "status": "failed", "started_at": datetime.now(UTC).isoformat(timespec="seconds")}
        began = time.perf_counter()
        log.info("%s: begins (night %s of %s)", name, self.key, self.shop)
        try:
            with told_apart(self.home):
                yield notes
            line["status"] = "done"
        except BaseException as error:
            line["problem"] = getattr(error, "problem", mask_emails(f"{type(error).__name__}: {error}"))
            line["next_step"] = getattr(error, "next_step", "Read the task's log, mend the cause and run the night again.")
            raise
        finally:
            line["seconds"] = round(time.perf_counter() - began, 3)
            peaks = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
            line["peak_mb"] = max(round(max(peaks) / 1024), notes.get("peak_mb", 0))
            line["notes"] = notes
            try:
                with told_apart(self.home):
                    _append(self.folder / "steps.jsonl", json.dumps(line, default=str) + "\n")
            except MayPass:
                if line["status"] == "done":  # a step that failed says why itself
                    raise
            log.info("%s: %s after %.1f s, %s", name, line["status"], line["seconds"], notes)

    def steps(self) -> list[dict[str, Any]]:
        """The steps so far, in the order they ended; of a step that was tried again, the last try."""
        path = self.folder / "steps.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return list({line["step"]: line for line in lines}.values())


def write_atomically(path: Path, text: str) -> None:
    """Write a small text file so that a reader sees the old text or the new one, never a part.

    What a killed try left under the private name is written over by the next one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_text(text)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _append(path: Path, line: str) -> None:
    """Add a line to a file; where the disk is full, no part of it."""
    with path.open("ab", buffering=0) as file:
        size = file.tell()
        written = file.write(line.encode())
        if written < len(line.encode()):
            file.truncate(size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
