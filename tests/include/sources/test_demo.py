"""The demo shop: the same seed gives the same shop, a day can be appended, the contract is kept, tastes can be found."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.collect.contract import load_contract
from include.errors import BadSetting
from include.night import Night
from include.settings import load_settings
from include.sources import demo, land
from include.sources.demo.memory import Memory
from include.sources.demo.truth import Truth
from tests.conftest import TINY_SHOP

pytestmark = pytest.mark.slow

OpenNight = Callable[..., Night]
Ask = Callable[[str], list[tuple[Any, ...]]]
SMALL_SHOP: dict[str, Any] = {"demo_customers": 500, "demo_products": 160, "demo_days": 60}
AS_OF = datetime(2026, 3, 1)


def landed(night: Night) -> dict[str, pa.Table]:
    """All rows of every table, files in the order of their names."""
    return {
        folder.name: pa.concat_tables([pq.read_table(path) for path in sorted(folder.glob("*.parquet"))])
        for folder in sorted(night.landing.iterdir())
    }


@pytest.fixture(scope="module")
def small_shop(tmp_path_factory: pytest.TempPathFactory) -> Night:
    home = tmp_path_factory.mktemp("small_shop")
    night = Night.open(load_settings(home=home, **SMALL_SHOP), AS_OF.replace(hour=2, tzinfo=UTC))
    land(night)
    return night


@pytest.fixture
def ask(small_shop: Night) -> Ask:
    """SQL over the small shop's landing files, one view a table; duplicates and broken rows still in."""
    connection = duckdb.connect()
    for folder in small_shop.landing.iterdir():
        connection.execute(f"create view {folder.name} as from read_parquet('{folder}/*.parquet')")
    for name in ("customers", "products"):
        connection.execute(f"create view true_{name} as from read_parquet('{small_shop.shop_home}/truth/{name}.parquet')")
    connection.execute("""
        create view bought as
        select distinct o.customer_id, i.product_id, o.order_id, o.ordered_at
        from order_items i join orders o using (order_id)
        where i.product_id is not null and o.order_id not like '%broken%'
    """)
    connection.execute("create view acts as from events where event_type <> 'hovered' and event_id not like '%broken%'")
    return lambda sql: connection.execute(sql).fetchall()


# ---- determinism and appending ---------------------------------------------------------------------------------------
def test_the_same_seed_gives_the_same_files(open_night: OpenNight, tmp_path: Path) -> None:
    nights = [open_night(home=tmp_path / name, **TINY_SHOP) for name in ("one", "two")]
    for night in nights:
        land(night)
    one, two = ({path.relative_to(night.landing): path.read_bytes() for path in night.landing.glob("*/*")} for night in nights)
    assert one == two


def test_another_seed_gives_another_shop(open_night: OpenNight, tmp_path: Path) -> None:
    nights = [open_night(home=tmp_path / str(seed), seed=seed, **TINY_SHOP) for seed in (1, 2)]
    for night in nights:
        land(night)
    assert landed(nights[0])["events"] != landed(nights[1])["events"]


@pytest.fixture
def one_go(open_night: OpenNight, tmp_path: Path) -> Callable[[str], Night]:
    """A tiny shop born for the night of 1 March, but generated only now, in one go up to another night."""

    def one_go(as_of: str) -> Night:
        first = open_night(home=tmp_path / "born", **TINY_SHOP)
        land(first)
        night = open_night(as_of, home=tmp_path / "one_go", **TINY_SHOP)
        (night.shop_home / "truth").mkdir()
        (night.shop_home / "truth" / "shop.json").write_bytes((first.shop_home / "truth" / "shop.json").read_bytes())
        land(night)
        return night

    return one_go


def test_day_by_day_gives_the_rows_of_one_go(open_night: OpenNight, one_go: Callable[[str], Night]) -> None:
    for as_of in ("2026-03-01T02:00:00", "2026-03-02T02:00:00", "2026-03-03", "2026-03-06T23:00:00"):
        night = open_night(as_of, **TINY_SHOP)
        land(night)
    assert landed(night) == landed(one_go("2026-03-06"))
    assert [path.name for path in sorted((night.landing / "events").iterdir())][:2] == [
        "2026-01-30_2026-02-28.parquet",
        "2026-03-01.parquet",
    ]


def test_history_in_many_files_holds_the_same_rows(
    open_night: OpenNight, one_go: Callable[[str], Night], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = landed(one_go("2026-03-01"))
    monkeypatch.setattr(demo, "ROWS_A_FILE", 1_000)
    night = open_night(**TINY_SHOP)
    land(night)
    assert len(list((night.landing / "events").iterdir())) > 3
    assert landed(night) == whole


def test_the_same_or_an_earlier_night_appends_nothing(open_night: OpenNight) -> None:
    land(open_night("2026-03-03", **TINY_SHOP))
    for as_of in ("2026-03-03", "2026-03-01"):
        night = open_night(as_of, **TINY_SHOP)
        land(night)
        assert night.steps()[0]["notes"]["rows_written"] == 0


@pytest.mark.parametrize("stopped_at", ["before_memory", "between_tables"])
def test_a_killed_run_is_taken_up_where_it_was(
    open_night: OpenNight, one_go: Callable[[str], Night], monkeypatch: pytest.MonkeyPatch, stopped_at: str
) -> None:
    monkeypatch.setattr(demo, "ROWS_A_FILE", 2_000)
    calls = []

    def dies(*args: Any, **kwargs: Any) -> None:
        calls.append(args)
        if len(calls) == (2 if stopped_at == "before_memory" else 12):
            raise KeyboardInterrupt
        original(*args, **kwargs)

    target, name = (Memory, "save") if stopped_at == "before_memory" else (pq, "write_table")
    original = getattr(target, name)
    monkeypatch.setattr(target, name, dies)
    with pytest.raises(KeyboardInterrupt):
        land(open_night(**TINY_SHOP))
    monkeypatch.undo()
    night = open_night("2026-03-02", **TINY_SHOP)  # a later night, whose files are cut otherwise
    land(night)
    assert landed(night) == landed(one_go("2026-03-02"))


def test_a_truth_that_was_not_finished_is_written_again(open_night: OpenNight) -> None:
    night = open_night(**TINY_SHOP)
    land(night)
    dirt = night.shop_home / "truth" / "dirt.json"
    planted = dirt.read_bytes()
    dirt.unlink()
    land(night)
    assert dirt.read_bytes() == planted


def test_a_shop_keeps_the_size_it_was_born_with(open_night: OpenNight) -> None:
    land(open_night(**TINY_SHOP))
    with pytest.raises(BadSetting, match="demo_customers"):
        land(open_night("2026-03-02", **(TINY_SHOP | {"demo_customers": 81})))


# ---- the contract ----------------------------------------------------------------------------------------------------
def test_every_contract_table_is_there_with_its_columns(small_shop: Night) -> None:
    tables = landed(small_shop)
    assert set(tables) == set(load_contract().table_names)
    for table in load_contract():
        assert tuple(tables[table.name].column_names) == table.column_names
        assert len(tables[table.name]) > 0


def test_keys_are_unique_but_for_the_dirt_that_was_counted(small_shop: Night) -> None:
    dirt = json.loads((small_shop.shop_home / "truth" / "dirt.json").read_text())
    assert dirt["events"]["duplicates"] > 0 and dirt["events"]["broken"] > 0
    for table in load_contract():
        with duckdb.connect() as connection:
            connection.register("landed", landed(small_shop)[table.name])
            whole = f"(from landed where {' and '.join(f'{column} is not null' for column in table.key)})"
            version = ", ".join((*table.key, "updated_at"))
            extra, copies = connection.execute(
                f"""
                select count(*) - count(distinct ({version})), count(*) - (select count(*) from (select distinct * from {whole}))
                from {whole}
                """
            ).fetchall()[0]
        assert extra == copies == dirt.get(table.name, {}).get("duplicates", 0), table.name


def test_as_many_rows_break_the_contract_as_were_planted(small_shop: Night) -> None:
    planted = json.loads((small_shop.shop_home / "truth" / "dirt.json").read_text())
    for table in load_contract():
        rows = landed(small_shop)[table.name]
        breaks = [f'"{column.name}" is null' for column in table.columns if column.required]
        breaks += [f'"{column.name}" < {column.min:g}' for column in table.columns if column.min is not None]
        breaks += [f'"{column.name}" > {column.max:g}' for column in table.columns if column.max is not None]
        breaks += [f'"{column.name}" not in {column.values}' for column in table.columns if column.values]
        times = [column for column in table.columns if column.kind == "timestamp" and not column.future]
        breaks += [f"\"{column.name}\" >= '{small_shop.as_of.date()}'" for column in times]
        with duckdb.connect() as connection:
            connection.register("landed", rows)
            broken = connection.execute(f"select count(*) from landed where {' or '.join(breaks)}").fetchall()[0][0]
        assert broken == planted.get(table.name, {}).get("broken", 0), table.name
        assert broken <= small_shop.settings.max_quarantine_share * len(rows) / 2


def test_references_lead_somewhere(small_shop: Night) -> None:
    tables = landed(small_shop)
    for table in load_contract():
        for column in table.columns:
            if column.references:
                other, key = column.references.split(".")
                named = {name for name in tables[table.name][column.name].to_pylist() if name and "broken" not in name}
                assert named <= set(tables[other][key].to_pylist()), f"{table.name}.{column.name}"


def test_an_orders_versions_only_go_forward(ask: Ask) -> None:
    good = "orders where order_id not like '%broken%'"
    assert ask(f"select count(*) from {good} and (shipped_at < ordered_at or delivered_at < shipped_at or updated_at < ordered_at)") == [
        (0,)
    ]
    backwards = ask(
        f"""with versions as (select distinct order_id, updated_at, status from {good})
        select count(*) from (
            select list_position(['created', 'paid', 'shipped', 'delivered', 'returned'], status) as step,
                lag(step) over (partition by order_id order by updated_at) as before
            from versions where status <> 'cancelled'
        ) where step <= before
        """
    )
    assert backwards == [(0,)]
    assert ask(f"select count(distinct status) >= 4 from {good}") == [(True,)]


def test_events_make_sense(ask: Ask) -> None:
    never = {
        "a hidden product is seen": "select 1 from acts join products using (product_id) where is_hidden",
        "a product is seen before it arrives": """
            select 1 from acts e join (select product_id, min(created_at) as since from products group by 1) using (product_id)
            where e.occurred_at < since""",
        "advertising without consent": """
            select 1 from acts e join customers c using (customer_id) where event_type like 'ad_%' and not c.consent_marketing""",
        "a campaign shown outside its days": """
            select 1 from acts e join campaigns c using (campaign_id) where e.occurred_at not between c.starts_at and c.ends_at""",
        "a click without its impression": """
            select 1 from acts c where event_type = 'recommendation_click' and not exists (
                from acts i
                where i.event_type = 'recommendation_impression' and (i.session_id, i.product_id) = (c.session_id, c.product_id))""",
        "a search without words, or words without a search": "select 1 from acts where (event_type = 'search') <> (query is not null)",
        "an order without its carts": """
            select 1 from bought b where not exists (
                from acts e where e.event_type = 'cart' and (e.customer_id, e.product_id) = (b.customer_id, b.product_id)
                and e.occurred_at <= b.ordered_at)""",
    }
    for what, sql in never.items():
        assert ask(sql) == [], what
    clicks = dict(ask("select position, count(*) from acts where event_type = 'recommendation_click' group by 1"))
    assert clicks[1] > clicks[5] > 0
    (unknown,) = ask("select avg((customer_id is null)::int) from acts")
    assert 0.02 < unknown[0] < 0.1


# ---- what is planted can be found ------------------------------------------------------------------------------------
def test_customers_buy_in_their_favourite_category_above_chance(ask: Ask) -> None:
    share, chance, own_style = ask(
        """
        with taken as (
            select t.category, c.favourite_category, t.style, c.style as own_style
            from bought join true_products t using (product_id) join true_customers c using (customer_id)
        ),
        sold as (select category, count(*) / sum(count(*)) over () as share from taken group by 1),
        favoured as (select favourite_category as category, count(*) / sum(count(*)) over () as share from taken group by 1)
        select avg((category = favourite_category)::int), (select sum(s.share * f.share) from sold s join favoured f using (category)),
            avg((style = own_style)::int)
        from taken
        """
    )[0]
    assert share > 2 * chance  # chance: buyers and purchases paired at random
    assert 0.3 < own_style < 0.9  # five styles: 0.2 by chance; noise stays


def test_the_best_possible_lists_beat_popularity_clearly_and_are_not_perfect(small_shop: Night) -> None:
    truth = Truth.load(small_shop.shop_home)
    starts, ends = AS_OF - timedelta(days=7), AS_OF
    popular = duckdb.sql(
        f"""with bought as (select i.product_id, count(*) n from read_parquet('{small_shop.landing}/order_items/*.parquet') i
            join (select distinct order_id, ordered_at from read_parquet('{small_shop.landing}/orders/*.parquet')) using (order_id)
            where ordered_at < '{starts}' and product_id is not null group by 1 order by n desc, 1 limit 10)
        select customer_id, row_number() over (partition by customer_id order by n desc, product_id)::integer as rank, product_id
        from read_parquet('{small_shop.shop_home}/truth/customers.parquet'), bought"""
    ).to_arrow_table()
    judged = truth.judge(popular, starts, ends)
    assert judged.customers > 50
    assert judged.ndcg > 0
    assert judged.best_ndcg > 2 * judged.ndcg
    assert judged.best_ndcg < 0.75
    best = truth.judge(truth.best_possible_lists(starts, ends, 10), starts, ends)
    assert best.share_of_best == pytest.approx(1)


def test_best_possible_lists_hold_nothing_owned_hidden_or_sold_out(small_shop: Night, ask: Ask) -> None:
    starts, ends = AS_OF - timedelta(days=7), AS_OF
    lists = Truth.load(small_shop.shop_home).best_possible_lists(starts, ends, 20)
    per_customer = lists.group_by("customer_id").aggregate([("rank", "max"), ("rank", "count")])
    assert set(per_customer["rank_max"].to_pylist()) == set(per_customer["rank_count"].to_pylist()) == {20}
    shown = set(zip(lists["customer_id"].to_pylist(), lists["product_id"].to_pylist(), strict=True))
    bought = f"(select * from bought join true_products using (product_id) where ordered_at < '{starts}' and repeat_days = 0)"
    owned = set(ask(f"select customer_id, product_id from {bought}"))
    unavailable = {
        name
        for (name,) in ask(
            f"""select product_id from products where updated_at < '{starts}' and product_id not like '%broken%'
            qualify row_number() over (partition by product_id order by updated_at desc) = 1 and (is_hidden or stock = 0)"""
        )
    }
    assert owned and not shown & owned
    assert unavailable and not unavailable & {product for _, product in shown}


def test_what_runs_out_is_bought_again(ask: Ask) -> None:
    again = dict(
        ask(
            """
            with pairs as (select customer_id, product_id, count(*) as purchases from bought group by all)
            select repeat_days > 0, avg((purchases > 1)::int) from pairs join true_products using (product_id) group by 1
            """
        )
    )
    assert again[True] > 0.15 and again[False] == 0


def test_accessories_follow_their_main_product(ask: Ask) -> None:
    followed, chance = ask(
        """
        with mains as (
            select customer_id, ordered_at, unnest(accessory_ids) as product_id
            from bought join true_products using (product_id) where accessory_ids[1] is not null
        ),
        offered as (select distinct product_id from mains)
        select
            (select avg((b.product_id is not null)::int) from mains m
                left join bought b on b.customer_id = m.customer_id and b.product_id = m.product_id and b.ordered_at > m.ordered_at),
            (select count(distinct (customer_id, product_id)) from bought semi join offered using (product_id))
                / ((select count(*) from true_customers) * (select count(*) from offered))
        """
    )[0]
    assert followed > 3 * chance > 0


# ---- reviews ---------------------------------------------------------------------------------------------------------
def test_ratings_are_unbalanced_and_texts_follow_them(ask: Ask) -> None:
    share = dict(ask("select rating, count(*) / sum(count(*)) over () from reviews where rating <= 5 group by 1"))
    assert share[5] > 0.4 and share[1] > 0.05 and share[5] + share[4] > 2 * (share[1] + share[2])
    words = "select rating, avg((text similar to '.*({}).*')::int) from reviews group by 1"
    happy = dict(ask(words.format("excellent|perfect|love|happy|beautiful|pleasure|bargain")))
    angry = dict(ask(words.format("poor|regret|never|rip-off|nightmare|damaged|avoid")))
    assert happy[5] > 2 * happy[1] and angry[1] > 2 * angry[5] > 0
    shortest, longest = ask("select min(n), max(n) from (select length(string_split(text, ' ')) n from reviews where ascii(text) < 128)")[0]
    assert shortest >= 2 and 20 <= longest <= 60


def test_ratings_follow_the_planted_quality_and_its_drop(ask: Ask) -> None:
    (link,) = ask(
        "select corr(rating, quality) from reviews join true_products using (product_id) where rating <= 5 and quality_drops_on is null"
    )
    assert link[0] > 0.3
    before, after, reviews = ask(
        """
        select avg(rating) filter (ordered_at < quality_drops_on), avg(rating) filter (ordered_at >= quality_drops_on), count(*)
        from reviews join true_products using (product_id) join (select distinct order_id, ordered_at from bought) using (order_id)
        where quality_drops_on is not null and rating <= 5
        """
    )[0]
    assert reviews >= 8 and before - after > 1.5


# ---- extremes --------------------------------------------------------------------------------------------------------
def test_a_tiny_shop_gives_every_model_something(open_night: OpenNight) -> None:
    night = open_night(**TINY_SHOP)
    land(night)
    tables = landed(night)
    assert len(tables["order_items"]) > 200 and len(tables["reviews"]) > 100
    assert len(set(tables["reviews"]["rating"].to_pylist())) == 5


@pytest.mark.parametrize(("people", "goods", "days"), [(1, 3, 1), (1, 1, 1), (10, 3, 5), (2, 1, 3), (1, 500, 2)])
def test_the_smallest_shops_open(open_night: OpenNight, people: int, goods: int, days: int) -> None:
    night = open_night(demo_customers=people, demo_products=goods, demo_days=days)
    land(night)
    tables = landed(night)
    assert len(tables["products"]) >= 1 and len(tables["customers"]) >= 1
    assert "view" in tables["events"]["event_type"].to_pylist()
    later = open_night("2026-03-08", demo_customers=people, demo_products=goods, demo_days=days)
    land(later)
    starts = datetime(2026, 3, 1)
    if (night.landing / "orders").exists():
        lists = Truth.load(later.shop_home).best_possible_lists(starts, starts + timedelta(days=7), 5)
        assert set(lists["product_id"].to_pylist()) <= set(tables["products"]["product_id"].to_pylist())
