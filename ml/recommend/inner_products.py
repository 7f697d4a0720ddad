"""The k largest inner products of many vectors with a catalogue's, exactly, in about the time of the bare matrix product or less.

Scores are made a tile at a time, small enough for a core's cache, and compared with what each query has found so far; only what lies
above is looked at again, so that no score travels through memory. The longest vectors come first, and a query is done when the longest
one left could not reach its k-th best, by the inequality of Cauchy and Schwarz (Teflioudi, Gemulla and Mykytiuk, LEMP: Fast Retrieval of
Large Entries in a Matrix Product, 2015).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from ml.recommend.item_weights import one_thread

# a tile of scores, 512 KiB, and its vectors stay in a core's second-level cache
QUERIES_A_TILE = 256
VECTORS_A_TILE = 512
# pairs scored again at once
PAIRS_AT_ONCE = 1024
HALF_ULP = 2.0**-24

Pairs = tuple[np.ndarray, np.ndarray]


class InnerProducts:
    """A catalogue of vectors to search.

    What is found depends on neither tiles nor threads: float32 only decides who is looked at, with a margin for all that rounding can do,
    and those are scored in float64, pair by pair; of equal scores the smaller product number comes first.

    Attributes:
        order: (P,) product numbers, the longest vector first.
        place: (P,) where in that order a product is.
        vectors: (P, f) float32 in that order.
        longest: (tiles,) length of the first vector of each tile.
    """

    def __init__(self, vectors: np.ndarray, threads: int) -> None:
        """Takes (P, f) float32 vectors, and the number of threads that may search."""
        self.threads = threads
        length = lengths(vectors)
        self.order = np.argsort(-length, kind="stable")
        self.place = np.empty(len(vectors), np.int64)
        self.place[self.order] = np.arange(len(vectors))
        self.vectors = vectors[self.order]
        self.longest = length[self.order[::VECTORS_A_TILE]]

    def best(self, queries: np.ndarray, k: int, hidden: Pairs) -> tuple[np.ndarray, np.ndarray]:
        """The k products whose vectors have the largest inner products with each query, best first; only those above 0 count.

        Args:
            queries: (n, f) float32.
            k: places, 1 or more.
            hidden: (query numbers, product numbers) that may not be found, in the order of the queries.

        Returns:
            (n, k) product numbers and float32 inner products; -1 and -inf mark a place that nothing may fill.
        """
        products, scores = np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32)
        begins = np.arange(0, len(queries), QUERIES_A_TILE)
        bounds = np.searchsorted(hidden[0], [*begins, len(queries)])

        def search(begin: int, first: int, last: int) -> None:
            some, barred = queries[begin : begin + QUERIES_A_TILE], (hidden[0][first:last] - begin, hidden[1][first:last])
            row, nth, product, score = self._ranked(some, k, *self._near(some, k, barred))
            products[row + begin, nth], scores[row + begin, nth] = product, score

        # torch counts threads in each thread apart
        with one_thread(), ThreadPoolExecutor(self.threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(search, begins.tolist(), bounds[:-1].tolist(), bounds[1:].tolist()))
        return products, scores

    def _near(self, queries: np.ndarray, k: int, hidden: Pairs) -> Pairs:
        """(rows, places) of all pairs that may be among the k best of one tile's queries, and of few others."""
        length = lengths(queries)
        # twice what a sum of products may be wrong by in float32, whatever its order
        slack = 2 * (queries.shape[1] + 8) * HALF_ULP * length * self.longest.max(initial=0)
        bar = below(-slack)
        hidden_place = self.place[hidden[1]]
        by_place = np.argsort(hidden_place, kind="stable")
        hidden_row, hidden_place = hidden[0][by_place], hidden_place[by_place]
        bounds = np.searchsorted(hidden_place, np.arange(len(self.longest) + 1) * VECTORS_A_TILE).tolist()
        found, ends, soonest = Found(k, slack), self._ends(length, bar, slack), 0
        # one row more than there are queries: what is hidden from those that are done is written there
        room, above = torch.empty((QUERIES_A_TILE + 1) * VECTORS_A_TILE), np.empty(QUERIES_A_TILE * VECTORS_A_TILE, bool)
        for tile in range(len(self.longest)):
            if tile >= soonest:
                alive = np.flatnonzero(ends > tile).astype(np.int16)
                if not len(alive):
                    break
                asking, soonest = torch.from_numpy(queries[alive]), ends[alive].min()
                slot = np.full(len(queries), len(alive))
                slot[alive] = np.arange(len(alive))
            begin = tile * VECTORS_A_TILE
            vectors = torch.from_numpy(self.vectors[begin : begin + VECTORS_A_TILE])
            scores = room[: (len(alive) + 1) * len(vectors)].view(-1, len(vectors))
            torch.mm(asking, vectors.T, out=scores[:-1])
            block, (first, last) = scores.numpy(), bounds[tile : tile + 2]
            block[slot[hidden_row[first:last]], hidden_place[first:last] - begin] = -np.inf
            block = block[:-1]
            if tile == 0:
                bar[alive] = np.maximum(bar[alive], below(kth_largest(block, k) - slack[alive]))
            hits = np.flatnonzero(np.greater(block, bar[alive, None], out=above[: block.size].reshape(block.shape)))
            row, column = np.divmod(hits, len(vectors))
            found.add(alive[row], column + begin, block.ravel()[hits])
            # whenever twice as many tiles are behind: about k more a query were found since
            if tile and tile & (tile + 1) == 0:
                bar = np.maximum(bar, found.keep_best())
                ends = self._ends(length, bar, slack)
                soonest = ends[alive].min()
        found.keep_best()
        return found.pairs()

    def _ends(self, length: np.ndarray, bar: np.ndarray, slack: np.ndarray) -> np.ndarray:
        """(n,) the first tile whose vectors are all too short for a query's bar; 0 for a query of length 0."""
        needed = np.divide(bar - slack, length, out=np.full(len(length), np.inf), where=length > 0)
        return np.searchsorted(-self.longest, -needed)

    def _ranked(self, queries: np.ndarray, k: int, row: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, ...]:
        """The row, the place in its list from 0, the product and the score of the k best pairs of each row."""
        product, score = self.order[place], np.empty(len(row))
        for begin in range(0, len(row), PAIRS_AT_ONCE):
            some = slice(begin, begin + PAIRS_AT_ONCE)
            wide = queries[row[some]].astype(np.float64), self.vectors[place[some]].astype(np.float64)
            np.einsum("ij,ij->i", *wide, out=score[some])
        chosen = np.flatnonzero(score > 0)
        chosen = chosen[np.lexsort((product[chosen], -score[chosen], row[chosen]))]
        row, product, score = row[chosen], product[chosen], score[chosen]
        nth = np.arange(len(row)) - np.searchsorted(row, row)
        kept = nth < k
        return row[kept], nth[kept], product[kept], score[kept]


class Found:
    """What one tile's queries found so far, in no order.

    Attributes:
        k: how many of each row are wanted.
        slack: (rows,) how far a score must lie below the k-th best to be out.
    """

    def __init__(self, k: int, slack: np.ndarray) -> None:
        self.k, self.slack = k, slack
        self._parts = [(np.empty(0, np.int16), np.empty(0, np.int64), np.empty(0, np.float32))]

    def add(self, row: np.ndarray, place: np.ndarray, score: np.ndarray) -> None:
        self._parts.append((row, place, score))

    def keep_best(self) -> np.ndarray:
        """Drops what is out; returns the (rows,) float32 scores that lie just below what is not."""
        row, place, score = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        by_row = np.argsort(row, kind="stable")  # of 16 bits: a radix sort
        row, place, score = row[by_row], place[by_row], score[by_row]
        count = np.bincount(row, minlength=len(self.slack))
        nth = np.arange(len(row)) - (np.cumsum(count) - count)[row]
        table = np.full((len(count), count.max(initial=0)), -np.inf, np.float32)
        table[row, nth] = score
        bar = below(kth_largest(table, self.k) - self.slack)
        kept = score > bar[row]
        self._parts = [(row[kept], place[kept], score[kept])]
        return bar

    def pairs(self) -> Pairs:
        ((row, place, _),) = self._parts
        return row, place


def lengths(vectors: np.ndarray) -> np.ndarray:
    """(n,) Euclidean, float64."""
    return np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))


def kth_largest(table: np.ndarray, k: int) -> np.ndarray:
    """(n,) of each row; -inf where it is shorter."""
    if table.shape[1] < k:
        return np.full(len(table), -np.inf, np.float32)
    return np.partition(table, -k, axis=1)[:, -k]


def below(values: np.ndarray) -> np.ndarray:
    """The next smaller float32 of each value."""
    return np.nextafter(values.astype(np.float32), np.float32(-np.inf))
