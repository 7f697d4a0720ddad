"""Which texts an encoder can read, judged by its vocabulary: the scripts it covers, and into how many pieces it cuts a text."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import numpy as np

PIECES_OF_A_KNOWN_SCRIPT = 1000  # every vocabulary has single letters of every script, but fewer than this
LETTERS_TO_BE_KNOWN = 0.5
FOREIGN_PIECES_A_LETTER = 0.38  # English in an English vocabulary takes 0.30 (95 % under 0.37), Portuguese 0.47
BYTE_LEVEL_BLANK = "Ġ"


class Reading(IntEnum):
    """How well an encoder reads a text."""

    UNSUPPORTED = 0  # its tokenizer does not cover the script of most letters, or there are no letters
    FOREIGN = 1  # the script is covered, but words are cut into small pieces
    FLUENT = 2

    @property
    def saved_name(self) -> str:
        """The name in saved models; a model's version is a hash over it."""
        return "UNREAD" if self is Reading.UNSUPPORTED else self.name

    @classmethod
    def of_saved_name(cls, name: str) -> Reading:
        """The reading with a `saved_name`."""
        return next(reading for reading in cls if reading.saved_name == name)


class Reader:
    """Finds how well the encoder of a tokenizer reads texts.

    Attributes:
        scripts: the supported scripts, by the first word of their characters' Unicode names ('LATIN', 'CJK').
    """

    def __init__(self, tokenizer: Any) -> None:
        pieces = tokenizer.get_vocab()
        if any(piece.startswith(BYTE_LEVEL_BLANK) for piece in pieces):
            pieces = [tokenizer.convert_tokens_to_string([piece]) for piece in pieces]
        counts = Counter(script for piece in pieces for script in {_script(letter) for letter in piece})
        self.scripts = frozenset(script for script, count in counts.items() if script and count >= PIECES_OF_A_KNOWN_SCRIPT)

    def is_known(self, texts: Sequence[str]) -> np.ndarray:
        """(n,) whether at least half of a text's letters are of a supported script; False without letters."""
        letters, known = self._letters(texts)
        return (letters > 0) & (known >= LETTERS_TO_BE_KNOWN * letters)

    def readings(self, texts: Sequence[str], pieces: np.ndarray) -> np.ndarray:
        """(n,) Reading of n texts, as integers, from the (n,) numbers of pieces that they were cut into."""
        letters, known = self._letters(texts)
        is_known = (letters > 0) & (known >= LETTERS_TO_BE_KNOWN * letters)
        return np.where(
            is_known, np.where(pieces > FOREIGN_PIECES_A_LETTER * letters, Reading.FOREIGN, Reading.FLUENT), Reading.UNSUPPORTED
        )

    def _letters(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(n,) letters of each text, and (n,) those of supported scripts."""
        if not texts:
            return np.zeros(0), np.zeros(0)
        codes = np.frombuffer("".join(texts).encode("utf-32-le", "replace"), np.uint32)
        text = np.repeat(np.arange(len(texts)), [len(each) for each in texts])
        kinds, place = np.unique(codes, return_inverse=True)
        scripts = [_script(chr(kind)) for kind in kinds]
        is_letter, is_known = np.array([bool(script) for script in scripts]), np.array([script in self.scripts for script in scripts])
        letters, known = (np.bincount(text, weights=flags[place], minlength=len(texts)) for flags in (is_letter, is_known))
        return letters, known


def _script(character: str) -> str:
    """The script of a letter; '' for other characters."""
    return unicodedata.name(character, "").split(" ")[0].split("-")[0] if character.isalpha() else ""
