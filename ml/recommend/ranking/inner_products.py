"""The k largest inner products of many vectors with a catalogue's, exactly, in about the time of the matrix product alone or less.

Scores are computed in tiles that fit into a core's cache and compared with what each query has found so far. Only scores above that go
further, so the full matrix is never written to memory. The longest vectors come first. A query is done when even the longest vector left
could not reach its k-th best, by the inequality of Cauchy and Schwarz (Teflioudi, Gemulla and Mykytiuk, LEMP: Fast Retrieval of Large
Entries in a Matrix Product, 2015).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from ml.recommend.threads import one_thread

# a tile of scores, 512 KiB, and its vectors stay in a core's second-level cache
QUERIES_A_TILE = 256
VECTORS_A_TILE = 512
# the bars are raised again when the number of finished tiles has grown by this factor
OFTEN = 1.4
# entries kept of a query before the worst are dropped, as a multiple of k
ROOM = 4
# pairs scored again at once
PAIRS_AT_ONCE = 1024
HALF_ULP = 2.0**-24

Pairs = tuple[np.ndarray, np.ndarray]


class InnerProducts:
    """A catalogue of vectors to search.

    What is found depends on neither tiles nor threads. Scores in float32 only select pairs, with a margin for rounding errors. The selected
    pairs are scored in float64, pair by pair. Of equal scores the smaller product number comes first.

    Attributes:
        order: (P,) product numbers, the longest vector first.
        place: (P,) the place of each product in that order.
        vectors: (P, f) float32 in that order.
        tiles: the same, (f, VECTORS_A_TILE or fewer) each.
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
        self.tiles = [tile.T for tile in torch.from_numpy(self.vectors).split(VECTORS_A_TILE)]
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

        # torch's number of threads is set for each thread separately
        with one_thread(), ThreadPoolExecutor(self.threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(search, begins.tolist(), bounds[:-1].tolist(), bounds[1:].tolist()))
        return products, scores

    def _near(self, queries: np.ndarray, k: int, hidden: Pairs) -> Pairs:
        """(rows, places) of all pairs that may be among the k best of one tile's queries, and of few others."""
        length = lengths(queries)
        # twice the largest error of a sum of products in float32, in any order
        slack = 2 * (queries.shape[1] + 8) * HALF_ULP * length * self.longest.max(initial=0)
        hidden_place = self.place[hidden[1]]
        by_place = np.argsort(hidden_place, kind="stable")
        hidden_row, hidden_place = hidden[0][by_place], hidden_place[by_place]
        bounds = np.searchsorted(hidden_place, np.arange(len(self.longest) + 1) * VECTORS_A_TILE).tolist()
        found = Found(k, slack)
        ends, soonest, raised_at = self._ends(length, found), 0, 0
        # one row more than there are queries: what is hidden from finished queries is written there
        room, above = torch.empty((QUERIES_A_TILE + 1) * VECTORS_A_TILE), np.empty(QUERIES_A_TILE * VECTORS_A_TILE, bool)
        rows = width = 0
        for tile, vectors in enumerate(self.tiles):
            if tile >= soonest:
                alive = np.flatnonzero(ends > tile)
                if not len(alive):
                    break
                asking, soonest = torch.from_numpy(queries[alive]), ends[alive].min()
                slot = np.full(len(queries), len(alive))
                slot[alive] = np.arange(len(alive))
            if (rows, width) != (len(alive), vectors.shape[1]):
                rows, width = len(alive), vectors.shape[1]
                scores = room[: (rows + 1) * width].view(rows + 1, width)
                product, block, higher = scores[:-1], scores.numpy(), above[: rows * width].reshape(rows, width)
            torch.mm(asking, vectors, out=product)
            begin, (first, last) = tile * VECTORS_A_TILE, bounds[tile : tile + 2]
            block[slot[hidden_row[first:last]], hidden_place[first:last] - begin] = -np.inf
            if tile == 0:
                found.raise_bar(alive, kth_largest(block[:-1], k))
            hits = np.flatnonzero(np.greater(block[:-1], found.bar[alive, None], out=higher))
            row, column = np.divmod(hits, width)
            found.add(alive[row], column + begin, block.ravel()[hits])
            if tile >= OFTEN * raised_at:
                found.raise_bar(slice(None), kth_largest(found.scores, k))
                ends, raised_at = self._ends(length, found), tile + 1
                soonest = ends[alive].min()
        return found.best()

    def _ends(self, length: np.ndarray, found: Found) -> np.ndarray:
        """(n,) the first tile whose vectors are all too short for a query's bar; 0 for a query of length 0."""
        needed = np.divide(found.bar - found.slack, length, out=np.full(len(length), np.inf), where=length > 0)
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
        nth = nth_of_row(row, np.bincount(row))
        kept = nth < k
        return row[kept], nth[kept], product[kept], score[kept]


class Found:
    """What one tile's queries found so far. A row that is full keeps its best.

    Attributes:
        k: how many of each row are wanted.
        slack: (rows,) how far below the k-th best a score must lie to be out.
        bar: (rows,) float32; what is not above it is out.
        scores, places: (rows, width) in no order, -inf where there is nothing.
        filled: (rows,) how many there are.
    """

    def __init__(self, k: int, slack: np.ndarray) -> None:
        self.k, self.slack, self.bar = k, slack, below(-slack)
        self.scores = np.full((len(slack), ROOM * k), -np.inf, np.float32)
        self.places = np.zeros(self.scores.shape, np.int64)
        self.filled = np.zeros(len(slack), np.int64)

    def raise_bar(self, rows: np.ndarray | slice, kth: np.ndarray) -> None:
        """Raises the bars of some rows by scores that k products reach."""
        self.bar[rows] = np.maximum(self.bar[rows], below(kth - self.slack[rows]))

    def add(self, row: np.ndarray, place: np.ndarray, score: np.ndarray) -> None:
        """Takes entries in the order of their rows."""
        count = np.bincount(row, minlength=len(self.filled))
        if (self.filled + count).max(initial=0) > self.scores.shape[1]:
            self._make_room(count)
        at = self.filled[row] + nth_of_row(row, count)
        self.scores[row, at], self.places[row, at] = score, place
        self.filled += count

    def _make_room(self, count: np.ndarray) -> None:
        self.raise_bar(slice(None), kth_largest(self.scores, self.k))
        row, column = np.nonzero(self.scores > self.bar[:, None])
        scores, places = self.scores[row, column], self.places[row, column]
        self.filled = np.bincount(row, minlength=len(self.filled))
        width = self.scores.shape[1]
        if (needed := int((self.filled + count).max())) > width:  # too many equal scores for the room
            self.scores, self.places = (np.empty((len(self.filled), 2 * needed), kept.dtype) for kept in (self.scores, self.places))
        self.scores.fill(-np.inf)
        at = nth_of_row(row, self.filled)
        self.scores[row, at], self.places[row, at] = scores, places

    def best(self) -> Pairs:
        """(rows, places) of what may be among the k best of its row, in the order of the rows."""
        self.raise_bar(slice(None), kth_largest(self.scores, self.k))
        row, column = np.nonzero(self.scores > self.bar[:, None])
        return row, self.places[row, column]


def nth_of_row(row: np.ndarray, count: np.ndarray) -> np.ndarray:
    """(m,) how many entries of its row lie before each one; rows ascend, and have `count` entries."""
    return np.arange(len(row)) - (np.cumsum(count) - count)[row]


def lengths(vectors: np.ndarray) -> np.ndarray:
    """(n,) Euclidean, float64."""
    return np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))


def kth_largest(table: np.ndarray, k: int) -> np.ndarray:
    """(n,) of each row; -inf where it has fewer."""
    if table.shape[1] < k:
        return np.full(len(table), -np.inf, np.float32)
    return np.partition(table, -k, axis=1)[:, -k]


def below(values: np.ndarray) -> np.ndarray:
    """The next smaller float32 of each value."""
    return np.nextafter(values.astype(np.float32), np.float32(-np.inf))
