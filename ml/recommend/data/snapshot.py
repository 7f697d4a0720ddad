"""A night's feature snapshot as arrays: the catalogue, and customers' histories one window of customers at a time.

Products and customers are numbered in the order of their ids, so that the smaller number is the smaller id and a tie broken by
number is broken by id. All set logic is SQL over the snapshot's Parquet files; nothing here loops over customers or rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from ml.nightly_model import Split
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.shop_arrays import EVENT_TYPES, Catalogue, Customers, Exam, History

# what a purchase counts, for each order of the customer since
HABIT_FADE = 0.9
# buyers' worth of belief in the category's share of repeat buyers, and reviews' worth in the shop's mean score, as in dbt_project.yml
PRIOR_BUYERS, PRIOR_REVIEWS = 10, 5


class Snapshot:
    """Reads one snapshot folder.

    Args:
        folder: the snapshot's folder of Parquet files.
        config: threads, memory and the history's length.
    """

    def __init__(self, folder: Path, config: RecommenderConfig) -> None:
        self.folder = folder
        self.config = config
        self._db = duckdb.connect(config={"threads": config.threads, "memory_limit": f"{config.memory_gb}GB"})
        self.catalogue = self._read_catalogue()
        numbers = np.arange(len(self.catalogue), dtype=np.int32)
        known_at = self.catalogue.known_at
        self._db.register("catalogue", pa.table({"product_id": self.catalogue.ids, "product": numbers, "known_at": known_at}))
        rows = self._db.execute("select split, starts_at, ends_at from read_parquet(?)", [self._file("splits")]).fetchall()
        self._repeatable: dict[datetime | None, np.ndarray] = {}
        self._discontent: dict[datetime | None, np.ndarray] = {}
        self._starts_at: dict[str, datetime] = {split: starts_at for split, starts_at, _ in rows}
        self.as_of: datetime = max(ends_at for *_, ends_at in rows)

    def _file(self, name: str) -> str:
        return str(self.folder / f"{name}.parquet")

    def end_of(self, splits: Sequence[Split]) -> datetime | None:
        """The moment at which the rows of the splits end; None where that is the end of all rows."""
        if "test" in splits:
            return None
        return self._starts_at["test" if "validation" in splits else "validation"]

    def moment(self, before: datetime | None) -> int:
        """Microseconds since 1970 of a moment; None is the night's."""
        return int(np.datetime64(before or self.as_of, "us").astype(np.int64))

    def exam(self, split: Split) -> Exam:
        """The questions of a split: its labels, asked with the history before it."""
        return Exam(self._starts_at[split], None, split)

    def span(self, exam: Exam) -> tuple[datetime, datetime]:
        """When an exam's answers begin and end."""
        if exam.ends_at is not None:
            return exam.starts_at, exam.ends_at
        return exam.starts_at, self._starts_at["test"] if exam.split == "validation" else self.as_of

    @cached_property
    def first_at(self) -> datetime | None:
        """The moment of the first interaction that choices may see; None where there is none."""
        query = "select min(occurred_at) from read_parquet(?) where occurred_at < ?"
        (first,) = self._db.execute(query, [self._file("interactions"), self._starts_at["test"]]).fetchone() or (None,)
        return first

    def rehearsal(self) -> Exam:
        """The questions that choices are made on: the validation split, or, in a shop so young that less lies before it than in it,
        the last third of the rows before the test split."""
        validation, test = self._starts_at["validation"], self._starts_at["test"]
        query = """
            select count(*) filter (occurred_at < ?), count(*), quantile_disc(occurred_at, 0.67)
            from read_parquet(?) where occurred_at < ?
        """
        before, rows, cut = self._db.execute(query, [validation, self._file("interactions"), test]).fetchone() or (0, 0, None)
        return self.exam("validation") if before * 2 >= rows or cut is None else Exam(cut, test, None)

    def _read_catalogue(self) -> Catalogue:
        """Of products that come in variants only the one that stands for all; what was done with any of them is told of that one."""
        query = """
            select
                product_id, title, category, brand, price, coalesce(text, '') as text, is_available,
                coalesce(stated_repeatable::tinyint, -1) as stated_repeatable,
                coalesce(epoch_us(least(created_at, first_seen_at)), 0) as known_at
            from read_parquet(?) where product_id = shown_product_id
            order by product_id
        """
        table = self._db.execute(query, [self._file("products")]).to_arrow_table().combine_chunks()
        column: dict[str, Any] = {name: _whole(table[name]) for name in table.column_names}
        return Catalogue(
            ids=column["product_id"],
            titles=column["title"],
            categories=column["category"],
            texts=column["text"],
            category=_numbered(column["category"]),
            brand=_numbered(column["brand"]),
            price=column["price"].cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False),
            available=column["is_available"].fill_null(True).to_numpy(zero_copy_only=False),
            stated_repeatable=column["stated_repeatable"].to_numpy(),
            known_at=column["known_at"].to_numpy(),
        )

    # ---- products before a moment ----------------------------------------------------------------------------------
    def repeatable(self, before: datetime | None = None) -> np.ndarray:
        """(P,) bool, whether people buy a product again, as it was known before a moment: what the shop says, else the share of buyers who
        came back on another day. dbt's `product_activity` says the same of the night."""
        if before not in self._repeatable:
            query = """
                with bought as (
                    select product, min(occurred_at::date) < max(occurred_at::date) as again
                    from read_parquet(?) join catalogue using (product_id)
                    where event_type = 'purchase' and occurred_at < coalesce(?, 'infinity'::timestamp) group by product, customer_id
                )
                select product, count(*) as buyers, count(*) filter (again) as repeat_buyers from bought group by product
            """
            found = self._db.execute(query, [self._file("interactions"), before]).fetchnumpy()
            buyers, again = np.zeros(len(self.catalogue)), np.zeros(len(self.catalogue))
            buyers[found["product"]], again[found["product"]] = found["buyers"], found["repeat_buyers"]
            category = np.where(self.catalogue.category >= 0, self.catalogue.category, self.catalogue.category.max(initial=-1) + 1)
            usual = np.bincount(category, weights=again) / np.maximum(np.bincount(category, weights=buyers), 1)
            share = (again + PRIOR_BUYERS * usual[category]) / (buyers + PRIOR_BUYERS)
            stated = self.catalogue.stated_repeatable
            self._repeatable[before] = np.where(stated >= 0, stated > 0, (share >= self.config.repeatable_share) & (buyers > 0))
        return self._repeatable[before]

    def discontent(self, before: datetime | None = None) -> np.ndarray:
        """(P,) float32 in [0, 1], how unhappy a product's reviewers were before a moment beyond the shop's average; 0 without any.

        A product's mean score is that of dbt's `product_opinions` as of the moment. Reviews are read by tonight's sentiment model.
        """
        file = self.folder / "review_scores.parquet"
        if before not in self._discontent and file.exists():
            query = """
                with faded as (
                    select product_id, score, weight * pow(0.5, (epoch($moment) - epoch(reviewed_at)) / 86400.0 / $half_life) as worth
                    from read_parquet($scores) where reviewed_at < $moment
                ),
                shop as (
                    select
                        sum(cast(worth * score as decimal(18, 9)))::double
                        / nullif(sum(cast(worth as decimal(18, 9)))::double, 0) as mean
                    from faded
                )
                select
                    product, (sum(cast(worth * score as decimal(18, 9)))::double + $prior * any_value(shop.mean))
                    / (sum(cast(worth as decimal(18, 9)))::double + $prior) as mean
                from faded join catalogue using (product_id) cross join shop group by product order by product
            """  # decimals add up to the same sum in any order
            moment = before or self.as_of
            arguments = {"scores": str(file), "moment": moment, "half_life": self.config.review_half_life_days, "prior": PRIOR_REVIEWS}
            found = self._db.execute(query, arguments).fetchnumpy()
            mean = np.ma.filled(found["mean"], np.nan)
            discontent = np.zeros(len(self.catalogue), np.float32)
            if len(mean) and not np.isnan(mean).all():
                discontent[found["product"]] = np.clip(np.nan_to_num(np.nanmean(mean) - mean), 0, 1)
            self._discontent[before] = discontent
        return self._discontent.get(before, np.zeros(len(self.catalogue), np.float32))

    # ---- customers -------------------------------------------------------------------------------------------------
    def windows(self, size: int) -> Iterator[Customers]:
        """All customers in the order of their ids, `size` at a time."""
        cursor = self._db.cursor()
        query = "select customer_id, segment, coalesce(consent, true) as consent from read_parquet(?) order by customer_id"
        reader = cursor.execute(query, [self._file("customers")]).to_arrow_reader(size)
        held: list[pa.RecordBatch] = []
        for batch in reader:
            held.append(batch)
            while sum(map(len, held)) >= size:
                table = pa.Table.from_batches(held).combine_chunks()
                yield _customers(table.slice(0, size))
                held = table.slice(size).to_batches()
        if sum(map(len, held)):
            yield _customers(pa.Table.from_batches(held))

    def active(self, before: datetime | None = None) -> Customers:
        """The customers who have a history before a moment."""
        table = self._db.execute(
            """
            select distinct customer_id, null::varchar as segment, true as consent
            from read_parquet(?) where occurred_at < coalesce(?, 'infinity'::timestamp) order by customer_id
            """,
            [self._file("interactions"), before],
        ).to_arrow_table()
        return _customers(table)

    def examined(self, exam: Exam, at_most: int) -> Customers:
        """The customers with labels in the exam; a sample by hash, the same in every run, where there are more than `at_most`."""
        labels, arguments = self._labels(exam)
        query = f"""
            with labels as ({labels})
            select customer_id, null::varchar as segment, true as consent
            from (select distinct customer_id from labels) order by md5(customer_id || ?), customer_id limit ?
        """
        table = self._db.execute(query, [*arguments, str(self.config.seed), at_most]).to_arrow_table().sort_by("customer_id")
        return _customers(table)

    def segments_before(self, customers: Customers, exam: Exam) -> pa.StringArray:
        """(n,) the segment each customer was in when the exam's split began; NULL where that was not written down."""
        file = self.folder / "segments.parquet"
        if exam.split is None or not file.exists():
            return pa.nulls(len(customers), pa.string())
        query = """
            select segment from asked left join (select customer_id, segment from read_parquet(?) where split = ?) using (customer_id)
            order by customer
        """
        segments = self._about(customers, query, [str(file), exam.split])["segment"]
        return pa.array(segments, pa.string(), from_pandas=True)

    # ---- facts of a window -----------------------------------------------------------------------------------------
    def history(self, customers: Customers, before: datetime | None = None) -> History:
        """What the customers did before a moment; those without consent have no history, as the snapshot holds nothing of theirs."""
        query = """
            with events as (
                select customer, product, event_type, event_weight, is_target, occurred_at, cast(occurred_at as date) as day
                from read_parquet($interactions) join asked using (customer_id) join catalogue using (product_id)
                where customer_id between $first and $last and occurred_at < coalesce($before, 'infinity'::timestamp)
            ),
            ordered_on as (select distinct customer, product, day from events where is_target),
            orders as (
                select customer, day, row_number() over (partition by customer order by day desc) - 1 as ago
                from (select distinct customer, day from ordered_on)
            ),
            habits as (
                select
                    customer, product, min(ago) as orders_ago, max(ago) + 1 as orders_since,
                    sum(round(pow($fade, ago) * 1e9)::bigint)::double / 1e9 as habit
                from ordered_on join orders using (customer, day) group by customer, product
            ),
            entries as (
                select
                    customer, product,
                    sum(cast(event_weight as decimal(18, 6)))::double as evidence,
                    count(*) filter (is_target) as targets,
                    count(distinct day) filter (is_target) as target_days,
                    min(occurred_at) as first_at,
                    max(occurred_at) as last_at,
                    min(occurred_at) filter (is_target) as first_target_at,
                    max(occurred_at) filter (is_target) as last_target_at,
                    arg_max(list_position($event_types, event_type) - 1, (event_weight, occurred_at, event_type)) as event
                from events group by customer, product
            ),
            ordered as (
                select *, row_number() over (partition by customer order by last_at desc, product) - 1 as steps from entries
                qualify steps < $most
            )
            select
                customer, product, steps, evidence, targets, target_days,
                epoch_us(first_at) as first_at, epoch_us(last_at) as last_at,
                coalesce(epoch_us(first_target_at), 0) as first_target_at, coalesce(epoch_us(last_target_at), 0) as last_target_at,
                coalesce(event, 0) as event,
                coalesce(habit, 0) as habit, coalesce(orders_ago, 0) as orders_ago, coalesce(orders_since, 0) as orders_since
            from ordered left join habits using (customer, product) order by customer, steps
        """  # habits are sums of whole numbers, the same in any order
        n, p = len(customers), len(self.catalogue)
        first, last = (customers.ids[0].as_py(), customers.ids[n - 1].as_py()) if n else ("", "")
        arguments = {
            "interactions": self._file("interactions"),
            "first": first,
            "last": last,
            "before": before,
            "event_types": list(EVENT_TYPES),
            "most": self.config.max_history,
            "fade": HABIT_FADE,
        }
        entry = self._about(customers, query, arguments)
        indptr = np.concatenate([[0], np.cumsum(np.bincount(entry["customer"], minlength=n))]).astype(np.int64)
        return History(
            customers=n,
            products=p,
            moment=self.moment(before),
            indptr=indptr,
            product=entry["product"].astype(np.int32),
            steps=entry["steps"].astype(np.int32),
            evidence=entry["evidence"].astype(np.float32),
            targets=entry["targets"].astype(np.int32),
            target_days=entry["target_days"].astype(np.int32),
            first_at=entry["first_at"].astype(np.int64),
            last_at=entry["last_at"].astype(np.int64),
            first_target_at=entry["first_target_at"].astype(np.int64),
            last_target_at=entry["last_target_at"].astype(np.int64),
            event=entry["event"].astype(np.int8),
            habit=entry["habit"].astype(np.float32),
            orders_ago=entry["orders_ago"].astype(np.int32),
            orders_since=entry["orders_since"].astype(np.int32),
            repeatable=self.repeatable(before),
        )

    def owned(self, customers: Customers, before: datetime | None = None) -> tuple[np.ndarray, np.ndarray]:
        """What the customers had bought or reviewed before a moment and nobody, as far as was known then, buys again: (customer numbers,
        product numbers)."""
        n = len(customers)
        first, last = (customers.ids[0].as_py(), customers.ids[n - 1].as_py()) if n else ("", "")
        query = f"""
            select distinct customer, product from ({self._owned(before)}) join asked using (customer_id) join catalogue using (product_id)
            where customer_id between ? and ? order by customer, product
        """
        entry = self._about(customers, query, [self._file("interactions"), before, first, last])
        return entry["customer"], entry["product"]

    def _owned(self, before: datetime | None) -> str:
        """SQL of (customer_id, product_id), maybe more than once each; its arguments are the interactions and the moment."""
        self._db.register("bought_once", pa.table({"product_id": self.catalogue.ids.filter(pa.array(~self.repeatable(before)))}))
        return """
            select customer_id, product_id from read_parquet(?) semi join bought_once using (product_id)
            where event_type in ('purchase', 'review') and occurred_at < coalesce(?, 'infinity'::timestamp)
        """

    def barred(self, customers: Customers) -> tuple[np.ndarray, np.ndarray]:
        """What the customers own or took off their lists, never to be shown to them: (customer numbers, product numbers)."""
        query = """
            with pairs as (
                select customer_id, product_id from read_parquet(?)
                union
                select customer_id, product_id from {dismissed}
            )
            select customer, product from pairs join asked using (customer_id) join catalogue using (product_id) order by customer, product
        """
        dismissed = self.folder / "dismissed.parquet"
        present = dismissed.exists()
        files = [self._file("owned")] + [str(dismissed)] * present
        known = "read_parquet(?)" if present else "(select null as customer_id, null as product_id where false)"
        entry = self._about(customers, query.format(dismissed=known), files)
        return entry["customer"], entry["product"]

    def reached_ages(self, customers: Customers) -> np.ndarray:
        """(n,) the highest minimum age that each customer has reached, years; 0 where the age is unknown."""
        query = "select customer, reached_age from read_parquet(?) join asked using (customer_id) order by customer"
        return np.asarray(self._about(customers, query, [self._file("customers")])["reached_age"], dtype=np.int32)

    def chances(self, customers: Customers) -> np.ndarray:
        """(n,) uint64 a random number for each customer, of the seed, the night and the customer's id alone."""
        query = "select customer, md5_number_lower(customer_id || ? || ?) as chance from asked order by customer"
        entry = self._about(customers, query, [f"/{self.config.seed}/", self.as_of.isoformat()])
        return np.asarray(entry["chance"], dtype=np.uint64)

    def new_products(self, days: int) -> np.ndarray:
        """(F,) numbers of available products that came within the last `days`, or that nobody has done anything with yet."""
        query = """
            select product from read_parquet(?) join catalogue using (product_id)
            where is_available and (
                created_at >= ?::timestamp - to_days(?::integer)
                or product_id not in (select product_id from read_parquet(?) where product_id is not null))
            order by product
        """
        arguments = [self._file("products"), self.as_of, days, self._file("interactions")]
        return np.asarray(self._db.execute(query, arguments).fetchnumpy()["product"], dtype=np.int64)

    def rules(self) -> dict[str, Any]:
        """The night's rules by column: rule_id, kind, product (its number), segment (NULL for everybody's), value.

        The shop's own, and those that follow from what reviews say.
        """
        files = [str(file) for name in ("rules", "sentiment_rules") if (file := self.folder / f"{name}.parquet").exists()]
        nothing = """(select null::varchar as rule_id, null::varchar as kind, null::varchar as product_id, null::varchar as segment,
            null::integer as value where false)"""
        query = f"""
            select rule_id, kind, product, segment, value
            from {"read_parquet(?)" if files else nothing} join catalogue using (product_id) order by all
        """
        table = self._db.execute(query, [files] if files else []).to_arrow_table()
        return {name: _whole(table[name]) for name in table.column_names}

    def labels(self, customers: Customers, exam: Exam) -> tuple[np.ndarray, np.ndarray]:
        """What the customers went on to do in the exam, as (customer numbers, product numbers)."""
        labels, arguments = self._labels(exam)
        query = f"""
            with labels as ({labels})
            select distinct customer, product from labels join asked using (customer_id) join catalogue using (product_id) order by all
        """
        entry = self._about(customers, query, arguments)
        return entry["customer"], entry["product"]

    def _labels(self, exam: Exam) -> tuple[str, list[Any]]:
        """SQL and its arguments for an exam's (customer_id, product_id); only of products known before it that the customer did not own,
        as no list could hold others."""
        labels: str
        arguments: list[Any]
        if exam.split:
            labels, arguments = "select customer_id, product_id from read_parquet(?) where split = ?", [self._file("labels"), exam.split]
        else:
            labels = "select customer_id, product_id from read_parquet(?) where is_target and occurred_at >= ? and occurred_at < ?"
            arguments = [self._file("interactions"), exam.starts_at, exam.ends_at]
        return (
            f"""
            select customer_id, product_id from ({labels}) join catalogue using (product_id)
            anti join ({self._owned(exam.starts_at)}) using (customer_id, product_id)
            where known_at < epoch_us(?::timestamp)
        """,
            [*arguments, self._file("interactions"), exam.starts_at, exam.starts_at],
        )

    def popularity(
        self, half_life_days: float, before: datetime | None = None, by_segment: bool = False, last_days: float = 36500
    ) -> dict[str, np.ndarray]:
        """Sums of event weights of the last days before a moment, decayed by age: {segment: (P,)}, with 'all' for everybody."""
        segment = "coalesce(c.segment, '')" if by_segment else "''"
        query = f"""
            with events as (
                select customer_id, product_id, event_weight, occurred_at from read_parquet(?)
                where occurred_at < coalesce(?, 'infinity'::timestamp)
            ),
            latest as (select max(occurred_at) as moment from events),
            weighed as (
                select
                    {segment} as segment, product,
                    event_weight * pow(0.5, (epoch(latest.moment) - epoch(occurred_at)) / 86400.0 / ?) as worth
                from events cross join latest join catalogue using (product_id)
                left join (select customer_id, segment from read_parquet(?)) c using (customer_id)
                where epoch(coalesce(?, latest.moment)) - epoch(occurred_at) <= 86400.0 * ?
            )
            select segment, product, sum(round(worth * 1e12)::hugeint)::double / 1e12 as worth
            from weighed group by segment, product order by segment, product
        """  # whole numbers add up to the same sum in any order, so that threads cannot change it
        arguments = [self._file("interactions"), before, half_life_days, self._file("customers"), before, last_days]
        table = self._db.execute(query, arguments).fetchnumpy()
        names, number = np.unique(table["segment"].astype(str), return_inverse=True)
        sums = np.zeros((len(names), len(self.catalogue)))
        sums[number, table["product"]] = table["worth"]
        found = {"all": sums.sum(axis=0)} | {name: row for name, row in zip(names.tolist(), sums, strict=True) if name}
        return {name: row.astype(np.float32) for name, row in found.items()}

    def product_sums(self, before: datetime | None = None) -> dict[str, np.ndarray]:
        """Counts and sums of each product's events before a moment, {name: (P,)}: see `facts.Facts`; log_gaps is the sum of the logarithms
        of the days between a customer's purchases of the product on different days, gaps their number."""
        query = """
            with events as (
                select
                    customer_id, product, cast(event_weight as decimal(18, 6)) as event_weight, is_target, cast(occurred_at as date) as day,
                    epoch_us(occurred_at) > $moment - 7 * 86400000000 as is_of_7,
                    epoch_us(occurred_at) > $moment - 30 * 86400000000 as is_of_30
                from read_parquet($interactions) join catalogue using (product_id) where epoch_us(occurred_at) < $moment
            ),
            days as (select distinct product, customer_id, day from events where is_target),
            gaps as (
                select product, customer_id, day - lag(day) over (partition by product, customer_id order by day) as gap from days
            ),
            by_customer as (
                select product, customer_id, count(gap) as gaps, sum(cast(ln(gap) as decimal(18, 6))) as log_gaps
                from gaps group by product, customer_id
            ),
            bought as (
                select
                    product, count(*) as buyers, count(*) filter (gaps > 0) as repeat_buyers, sum(gaps) as gaps, sum(log_gaps) as log_gaps
                from by_customer group by product
            ),
            wanted as (
                select
                    product,
                    sum(event_weight) filter (is_of_7) as wanted_7,
                    sum(event_weight) filter (is_of_30) as wanted_30,
                    sum(event_weight) as wanted,
                    count(*) filter (is_target and is_of_7) as bought_7,
                    count(*) filter (is_target and is_of_30) as bought_30,
                    count(*) filter (is_target) as bought
                from events group by product
            )
            select columns(* exclude (product))::double, product from wanted left join bought using (product) order by product
        """
        arguments = {"moment": self.moment(before), "interactions": self._file("interactions")}
        found = self._db.execute(query, arguments).fetchnumpy()
        product = found.pop("product")
        sums = {name: np.zeros(len(self.catalogue)) for name in found}
        for name, values in found.items():
            sums[name][product] = np.ma.filled(values, 0)
        return sums

    def segments(self) -> list[str]:
        """The segments that customers are in, in the order of their names."""
        query = "select distinct segment from read_parquet(?) where segment is not null order by segment"
        return [segment for (segment,) in self._db.execute(query, [self._file("customers")]).fetchall()]

    def _about(self, customers: Customers, query: str, arguments: Sequence[Any] | dict[str, Any]) -> dict[str, np.ndarray]:
        """Runs a query that may join `asked`, the window's customer numbers by id."""
        self._db.register("asked", pa.table({"customer_id": customers.ids, "customer": np.arange(len(customers), dtype=np.int32)}))
        return self._db.execute(query, arguments).fetchnumpy()


def _numbered(names: pa.Array) -> np.ndarray:
    """(n,) a number for each name, -1 for NULL."""
    return names.cast(pa.string()).dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _customers(table: pa.Table) -> Customers:
    column = {name: _whole(table[name]) for name in table.column_names}
    return Customers(column["customer_id"], column["segment"].cast(pa.string()), column["consent"].to_numpy(zero_copy_only=False))
