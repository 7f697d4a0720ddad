"""Texts as weighted n-grams of words and characters: hashed, sparse, and counted by array operations alone.

Every substring has the polynomial hash of its code points (Karp and Rabin, "Efficient randomized pattern-matching algorithms",
1987), read off one running sum over all texts; n-grams are folded into a fixed number of buckets (Weinberger et al., "Feature hashing for
large scale multitask learning", 2009). No vocabulary is kept, and a text's features depend on nothing but itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import sparse

BUCKETS = 1 << 21
CHARS_AT_ONCE = 1_000_000

WORDS_IN_A_ROW = (1, 2)
CHARS_WITHIN_WORDS = (3, 4, 5)  # where words are written apart
CHARS_ANYWHERE = (1, 2, 3)  # Chinese, Japanese, Thai
APART = (2, 3)  # distance of the characters in a pair with a gap, in the same scripts
UNSPACED_SHARE = 0.2
OPENING_CHARS = 80  # most characters of an opening
_OPENING = 100  # added to the salt of an n-gram that is counted as one of an opening

_END, _BLANK = 10, 32
_STOPS = [ord(mark) for mark in ".!?…"]
_UNSPACED = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0x20000, 0x3FFFF))
_BASE = np.uint64(0x9E3779B97F4A7C15)
_BASE_INVERSE = np.uint64(pow(0x9E3779B97F4A7C15, -1, 1 << 64))
_SECOND = np.uint64(0xC2B2AE3D27D4EB4F)
_MIX = np.uint64(0xFF51AFD7ED558CCD)


def count_ngrams(texts: Sequence[str]) -> sparse.csr_matrix:
    """(n, BUCKETS) float32 counts of the n-grams of n texts, without regard to case.

    The n-grams are words, pairs of words, and pieces of 3 to 5 characters within a word and its blanks. Those of the opening, a text's
    title or first sentence, are counted once more as n-grams of their own, because it sums up what follows. In scripts without blanks
    between words they are all pieces of 1 to 3 characters and all pairs of characters with one or two others in between.
    """
    return sparse.vstack([sparse.csr_matrix((0, BUCKETS), dtype=np.float32), *count_in_parts(texts)], format="csr")


def count_in_parts(texts: Sequence[str]) -> Iterator[sparse.csr_matrix]:
    """The same for consecutive parts of the texts, each of about a million characters."""
    ends = np.cumsum([len(text) + 1 for text in texts])
    part = ends // CHARS_AT_ONCE
    edges = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(texts)]
    for first, last in itertools.pairwise(edges):
        if last > first:
            yield _count(texts[first:last])


def _count(texts: Sequence[str]) -> sparse.csr_matrix:
    joined = "".join([" " + text.lower().replace("\n", " ") + " \n" for text in texts])
    codes = np.frombuffer(joined.encode("utf-32-le", "replace"), np.uint32)
    kinds, place = np.unique(codes, return_inverse=True)
    is_end, is_blank, is_word = codes == _END, (codes == _BLANK) | (codes == _END), np.array([chr(kind).isalnum() for kind in kinds])[place]
    document = np.cumsum(is_end) - is_end
    unspaced_kind = np.logical_or.reduce([(kinds >= low) & (kinds <= high) for low, high in _UNSPACED])
    unspaced_letters = np.bincount(document, weights=unspaced_kind[place], minlength=len(texts))
    unspaced = unspaced_letters > UNSPACED_SHARE * np.bincount(document, weights=is_word, minlength=len(texts))

    powers = _powers(len(codes))
    sums = np.zeros(len(codes) + 1, np.uint64)
    np.cumsum((codes.astype(np.uint64) + np.uint64(1)) * powers, out=sums[1:])
    back = _powers(len(codes), _BASE_INVERSE)

    def hashes(first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """(m,) uint64 hashes of the substrings [first, last)."""
        return (sums[last] - sums[first]) * back[first]

    opening_ends = np.where(unspaced, 0, _opening_ends(codes, is_end, is_word, document))
    rows, keys = [], []

    def add(stops: np.ndarray, found: np.ndarray, salt: int) -> None:
        """Count the n-grams that end before positions `stops` and have hashes `found`; those of an opening are counted once more."""
        documents = document[stops - 1]
        opens = stops <= opening_ends[documents]
        for of_texts, hashed, own in ((documents, found, salt), (documents[opens], found[opens], salt + _OPENING)):
            rows.append(of_texts)
            keys.append((hashed + np.uint64(own)) * _MIX >> np.uint64(64 - 21))

    edge = np.flatnonzero(np.diff(is_word.astype(np.int8)))  # every text begins and ends with a blank
    begins, stops = edge[::2] + 1, edge[1::2] + 1
    spaced_words = ~unspaced[document[begins]]
    begins, stops = begins[spaced_words], stops[spaced_words]
    of_words, in_document = hashes(begins, stops), document[begins]
    add(stops, of_words, 1)
    together = in_document[1:] == in_document[:-1]
    add(stops[1:][together], (of_words[:-1] * _SECOND + of_words[1:])[together], 2)

    blanks_before, ends_before = (np.concatenate([[0], np.cumsum(kind)]) for kind in (is_blank, is_end))
    for lengths, of_texts, within in ((CHARS_WITHIN_WORDS, ~unspaced, True), (CHARS_ANYWHERE, unspaced, False)):
        wanted = np.flatnonzero(of_texts[document])
        for length in lengths:
            first = wanted[wanted + length <= len(codes)]
            fits = ends_before[first + length] == ends_before[first]
            if within:
                fits &= blanks_before[first + length - 1] == blanks_before[first + 1]
            else:
                fits &= ~(is_blank[first] & is_blank[first + length - 1])
            first = first[fits]
            add(first + length, hashes(first, first + length), 10 + length)

    wanted = np.flatnonzero(unspaced[document])
    letters = (codes.astype(np.uint64) + np.uint64(1)) * _BASE
    for apart in APART:
        first = wanted[wanted + apart < len(codes)]
        first = first[ends_before[first + apart + 1] == ends_before[first]]
        add(first + apart + 1, letters[first] * _SECOND + letters[first + apart], 20 + apart)

    row, key = np.concatenate(rows), np.concatenate(keys)
    both, count = np.unique(row.astype(np.int64) * BUCKETS + key.astype(np.int64), return_counts=True)
    bounds = np.searchsorted(both, np.arange(len(texts) + 1) * BUCKETS)
    return sparse.csr_matrix(
        (count.astype(np.float32), (both % BUCKETS).astype(np.int32), bounds.astype(np.int32)), shape=(len(texts), BUCKETS)
    )


def _opening_ends(codes: np.ndarray, is_end: np.ndarray, is_word: np.ndarray, document: np.ndarray) -> np.ndarray:
    """(texts,) positions at which each text's first sentence with a word ends, at most 80 characters after its start."""
    begin = np.concatenate([[0], np.flatnonzero(is_end)[:-1] + 1])
    words_before = np.cumsum(is_word) - is_word
    is_stop = np.isin(codes, _STOPS) & ~np.append(is_word[1:], False) & (words_before > words_before[begin[document]])
    stops = np.flatnonzero(is_stop | is_end)
    _, first = np.unique(document[stops], return_index=True)
    return np.minimum(stops[first], begin + OPENING_CHARS)


def _powers(count: int, base: np.uint64 = _BASE) -> np.ndarray:
    """(count,) base ** i modulo 2 ** 64."""
    factors = np.full(count, base)
    factors[:1] = 1
    return np.cumprod(factors)
