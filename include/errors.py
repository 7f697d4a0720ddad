"""The errors a night can end with. Each says what happened and what to do next."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from include.masking import mask_emails


class NightError(Exception):
    """A night cannot go on, and trying again without a change would fail the same way.

    E-mail addresses that a message quotes are masked.

    Args:
        problem: what is wrong, naming file, row, column or field where there is one.
        next_step: what the operator should do about it, as a sentence.
    """

    def __init__(self, problem: str, next_step: str) -> None:
        self.problem = mask_emails(problem)
        self.next_step = mask_emails(next_step)
        super().__init__(f"{self.problem}\n  Next: {self.next_step}")


class BadSetting(NightError):
    """A setting or a run parameter has a value that cannot be used."""


class BadSource(NightError):
    """The shop's data cannot be found or cannot be read at all."""


class GateRefused(NightError):
    """A quality gate found something that must not reach the shop."""


class NightOvertaken(NightError):
    """Another night has been opened for this shop since this one began."""


class MayPass(NightError):
    """What can pass by itself: a full disk, a file in use, too little memory. The same step tried again may do."""


@contextmanager
def told_apart(home: Path) -> Iterator[None]:
    """Raise as MayPass what can pass by itself, whatever class a library raised it as; all else goes through as it is.

    Args:
        home: a folder on the disk that is written to.

    Raises:
        MayPass: the disk is full, a file is in use, or memory does not suffice.
    """
    try:
        yield
    except Exception as error:
        may_pass = _may_pass(error, home)
        if may_pass is None or isinstance(error, MayPass):
            raise
        raise may_pass from error


# How the libraries of a night say it where their errors carry no number: the C library's own words (DuckDB, Rust), SQLite's, NumPy's,
# and DuckDB's where what it puts on disk for want of memory finds no room.
_FULL = (
    "No space left on device",
    "Disk quota exceeded",
    "File too large",
    "disk is full",
    "Not enough free space",
    "max_temp_directory_size",
)
_IN_USE = ("Could not set lock on file", "database is locked")
_NO_MEMORY = ("Cannot allocate memory", "Out of Memory Error", "not enough memory", "ended by signal 9")
_FULL_NUMBERS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_IN_USE_NUMBERS = {errno.EAGAIN, errno.EBUSY, errno.ETXTBSY}
_NOTHING_LEFT = 1 << 20  # bytes free below which a disk is full, whatever was said: torch and LightGBM speak of a file's position


def _may_pass(error: Exception, home: Path) -> MayPass | None:
    said = error.problem if isinstance(error, NightError) else f"{type(error).__name__}: {error}"
    number = error.errno if isinstance(error, OSError) else None
    is_refusal = isinstance(error, NightError)
    if number in _FULL_NUMBERS or _any(_FULL, said) or (not is_refusal and shutil.disk_usage(home).free < _NOTHING_LEFT):
        return MayPass(
            f"The disk is full: {said}",
            f"Make room on the disk of {home} and run the night again, or clear the failed task; until then the last release stays.",
        )
    if number in _IN_USE_NUMBERS or _any(_IN_USE, said):
        return MayPass(f"A file is in use: {said}", "End the process that has it open and run the night again, or clear the failed task.")
    if number == errno.ENOMEM or isinstance(error, MemoryError) or _any(_NO_MEMORY, said):
        return MayPass(
            f"The memory does not suffice: {said}",
            "End what else takes memory, or lower NIGHTSHELF_WAREHOUSE_MEMORY_GB and NIGHTSHELF_THREADS, and run the night again.",
        )
    return None


def _any(words: tuple[str, ...], said: str) -> bool:
    return any(word in said for word in words)
