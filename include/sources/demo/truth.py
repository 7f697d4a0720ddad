"""What the demo shop knows of itself and its landing files do not tell: who likes what, and how good a recommender can get.

The truth lies beside the data, in the shop's folder `truth/`; no night reads it. Tests and benchmarks do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import ndtr

from include.night import write_atomically
from include.sources.demo import behaviour
from include.sources.demo.catalogue import CATEGORIES, STYLES, TIERS, Catalogue, Floats, catalogue
from include.sources.demo.customers import Customers, customers
from include.sources.demo.dirt import TABLES
from include.sources.demo.memory import REPEAT_SPREAD, Memory
from include.sources.demo.rows import NONE, Integers, ids, picks
from include.sources.demo.shop import Shop

CHUNK = 2_048  # customers whose expectations are held at once


class Judged(NamedTuple):
    """NDCG of some lists, of the best possible lists for the same customers, and the one as a share of the other."""

    customers: int
    ndcg: float
    best_ndcg: float
    share_of_best: float


@dataclass(frozen=True)
class _History:
    """Purchases before some day: distinct pairs, sorted, with the day each was bought last."""

    customer: Integers
    product: Integers
    day: Integers


@dataclass(frozen=True)
class Truth:
    """The truth of one demo shop."""

    shop: Shop
    landing: Path

    @classmethod
    def load(cls, shop_home: Path) -> Truth:
        """The truth beside a shop's landing folder (`night.shop_home`)."""
        return cls(load_shop(shop_home / "truth" / "shop.json"), shop_home / "landing")

    def expected_purchases(self, customer: Integers, starts_at: datetime, ends_at: datetime) -> Floats:
        """(n, P) probability that each customer buys each product between two midnights, given what was bought before.

        Columns are the products that could be recommended at `starts_at`, by number; the others and what a customer
        owns for good are 0. Advertisements are left out: they reach everyone alike.

        Args:
            customer: (n,) numbers of customers who have registered before `ends_at`.
        """
        first, last = self._day(starts_at), self._day(ends_at)
        people, goods = customers(self.shop, last), catalogue(self.shop, last)
        return self._expected(people, goods, self._history(first), customer, first, last)

    def best_possible_lists(self, starts_at: datetime, ends_at: datetime, length: int, customer_ids: list[str] | None = None) -> pa.Table:
        """The lists a recommender would show that knew every taste: customer_id, rank from 1, product_id, expected_purchases.

        Args:
            length: products in each list.
            customer_ids: whose lists; by default of all who registered before `starts_at`.
        """
        first, last = self._day(starts_at), self._day(ends_at)
        people, goods, history = customers(self.shop, last), catalogue(self.shop, last), self._history(first)
        if customer_ids is None:
            wanted = np.flatnonzero(people.arrived < first)
        else:
            wanted = np.array(sorted(int(name[1:]) for name in customer_ids), dtype=np.int64)
        parts = []
        for chunk in np.array_split(wanted, max(1, -(-len(wanted) // CHUNK))):
            expected = self._expected(people, goods, history, chunk, first, last)
            best = np.argsort(-expected, axis=1, kind="stable")[:, :length]
            owner, rank = np.nonzero(np.take_along_axis(expected, best, axis=1) > 0)
            product = best[owner, rank]
            parts.append(
                pa.table(
                    {
                        "customer_id": ids("C", chunk[owner]),
                        "rank": pa.array(rank + 1, pa.int32()),
                        "product_id": ids("P", product),
                        "expected_purchases": expected[owner, product],
                    }
                )
            )
        return pa.concat_tables(parts)

    def judge(self, lists: pa.Table, starts_at: datetime, ends_at: datetime, k: int = 10) -> Judged:
        """How much of the best possible NDCG@k some lists reach on what was bought between two midnights.

        NDCG with binary relevance (Järvelin and Kekäläinen, 2002), divided by the achievable ideal; over customers in
        `lists` who bought something that could have been recommended to them.

        Args:
            lists: columns customer_id, rank, product_id.
        """
        names = sorted(set(lists["customer_id"].to_pylist()))
        best = self.best_possible_lists(starts_at, ends_at, k, names)
        bought = self._new_purchases(self._day(starts_at), self._day(ends_at))
        query = """
            with relevant as (select distinct b.customer_id, b.product_id from bought b semi join lists l on l.customer_id = b.customer_id),
            ideal as (
                select customer_id, list_sum(list_transform(range(1, least(count(*), $k) + 1), lambda i: 1 / log2(i + 1))) as gain
                from relevant group by customer_id
            ),
            reached as (select r.customer_id, sum(1 / log2(s.rank + 1)) as gain from relevant r join shown s using (customer_id, product_id)
                        where s.rank <= $k group by r.customer_id)
            select count(*), coalesce(avg(coalesce(reached.gain, 0) / ideal.gain), 0) from ideal left join reached using (customer_id)
        """
        figures = []
        with duckdb.connect() as connection:
            connection.register("bought", bought)
            connection.register("lists", lists.select(["customer_id"]))
            for shown in (lists, best):
                connection.register("shown", shown.select(["customer_id", "rank", "product_id"]))
                figures.append(connection.execute(query, {"k": k}).fetchall()[0])
        (judged, ndcg), (_, best_ndcg) = figures
        return Judged(judged, ndcg, best_ndcg, ndcg / best_ndcg if best_ndcg else 0.0)

    # ---- how it is reckoned ------------------------------------------------------------------------------------------
    def _day(self, moment: datetime) -> int:
        return (moment.date() - self.shop.born).days

    def _expected(self, people: Customers, goods: Catalogue, history: _History, customer: Integers, first: int, last: int) -> Floats:
        known = goods.up_to(max(first - 1, 0))
        listable = known.shown(first) & known.in_stock(max(first - 1, 0))
        rate = np.zeros((len(customer), len(known)))
        taste = people.taste_shares(customer)
        for day in range(first, last):
            today = goods.up_to(day)
            choices = today.choices(day)
            looks = 1 + behaviour.BROWSED + _list_clicks() * today.cart_rate
            bought = (choices.share * today.cart_rate * looks * today.in_stock(day))[:, : len(known)]
            shares = people.category_shares(customer, day, choices.live)[:, known.category]
            orders = (people.visits_on(day) * people.buys)[customer]
            rate += orders[:, None] * shares * (taste @ bought)
        self._add_accessories(rate, people, known, history, customer, first, last)
        chance = 1 - np.exp(-rate)
        row, product, again = self._repeats(people, known, history, customer, first, last)
        chance[row, product] = 1 - (1 - chance[row, product]) * (1 - again)
        row, product, _ = _rows_of(history, customer)
        kept = (product < len(known)) & (goods.repeat_days[product] == 0)
        chance[row[kept], product[kept]] = 0
        return chance * listable

    def _add_accessories(
        self, rate: Floats, people: Customers, goods: Catalogue, history: _History, customer: Integers, first: int, last: int
    ) -> None:
        row, product, day = _rows_of(history, customer)
        mains = (product < len(goods)) & (first - day <= behaviour.ACCESSORY_DAYS)
        row, product, day = row[mains], product[mains], day[mains]
        mains = goods.accessories[product, 0] != NONE
        row, product, day = row[mains], product[mains], day[mains]
        newest = np.lexsort((day, row))  # later ones overwrite earlier ones below
        main, since = np.full(len(customer), NONE), np.full(len(customer), NONE)
        main[row[newest]], since[row[newest]] = product[newest], day[newest]
        who = np.flatnonzero(main != NONE)
        for today in range(first, last):
            orders = (people.visits_on(today) * people.buys)[customer[who]] * (today - since[who] <= behaviour.ACCESSORY_DAYS)
            for place in (0, 1):
                np.add.at(
                    rate, (who, goods.accessories[main[who], place]), orders * behaviour.ACCESSORY_LOOKS * behaviour.ACCESSORY_CARTS / 2
                )

    def _repeats(
        self, people: Customers, goods: Catalogue, history: _History, customer: Integers, first: int, last: int
    ) -> tuple[Integers, Integers, Floats]:
        """Rows, products and probabilities of buying again: days until it is due are log-normal, then some days of delay."""
        row, product, day = _rows_of(history, customer)
        again = (product < len(goods)) & (goods.repeat_days[np.minimum(product, len(goods) - 1)] > 0)
        row, product, day = row[again], product[again], day[again]
        delay = 1 / (behaviour.REPEAT_TRIES * behaviour.REPEAT_CARTS * people.buys[customer[row]])

        def bought_by(moment: int) -> Floats:
            return ndtr(np.log(np.maximum(moment - day - delay, 0.5) / goods.repeat_days[product]) / REPEAT_SPREAD)

        still = np.maximum(1 - bought_by(first), 1e-6)
        return row, product, np.clip((bought_by(last) - bought_by(first)) / still, 0, 1)

    def _history(self, before_day: int) -> _History:
        table = self._purchases(f"ordered_at < '{self.shop.date(before_day)}'")
        return _History(*(table[name].to_numpy().astype(np.int64) for name in ("customer", "product", "day")))

    def _new_purchases(self, first: int, last: int) -> pa.Table:
        """customer_id, product_id of purchases of recommendable products from day `first` to before `last`, without what was owned."""
        table = self._purchases(f"ordered_at >= '{self.shop.date(first)}' and ordered_at < '{self.shop.date(last)}'")
        customer, product = (table[name].to_numpy().astype(np.int64) for name in ("customer", "product"))
        goods, history = catalogue(self.shop, last), self._history(first)
        before = history.customer << 32 | history.product
        owned = np.isin(customer << 32 | product, before) & (goods.repeat_days[product] == 0)
        new = (goods.arrived[product] < first) & ~owned
        return pa.table({"customer_id": ids("C", customer[new]), "product_id": ids("P", product[new])})

    def _purchases(self, condition: str) -> pa.Table:
        """customer, product (numbers) and last day of every pair bought, sorted; rows that break the contract left out."""
        with duckdb.connect() as connection:
            return connection.execute(
                f"""
                select try_cast(substr(o.customer_id, 2) as bigint) as customer, try_cast(substr(i.product_id, 2) as bigint) as product,
                    max(date_diff('day', $born::date, o.ordered_at::date)) as day
                from read_parquet($items) i
                join (select distinct order_id, customer_id, ordered_at from read_parquet($orders)) o using (order_id)
                where order_id not like '%broken%' and product is not null and customer is not null and {condition}
                group by all order by all
                """,
                {
                    "born": self.shop.born,
                    "items": str(self.landing / "order_items" / "*.parquet"),
                    "orders": str(self.landing / "orders" / "*.parquet"),
                },
            ).to_arrow_table()


def _list_clicks() -> float:
    """Clicks on recommendations a session, per probability of putting the product into the cart."""
    positions = np.arange(1, behaviour.LIST_POSITIONS + 1)
    return float(behaviour.LISTS_SHOWN * behaviour.LIST_CLICKS * (1 / np.sqrt(positions)).sum())


def _rows_of(history: _History, customer: Integers) -> tuple[Integers, Integers, Integers]:
    """Rows (places in `customer`, sorted), products and days of these customers' purchases."""
    place = np.minimum(np.searchsorted(customer, history.customer), len(customer) - 1)
    chosen = customer[place] == history.customer
    return place[chosen], history.product[chosen], history.day[chosen]


def load_shop(path: Path) -> Shop:
    """The shop as it was born."""
    kept = json.loads(path.read_text())
    return Shop(**kept | {"born": date.fromisoformat(kept["born"])})


def write_truth(folder: Path, people: Customers, goods: Catalogue, memory: Memory) -> None:
    """Write what is planted: customers.parquet, products.parquet and dirt.json (duplicates and broken rows by table)."""
    number = np.arange(len(people))
    pq.write_table(
        pa.table(
            {
                "customer_id": ids("C", number),
                "style": picks(STYLES, people.style),
                "second_style": picks(STYLES, people.second_style),
                "tier": picks(TIERS, people.tier),
                "favourite_category": picks([c.path for c in CATEGORIES], people.interests.argmax(axis=1)),
                "visits_a_day": people.visits,
                "registered_on": _dates(people.shop, people.arrived),
                "leaves_on": _dates(people.shop, people.leaves),
            }
        ),
        folder / "customers.parquet",
    )
    number = np.arange(len(goods))
    pq.write_table(
        pa.table(
            {
                "product_id": ids("P", number),
                "category": picks([c.path for c in CATEGORIES], goods.category),
                "style": picks(STYLES, goods.style),
                "tier": picks(TIERS, goods.tier),
                "quality": goods.quality,
                "quality_drops_on": _dates(goods.shop, goods.drop_day),
                "popularity": goods.popularity,
                "repeat_days": goods.repeat_days,
                "accessory_ids": pa.FixedSizeListArray.from_arrays(ids("P", goods.accessories.ravel()), 2),
            }
        ),
        folder / "products.parquet",
    )
    planted = {table: {"duplicates": int(twice), "broken": int(broken)} for table, (twice, broken) in zip(TABLES, memory.dirt, strict=True)}
    write_atomically(folder / "dirt.json", json.dumps(planted, indent=2))


def _dates(shop: Shop, days: Integers) -> pa.Array:
    """(n,) dates of days; NONE becomes missing."""
    born = (shop.born - date(1970, 1, 1)).days
    return pa.array((days + born).astype(np.int32), pa.int32(), mask=days == NONE).cast(pa.date32())
