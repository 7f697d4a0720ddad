"""Follow-ups: what customers turn to in the days after a purchase. The relation has a direction, from the earlier product to the later."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from ml.recommend.candidates.contract import Training
from ml.recommend.candidates.item_weights import ItemWeights, rows_that_sort, strongest_per_row
from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.histories import History

DAY = 86_400_000_000


class FollowUp(ItemWeights):
    """The lift of turning to a product within `follow_days` after buying another, over what is expected from its popularity.

    A lift counts more where the category of the one is often followed by the category of the other.

    It is counted over pairs of a purchase and one of the next products that the customer turned to for the first time. Products of the same
    order do not follow each other.
    """

    name: ClassVar[str] = "follow"

    def suits(self, catalogue: Catalogue, history: History) -> bool:
        del catalogue
        return history.products_seen > 1

    def fit(self, training: Training) -> None:
        history = training.history
        size = history.products
        earlier, later = self._pairs(history)
        counts = sp.coo_matrix((np.ones(len(earlier), np.float32), (earlier, later)), shape=(size, size)).tocsr()
        counts.sum_duplicates()
        given = np.asarray(counts.sum(axis=1)).ravel()
        taken = np.asarray(counts.sum(axis=0)).ravel() / max(1.0, float(len(earlier)))
        starts = np.bincount(history.product[history.targets > 0], minlength=size)
        category = np.where(training.catalogue.category >= 0, training.catalogue.category, training.catalogue.category.max(initial=-1) + 1)
        pairs, trust = self._trust(category[earlier], category[later], category, taken)
        blocks, step = [], rows_that_sort(size)
        for begin in range(0, size, step):
            block = counts[begin : begin + step].tocoo()
            row = block.row + begin
            lift = (block.data - given[row] * taken[block.col]) / (starts[row] + self.config.follow_shrinkage)
            lift = lift * trust[np.searchsorted(pairs, _pair(category[row], category[block.col]))]
            blocks.append(strongest_per_row(block.row, block.col, lift, block.shape, self.config.neighbours))
        self.weights = sp.vstack(blocks, format="csr") if blocks else counts

    def _trust(self, earlier: np.ndarray, later: np.ndarray, category: np.ndarray, taken: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(q,) the pairs of categories of which one follows the other, ascending, and (q,) how many times as often as expected from
        popularity, shrunk towards 1."""
        pairs, found = np.unique(_pair(earlier, later), return_counts=True)
        first, second = np.divmod(pairs, 1 << 32)
        expected = np.bincount(earlier, minlength=1)[first] * np.bincount(category, weights=taken, minlength=1)[second]
        return pairs, (found + self.config.follow_shrinkage) / (expected + self.config.follow_shrinkage)

    def _pairs(self, history: History) -> tuple[np.ndarray, np.ndarray]:
        """Products bought and products first turned to afterwards, in the order of time. A purchase has at most `follow_pairs`."""
        bought = np.flatnonzero(history.targets > 0)
        customer = np.concatenate([history.customer[bought], history.customer])
        product = np.concatenate([history.product[bought], history.product])
        at = np.concatenate([history.first_target_at[bought], history.first_at])
        first = np.concatenate([np.ones(len(bought), bool), np.zeros(len(history.product), bool)])
        order = np.lexsort((product, first, at, customer))
        customer, product, at, first = customer[order], product[order], at[order], first[order]
        earlier, later = [], []
        for step in range(1, self.config.follow_pairs + 1):
            since = at[step:] - at[:-step]
            kept = first[:-step] & ~first[step:] & (customer[step:] == customer[:-step])
            kept &= (since > 3_600_000_000) & (since <= self.config.follow_days * DAY) & (product[step:] != product[:-step])
            place = np.flatnonzero(kept)
            earlier.append(product[place])
            later.append(product[place + step])
        return np.concatenate(earlier), np.concatenate(later)

    def _lately(self, asked: History) -> np.ndarray:
        """(m,) whether each product of the histories was bought recently enough for follow-ups."""
        return (asked.targets > 0) & (asked.moment - asked.last_target_at <= self.config.follow_days * DAY)

    def score(self, asked: History) -> np.ndarray:
        return (asked.matrix(self._lately(asked)) @ self.weights).toarray()


def _pair(earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
    """One number for two categories."""
    return earlier.astype(np.int64) << 32 | later
