"""What item-to-item generators share: a sparse table of how much one product in a history speaks for another."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
import torch

from ml.recommend.candidates.contract import Arrays
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.histories import History


class ItemWeights:
    """Scores are the history, decayed step by step, times a (P, P) table `weights`: row of the past product, column of the candidate."""

    strategy: ClassVar[str] = "collaborative"
    weights: sp.csr_matrix

    def __init__(self, config: RecommenderConfig) -> None:
        self.config = config

    @property
    def decay(self) -> float:
        """The weight of a product in a history relative to the customer's next later one."""
        return self.config.fade

    def score(self, asked: History) -> np.ndarray:
        decayed = asked.matrix(self.decay**asked.steps)
        return (decayed @ self.weights).toarray()

    def affinity(self, asked: History, customers: np.ndarray, picks: np.ndarray, past: np.ndarray) -> np.ndarray | None:
        del asked, customers
        affinities = np.asarray(self.weights[past.ravel(), np.repeat(picks, past.shape[1])], dtype=np.float32).reshape(past.shape)
        return np.where(past >= 0, affinities * self.decay ** np.arange(past.shape[1], dtype=np.float32), 0)

    def arrays(self) -> Arrays:
        return {"indptr": self.weights.indptr, "indices": self.weights.indices, "data": self.weights.data}

    def restore(self, arrays: Arrays) -> None:
        size = len(arrays["indptr"]) - 1
        self.weights = sp.csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=(size, size))

    def align(self, fitted: np.ndarray, catalogue: Catalogue, cache: Path) -> None:
        del catalogue, cache
        kept = np.flatnonzero(fitted >= 0)
        moved = sp.csr_matrix((np.ones(len(kept), np.float32), (kept, fitted[kept])), shape=(len(fitted), self.weights.shape[0]))
        self.weights = (moved @ self.weights @ moved.T).tocsr()
        self.weights.sort_indices()


def strongest_of_dense(weights: torch.Tensor, numbers: np.ndarray, products: int, keep: int) -> sp.csr_matrix:
    """The `keep` greatest positive entries of each row of a table over some of the products, as a table over all.

    Args:
        weights: (p, p).
        numbers: (p,) product numbers of its rows and columns, ascending.
        products: P, the size of the result.
        keep: entries to keep of a row.
    """
    keep = min(keep, len(numbers))
    values, columns = weights.topk(keep, dim=1)
    entries = (values.numpy().ravel(), (np.repeat(numbers, keep), numbers[columns.numpy().ravel()]))
    strongest = sp.csr_matrix(entries, shape=(products, products))
    strongest.data[strongest.data < 0] = 0
    strongest.eliminate_zeros()
    strongest.sort_indices()
    return strongest


def rows_that_sort(columns: int) -> int:
    """How many rows `strongest_per_row` can take at once."""
    return 1 << min(12, 33 - columns.bit_length())


def strongest_per_row(rows: np.ndarray, columns: np.ndarray, values: np.ndarray, shape: tuple[int, int], keep: int) -> sp.csr_matrix:
    """The `keep` greatest positive entries of each row; of equal ones the smaller columns.

    Row, falling value and column are packed into one 64-bit key, because sorting one array of numbers is many times faster than sorting
    by three. The value takes 31 bits (a positive float's bits are in the order of the floats), row and column the rest.

    Args:
        rows, columns, values: (m,) the entries, in any order; at most `rows_that_sort(shape[1])` rows.
        shape: of the result.
        keep: entries to keep of a row.
    """
    positive = values > 0
    bits = values[positive].astype(np.float32).view(np.uint32).astype(np.uint64)
    width = np.uint64(shape[1].bit_length())
    key = rows[positive].astype(np.uint64) << np.uint64(31) | (np.uint64(2**31 - 1) - bits)
    key = key << width | columns[positive].astype(np.uint64)
    key.sort()
    row = (key >> (width + np.uint64(31))).astype(np.int64)
    starts = np.searchsorted(row, np.arange(shape[0]))
    kept = np.arange(len(row)) - starts[row] < keep
    key, row = key[kept], row[kept]
    column = (key & ((np.uint64(1) << width) - np.uint64(1))).astype(np.int32)
    value = (np.uint64(2**31 - 1) - (key >> width & np.uint64(2**31 - 1))).astype(np.uint32).view(np.float32)
    strongest = sp.csr_matrix((value, (row, column)), shape=shape)
    strongest.sort_indices()
    return strongest
