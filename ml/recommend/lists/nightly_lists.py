"""The lists of a night, from the scorer to Parquet. Memory does not grow with the number of customers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml.recommend.candidates.content import Content
from ml.recommend.data.customers import Customers, random_numbers, read_chunks, read_reached_ages, read_segment_names
from ml.recommend.data.exclusions import read_excluded
from ml.recommend.data.histories import History, read_history
from ml.recommend.data.popularity import read_popularity
from ml.recommend.data.snapshot import Snapshot
from ml.recommend.evaluation.segments import is_in
from ml.recommend.lists.categories import CategoryLists
from ml.recommend.lists.exploration import Draws, Exploration
from ml.recommend.lists.reasons import Reasons
from ml.recommend.lists.rules import Rules
from ml.recommend.ranking.blend import unit
from ml.recommend.ranking.scoring import ListScorer, RankedLists, within

# customers of one read of the snapshot, so that there are few reads
CUSTOMERS_AT_ONCE = 10_000
# past products that a reason may name
PAST = 20

RECOMMENDATIONS = pa.schema(
    [
        ("customer_id", pa.string()),
        ("rank", pa.int32()),
        ("product_id", pa.string()),
        ("score", pa.float64()),
        ("strategy", pa.string()),
        ("reason", pa.string()),
        ("because_product_id", pa.string()),
        ("propensity", pa.float64()),
    ]
)
DEFAULTS = pa.schema([("segment", pa.string()), ("rank", pa.int32()), ("product_id", pa.string()), ("score", pa.float64())])


@dataclass
class _ListBlock:
    """Makes the lists of one block of customers when the scorer asks for them.

    Attributes:
        segment, age: (n,) as in `Rules`.
        draws: the block's exploration, if any.
        propensities: (n, k) set by `choose`: of what was drawn; NaN elsewhere.
        of_categories: set by `choose`: the block's rows of recommendations_by_category.
    """

    rules: Rules
    by_category: CategoryLists
    customers: Customers
    asked: History
    segment: np.ndarray
    age: np.ndarray
    draws: Draws | None
    propensities: np.ndarray = field(init=False)
    of_categories: pa.RecordBatch = field(init=False)

    def choose(self, total: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        self.rules.hide(total, self.segment, self.age)
        self.of_categories = self.by_category.best(self.customers, self.asked, total)
        products, scores, self.propensities = self.rules.choose(total, k, self.segment, self.draws)
        return products, scores


def write_lists(snapshot: Snapshot, scorer: ListScorer, half_life_days: float, content: Content | None, out: Path) -> dict[str, int]:
    """Writes recommendations.parquet, recommendations_by_category.parquet and recommendations_default.parquet into the folder `out`.
    Returns their numbers of rows.

    Customers with a history get their own lists. The others, and those without consent, get their segment's. The shop's rules apply to all
    of them. New products are explored by their texts where the shop has a `content` generator.
    """
    segments = read_popularity(snapshot, half_life_days, by_segment=True)
    for name in read_segment_names(snapshot):
        segments.setdefault(name, np.zeros_like(segments["all"]))
    reasons, rules = Reasons(snapshot.catalogue, snapshot.config.language), Rules.of(snapshot)
    exploration = Exploration.of(snapshot, content)
    written = 0
    with (
        pq.ParquetWriter(out / "recommendations.parquet", RECOMMENDATIONS, compression="zstd") as writer,
        CategoryLists(snapshot.catalogue, snapshot.config, out) as by_category,
    ):
        maker = _ListMaker(snapshot, scorer, segments, reasons, rules, exploration, by_category)
        for customers in read_chunks(snapshot, CUSTOMERS_AT_ONCE):
            for batch, of_categories in maker.lists(customers):
                writer.write_batch(batch)
                by_category.write(of_categories)
                written += len(batch)
    rows = {"recommendations": written, "recommendations_by_category": by_category.rows}
    return rows | {"recommendations_default": _write_defaults(snapshot, scorer, rules, segments, out)}


@dataclass(frozen=True)
class _ListMaker:
    """Makes the rows of some customers, a block of them at a time.

    Attributes:
        segments: (P,) popularity by segment.
        exploration: tonight's, if any.
    """

    snapshot: Snapshot
    scorer: ListScorer
    segments: Mapping[str, np.ndarray]
    reasons: Reasons
    rules: Rules
    exploration: Exploration | None
    by_category: CategoryLists

    def lists(self, customers: Customers) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
        """Rows of recommendations and of recommendations_by_category, in the order of the customers."""
        snapshot, scorer, rules = self.snapshot, self.scorer, self.rules
        history, barred = read_history(snapshot, customers), read_excluded(snapshot, customers)
        segment = rules.number(customers.segments)
        age = read_reached_ages(snapshot, customers) if rules.minimum_age.any() else np.zeros(len(customers), np.int32)
        chance = random_numbers(snapshot, customers) if self.exploration else np.zeros(len(customers), np.uint64)

        def of_block(begin: int, end: int) -> tuple[pa.RecordBatch, pa.RecordBatch]:
            part, asked = customers.rows(begin, end), history.rows(begin, end)
            instead = _segment_scores(part, np.flatnonzero(np.diff(asked.indptr) == 0), self.segments)
            draws = self.exploration.block(part, asked, chance[begin:end]) if self.exploration else None
            block = _ListBlock(rules, self.by_category, part, asked, segment[begin:end], age[begin:end], draws)
            plain = is_in(part.segments, scorer.popular_segments)
            ranked = scorer.rank(asked, within(barred, begin, end), snapshot.config.list_length, instead, block.choose, plain)
            return _batch(snapshot, scorer, self.reasons, block, ranked, instead), block.of_categories

        return scorer.by_block(len(customers), of_block)


def _segment_scores(customers: Customers, strangers: np.ndarray, segments: Mapping[str, np.ndarray]) -> np.ndarray:
    """(r, P) unit scores for r rows of customers: what is popular in their segment, and with everybody where that is unknown."""
    names = sorted(segments)
    table = unit(np.stack([segments[name] for name in names]))
    number = pc.index_in(customers.segments.take(pa.array(strangers)), pa.array(names)).fill_null(names.index("all"))
    return table[number.to_numpy(zero_copy_only=False)]


def _batch(
    snapshot: Snapshot, scorer: ListScorer, reasons: Reasons, block: _ListBlock, ranked: RankedLists, instead: np.ndarray
) -> pa.RecordBatch:
    """The rows of one block of customers, in the order of customer and rank."""
    customers, asked, shown = block.customers, block.asked, np.isfinite(ranked.scores)
    row, place = np.nonzero(shown)
    products = ranked.products[shown]
    parts = ranked.parts[shown]
    part = parts.argmax(axis=1)
    for column, generator in enumerate(scorer.generators):  # what was bought before is bought again, whatever else contributed
        if generator.strategy == "buy_again":
            part[parts[:, column] > 0] = column
    contributed = parts[np.arange(len(part)), part] > 0
    strategies = np.array([generator.strategy for generator in scorer.generators], dtype=object)[part]
    strategies[~contributed] = "popular"
    nobody = np.diff(asked.indptr)[row] == 0
    number = np.cumsum(np.diff(asked.indptr) == 0) - 1  # a stranger's row in `instead`
    of_segment = nobody & customers.segments.is_valid().to_numpy(zero_copy_only=False)[row]
    of_segment[of_segment] = instead[number[row[of_segment]], products[of_segment]] > 0
    strategies[of_segment] = "segment_popular"
    pinned, propensity = block.rules.is_pinned(block.segment, ranked.products)[shown], block.propensities[shown]
    drawn = ~np.isnan(propensity)
    strategies[pinned], strategies[drawn] = "pinned", "exploration"
    argued = contributed & ~pinned & ~drawn
    because, events = _because(scorer, asked, row, products, np.where(argued, part, -1))
    names = pa.array(strategies, pa.string())
    return pa.RecordBatch.from_arrays(
        [
            customers.ids.take(pa.array(row)),
            pa.array(place + 1, pa.int32()),
            snapshot.catalogue.ids.take(pa.array(products)),
            pa.array(ranked.scores[shown], pa.float64()),
            names,
            reasons.sentences(names, products, because, events),
            snapshot.catalogue.ids.take(pa.array(np.maximum(because, 0), mask=because < 0)),
            pa.array(np.where(drawn, propensity, 1.0)),
        ],
        schema=RECOMMENDATIONS,
    )


def _because(scorer: ListScorer, asked: History, row: np.ndarray, products: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each recommended row the past product with the greatest affinity (-1 where there is none) and the number of its event."""
    place = asked.indptr[:-1][:, None] + np.arange(PAST)
    inside = place < asked.indptr[1:][:, None]
    place = np.where(inside, place, 0)
    because = np.full(len(row), -1, np.int64)
    events = np.zeros(len(row), np.int64)
    if len(asked.product) == 0:
        return because, events
    past, event = np.where(inside, asked.product[place], -1), asked.event[place]
    for number, generator in enumerate(scorer.generators):
        mine = np.flatnonzero(part == number)
        affinity = generator.affinity(asked, row[mine], products[mine], past[row[mine]]) if len(mine) else None
        if affinity is None:
            continue
        best = affinity.argmax(axis=1)
        found = affinity[np.arange(len(mine)), best] > 0
        # what is offered again is its own reason, however far back it was bought
        otherwise = products[mine] if generator.strategy == "buy_again" else -1
        because[mine] = np.where(found, past[row[mine], best], otherwise)
        events[mine] = event[row[mine], best]
    return because, events


def _write_defaults(snapshot: Snapshot, scorer: ListScorer, rules: Rules, segments: Mapping[str, np.ndarray], out: Path) -> int:
    """One list a segment and one for 'all', of what may be shown to people of unknown age. Products that nobody wanted yet come last."""
    names = sorted(segments)
    total = unit(np.stack([segments[name] for name in names])) * scorer.demotion + scorer.filling
    segment = rules.number(pa.array(names))
    rules.hide(total, segment, age=np.zeros(len(names), np.int32))
    products, scores, _ = rules.choose(total, snapshot.config.list_length, segment)
    row, place = np.nonzero(np.isfinite(scores))
    table = pa.Table.from_arrays(
        [
            pa.array(names).take(pa.array(row)),
            pa.array(place + 1, pa.int32()),
            snapshot.catalogue.ids.take(pa.array(products[row, place])),
            pa.array(scores[row, place], pa.float64()),
        ],
        schema=DEFAULTS,
    )
    pq.write_table(table, out / "recommendations_default.parquet", compression="zstd")
    return len(table)
