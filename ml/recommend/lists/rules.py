"""The shop's rules for its lists: what is never shown, what has a fixed place, and how many products of a kind a list may hold.

Rules are data. The snapshot has them product by product, as valid at the night. Here they become arrays that are applied to a block of
customers at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.recommend.data.arrow_columns import whole
from ml.recommend.data.snapshot import Snapshot
from ml.recommend.lists.exploration import Draws
from ml.recommend.ranking.topk import top_k

# the lists of visitors nobody knows, and of customers whose segment is unknown
NOBODY = "all"
# limits below are compared with counts of products in one list
NO_LIMIT = np.iinfo(np.int16).max
# products considered in one round, as a multiple of the places: few rounds, and few products considered in vain
LOOKED_AT = 3


@dataclass(frozen=True)
class Rules:
    """All rules of a night, for P products, S segments and G limits. A row of `blocked`, `pins` and `most` is a segment.

    Attributes:
        segments: S names, NOBODY last.
        blocked: (S, P) never shown to the segment.
        minimum_age: (P,) years, 0 where there is none.
        pins: (S, k) the product pinned at each place, -1 where there is none.
        limits: (P, J) numbers of the limits that a product counts for, G where there are fewer than J.
        most: (S, G + 1) how many products of each limit a list may hold; NO_LIMIT for limits of other segments and for number G.
    """

    segments: Sequence[str]
    blocked: np.ndarray
    minimum_age: np.ndarray
    pins: np.ndarray
    limits: np.ndarray
    most: np.ndarray

    @classmethod
    def of(cls, snapshot: Snapshot) -> Self:
        """The rules of a snapshot; a snapshot without the file has none."""
        table = _read_rules(snapshot)
        products, places = len(snapshot.catalogue), snapshot.config.list_length
        names = [*sorted(set(table["segment"].unique().drop_null().to_pylist()) - {NOBODY}), NOBODY]
        kind, product = np.asarray(table["kind"], dtype=object), table["product"].to_numpy()
        value = table["value"].fill_null(0).to_numpy()
        segment = pc.index_in(table["segment"], pa.array(names)).fill_null(-1).to_numpy()

        def of_segments(rows: np.ndarray) -> np.ndarray:
            """(S, rows) whether a row is about the segment's lists."""
            return (segment[rows] == -1) | (segment[rows] == np.arange(len(names))[:, None])

        blocked = np.zeros((len(names), products), dtype=bool)
        rows = np.flatnonzero(kind == "block")
        which, row = np.nonzero(of_segments(rows))
        blocked[which, product[rows[row]]] = True

        minimum_age = np.zeros(products, np.int32)
        rows = np.flatnonzero(kind == "minimum_age")
        np.maximum.at(minimum_age, product[rows], value[rows])

        rows = np.flatnonzero((kind == "pin") & (value <= places))
        pins = np.full((len(names), int(value[rows].max(initial=0))), -1, np.int64)
        pins[segment[rows], value[rows] - 1] = product[rows]

        rows = np.flatnonzero(kind == "limit")
        limit, first, number = np.unique(np.asarray(table["rule_id"], dtype=object)[rows], return_index=True, return_inverse=True)
        order = np.lexsort((number, product[rows]))
        number, owner = number[order], product[rows][order]
        nth = np.arange(len(owner)) - np.searchsorted(owner, owner)
        limits = np.full((products, int(nth.max(initial=-1)) + 1), len(limit), np.int64)
        limits[owner, nth] = number
        most = np.full((len(names), len(limit) + 1), NO_LIMIT, np.int64)
        most[:, :-1] = np.where(of_segments(rows[first]), np.minimum(value[rows[first]], NO_LIMIT), NO_LIMIT)
        return cls(names, blocked, minimum_age, pins, limits, most)

    def number(self, segments: pa.StringArray) -> np.ndarray:
        """(n,) row of each segment's rules."""
        number = pc.index_in(segments, pa.array(self.segments)).fill_null(len(self.segments) - 1)
        return number.to_numpy(zero_copy_only=False).astype(np.int64)

    def is_pinned(self, segment: np.ndarray, products: np.ndarray) -> np.ndarray:
        """(n, k) whether each product of a list is pinned in the customer's segment, `segment` (n,) being from `number`."""
        return (products[:, :, None] == self.pins[segment][:, None, :]).any(axis=2)

    def hide(self, total: np.ndarray, segment: np.ndarray, age: np.ndarray) -> None:
        """Writes -inf where a product may not be shown.

        Args:
            total: (n, P) float32 scores.
            segment: (n,) from `number`.
            age: (n,) the highest minimum age the customer has reached, years; 0 where unknown.
        """
        columns = np.flatnonzero(self.blocked.any(axis=0))
        total[:, columns] = np.where(self.blocked[:, columns][segment], -np.inf, total[:, columns])
        columns = np.flatnonzero(self.minimum_age)
        total[:, columns] = np.where(self.minimum_age[columns] > age[:, None], -np.inf, total[:, columns])

    def choose(
        self, total: np.ndarray, k: int, segment: np.ndarray, draws: Draws | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The best lists within the limits, with the pins at their places: `top_k` for n customers, each with rules of their own.

        A list is filled from the best product down and skips products of which it already holds enough. Of all lists within the limits
        this is the best for a shopper who reads from the top. It is shorter than k only where every other product is refused. Places
        kept for exploration are drawn after the others are filled, so that the others do not depend on chance. Where nothing can be
        drawn they are filled as usual.

        Args:
            total: (n, P) float32 scores, -inf where a product may not be shown; overwritten.
            k: places.
            segment: (n,) from `number`.
            draws: the customers' exploration, if any.

        Returns:
            (n, k) product numbers, falling scores, and propensities. A score of -inf marks a place that nothing may fill. A product
            that was pinned or drawn has at least the score of the product after it. The propensity of a draw is its probability; it
            is NaN elsewhere.
        """
        if self.pins.shape[1] == 0 and self.limits.shape[1] == 0 and draws is None:
            products, scores = top_k(total, k)
            return products, scores, np.full(products.shape, np.nan)
        k = min(k, total.shape[1])
        fixed = _Fixed.places(len(total), max(k, self.pins.shape[1]))
        held = np.zeros((len(total), self.most.shape[1]), np.int16)
        pins = self._pinned(total, segment)
        for place in range(pins.shape[1]):
            self._fix(fixed, held, total, place, pins[:, place], np.full(len(total), np.nan))
        filled = _Filled.nothing(len(total), k)
        free = k - (fixed.products >= 0).sum(axis=1)
        if draws is None:
            self._fill(filled, held, total, free, segment)
        else:
            places = [place for place in draws.places if place < k]
            kept = (fixed.products[:, places] < 0).sum(axis=1)
            self._fill(filled, held, total, free - kept, segment)
            for turn, place in enumerate(places):
                allowed = np.isfinite(total[:, draws.products]) & (fixed.products[:, place] < 0)[:, None]
                for group in self.limits[draws.products].T:
                    allowed &= held[:, group] < self.most[segment][:, group]
                drawn, propensity = draws.draw(turn, allowed)
                self._fix(fixed, held, total, int(place), np.where(drawn >= 0, draws.products[drawn], -1), propensity)
            self._fill(filled, held, total, k - (fixed.products >= 0).sum(axis=1), segment)
        return _interleave(fixed, filled)

    def _fix(self, fixed: _Fixed, held: np.ndarray, total: np.ndarray, place: int, product: np.ndarray, propensity: np.ndarray) -> None:
        """Gives each row's `product` (n,), where it is not -1, a place of its own."""
        rows = np.flatnonzero(product >= 0)
        fixed.products[rows, place], fixed.propensities[rows, place] = product[rows], propensity[rows]
        fixed.scores[rows, place] = total[rows, product[rows]]
        total[rows, product[rows]] = -np.inf
        _count(held, rows, self.limits[product[rows]])

    def _pinned(self, total: np.ndarray, segment: np.ndarray) -> np.ndarray:
        """(n, places) the pinned products that each customer may be shown, -1 elsewhere."""
        pins = self.pins[segment]
        shown = (pins >= 0) & np.isfinite(np.take_along_axis(total, np.maximum(pins, 0), 1))
        return np.where(shown, pins, -1)

    def _fill(self, filled: _Filled, held: np.ndarray, total: np.ndarray, wanted: np.ndarray, segment: np.ndarray) -> None:
        """Fills each row further, up to `wanted` (n,) products, best first, within the limits; `held` (n, G + 1) are the counts so far.

        It works in rounds: the best products of each row are considered from the top, and what a row must not hold any more is taken
        out before the next round. The first product of a round is always taken, so k rounds are enough; one or two are usual.
        """
        active = np.flatnonzero(filled.counts < wanted)
        while len(active):
            considered, worth = top_k(total if len(active) == len(total) else total[active], LOOKED_AT * filled.products.shape[1])
            for place in range(considered.shape[1]):
                open_rows = np.flatnonzero(np.isfinite(worth[:, place]) & (filled.counts[active] < wanted[active]))
                rows, product = active[open_rows], considered[open_rows, place]
                total[rows, product] = -np.inf
                groups = self.limits[product]
                room = (held[rows[:, None], groups] < self.most[segment[rows][:, None], groups]).all(axis=1)
                rows, open_rows, product = rows[room], open_rows[room], product[room]
                filled.products[rows, filled.counts[rows]], filled.scores[rows, filled.counts[rows]] = product, worth[open_rows, place]
                filled.counts[rows] += 1
                _count(held, rows, groups[room])
            active = active[np.isfinite(worth[:, -1]) & (filled.counts[active] < wanted[active])]
            enough = held[active] >= self.most[segment[active]]
            for group in self.limits.T:
                total[active] = np.where(enough[:, group], -np.inf, total[active])


def _read_rules(snapshot: Snapshot) -> dict[str, Any]:
    """The night's rules by column: rule_id, kind, product (its number), segment (NULL for all segments), value.

    They are the shop's own and those that follow from reviews.
    """
    files = [str(file) for name in ("rules", "sentiment_rules") if (file := snapshot.folder / f"{name}.parquet").exists()]
    nothing = """(select null::varchar as rule_id, null::varchar as kind, null::varchar as product_id, null::varchar as segment,
        null::integer as value where false)"""
    query = f"""
        select rule_id, kind, product, segment, value
        from {"read_parquet(?)" if files else nothing} join catalogue using (product_id) order by all
    """
    table = snapshot.db.execute(query, [files] if files else []).to_arrow_table()
    return {name: whole(table[name]) for name in table.column_names}


@dataclass(frozen=True)
class _Fixed:
    """Products with a place of their own: (n, places) numbers, -1 where there is none, with their scores and propensities."""

    products: np.ndarray
    scores: np.ndarray
    propensities: np.ndarray

    @classmethod
    def places(cls, rows: int, places: int) -> Self:
        shape = (rows, places)
        return cls(np.full(shape, -1, np.int64), np.full(shape, -np.inf, np.float32), np.full(shape, np.nan))


@dataclass(frozen=True)
class _Filled:
    """The other products of n lists, best first: (n, k) numbers and scores, of which the first `counts` (n,) are there."""

    products: np.ndarray
    scores: np.ndarray
    counts: np.ndarray

    @classmethod
    def nothing(cls, rows: int, k: int) -> Self:
        return cls(np.zeros((rows, k), np.int64), np.full((rows, k), -np.inf, np.float32), np.zeros(rows, np.int64))


def _count(held: np.ndarray, rows: np.ndarray, groups: np.ndarray) -> None:
    """Adds one product a row to the counts of its limits; groups (r, J) repeat only the number that means no limit."""
    for column in groups.T:
        held[rows, column] += 1


def _interleave(fixed: _Fixed, filled: _Filled) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n, k) products, scores and propensities: the fixed at their places, the others in order around them, empty places last."""
    k = filled.products.shape[1]
    free = fixed.products < 0
    turn = np.clip(np.cumsum(free, axis=1) - 1, 0, k - 1)
    products = np.where(free, np.take_along_axis(filled.products, turn, 1), fixed.products)
    scores = np.where(free, np.take_along_axis(filled.scores, turn, 1), fixed.scores)
    order = np.argsort(~np.isfinite(scores), axis=1, kind="stable")[:, :k]
    products, scores, propensities = (np.take_along_axis(values, order, 1) for values in (products, scores, fixed.propensities))
    return products, np.maximum.accumulate(scores[:, ::-1], axis=1)[:, ::-1], propensities
