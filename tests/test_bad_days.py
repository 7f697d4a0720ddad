"""What goes wrong in a shop goes wrong here: whole nights on strange input, kills, repeats and backfills."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from include.collect import collect
from include.errors import NightError
from include.night import Night
from include.sources import land
from tests.conftest import TINY_SHOP
from tests.whole_night import STEPS, kill_midway, run, tables

pytestmark = pytest.mark.slow

OpenNight = Callable[..., Night]
HOSTILE = [
    "'; drop table products; -- {{ 7 * 7 }} {% raw %} {0} %s 🎧",
    "<script>alert(1)</script> \u202e\u0007 🎧🧦",
    "無線耳機，音質很好 “quoted”, comma",
]


def write_shop(folder: Path, **shop: list[dict[str, Any]]) -> Path:
    """Write contract tables as JSON lines."""
    for table, rows in shop.items():
        (folder / table).mkdir(parents=True, exist_ok=True)
        with (folder / table / f"{len(rows)}.jsonl").open("w") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return folder


def read(path: Path, query: str) -> list[tuple]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_an_empty_landing_folder_says_what_is_missing(open_night: OpenNight, tmp_path: Path) -> None:
    night = open_night(source="files", data=tmp_path)
    land(night)
    with pytest.raises(NightError, match="products"):
        collect(night)


def test_a_missing_required_table_says_what_is_missing(open_night: OpenNight, tmp_path: Path) -> None:
    data = write_shop(tmp_path / "shop", products=[{"product_id": "p1", "title": "Tea"}])
    night = open_night(source="files", data=data)
    land(night)
    with pytest.raises(NightError, match=r"orders.*events.*reviews"):
        collect(night)


def test_a_shop_of_one_customer_one_product_and_one_review_gets_its_release(open_night: OpenNight, tmp_path: Path) -> None:
    data = write_shop(
        tmp_path / "shop",
        products=[{"product_id": "p1", "title": "Tea"}],
        reviews=[{"review_id": "r1", "product_id": "p1", "customer_id": "c1", "rating": 5, "text": "Good.", "reviewed_at": "2026-02-27"}],
    )
    night = open_night(source="files", data=data)
    run(night)
    assert read(night.serving, "SELECT count(*) FROM customer_profiles") == [(1,)]
    assert read(night.serving, "SELECT count(*) FROM recommendations") == [(0,)], "the only product is the customer's already"
    assert read(night.serving, "SELECT product_id FROM recommendations_default WHERE segment = 'all'") == [("p1",)]


def test_a_tiny_hostile_shop_gets_its_release_and_a_page_that_escapes_it(open_night: OpenNight, tmp_path: Path) -> None:
    products = [
        {"product_id": f"p'{i}", "title": title, "description": title, "category": title, "brand": title} for i, title in enumerate(HOSTILE)
    ]
    events = [
        {
            "event_id": f"e{c}-{p}",
            "event_type": "view",
            "occurred_at": f"2026-02-{10 + c}T10:0{p}:00Z",
            "customer_id": f"c'{c}",
            "product_id": f"p'{p}",
        }
        for c in range(10)
        for p in range(3)
        if (c + p) % 3
    ]
    texts = ["好" * 33_000, "x" * 100_000, *HOSTILE, "Fine 👍"] * 4
    reviews = [
        {
            "review_id": f"r{i}",
            "product_id": f"p'{i % 3}",
            "customer_id": f"c'{i % 10}",
            "rating": 5,
            "text": text,
            "reviewed_at": f"2026-02-{1 + i}",
        }
        for i, text in enumerate(texts)
    ]
    data = write_shop(tmp_path / "it's [a] *shop {{ 7 * 7 }}", products=products, events=events, reviews=reviews)
    settings: dict[str, Any] = {"sentiment_min_reviews": 5, "list_length": 2, "own_brands": HOSTILE, "max_of_own_brands": 1}
    home = tmp_path / 'it\'s "home" -- {{ x }} {% y %} {0} %s %20 é 🎧'
    night = open_night(source="files", data=data, home=home, **settings)
    run(night)
    assert not next(step for step in night.steps() if step["step"] == "learn_recommender")["notes"]["tracking"].startswith("not recorded")
    limited = duckdb.execute("SELECT product_id FROM read_parquet(?) WHERE kind = 'limit'", [str(night.features / "rules.parquet")])
    assert set(limited.fetchall()) == {("p'0",), ("p'2",)}, "a brand's markup goes before it is compared"
    assert read(night.serving, "SELECT count(*) FROM customer_profiles") == [(10,)]
    assert read(night.serving, "SELECT count(*) FROM review_sentiment") == [(0,)], "reviews of one class teach no sentiment"
    assert read(night.serving, "SELECT count(*) FROM recommendations r JOIN customer_profiles USING (customer_id)")[0][0] > 0
    page = (night.reports / "latest.html").read_text()
    assert "<script>" not in page and "c&#39;" in page, "titles lose their tags, and what the shop names is escaped"
    assert "nothing to tell apart" in page


POLL = """
import duckdb, pathlib, sys, time
serving, stop = map(pathlib.Path, sys.argv[1:3])
looks = 0
while not stop.exists():
    connection = duckdb.connect(str(serving), read_only=True)
    ids = {row[0] for table in ("recommendations", "customer_profiles", "release") for row in
           connection.execute(f"SELECT DISTINCT release_id FROM {table}").fetchall()}
    lengths = connection.execute("SELECT DISTINCT count(*) FROM recommendations GROUP BY customer_id").fetchall()
    connection.close()
    assert len(ids) == 1 and lengths == [(5,)], (ids, lengths)
    looks += 1
    time.sleep(0.05)
print(looks)
"""


@pytest.fixture
def reader(home: Path, tmp_path: Path) -> Callable[[], Callable[[], int]]:
    """Starts a process that polls the current release; the function it returns ends it and tells how often it looked."""

    def begin() -> Callable[[], int]:
        stop = tmp_path / "stop"
        serving = str(home / "serving" / "nightshelf.duckdb")
        process = subprocess.Popen([sys.executable, "-c", POLL, serving, str(stop)], stdout=subprocess.PIPE, text=True)

        def end() -> int:
            stop.touch()
            out, _ = process.communicate()
            assert process.returncode == 0, "a reader saw something that was not one whole release"
            return int(out)

        return end

    return begin


def test_a_night_killed_at_every_step_ends_well_and_readers_see_only_whole_releases(
    open_night: OpenNight, reader: Callable[[], Callable[[], int]]
) -> None:
    """Night two is killed once in every step and goes on from there; run again undisturbed, it gives the same tables."""
    tiny = TINY_SHOP | {"sentiment_min_reviews": 20, "sentiment_epochs": 1, "sentiment_max_tokens": 32}
    first = open_night("2026-03-01", **tiny)
    run(first)
    end_reader = reader()
    usual = {step["step"]: step["seconds"] for step in first.steps()}

    night = open_night("2026-03-02", **tiny)
    killed = []
    for step in STEPS:
        # A step that was faster than last night is killed earlier into another try, at the last right after its start.
        if any(kill_midway(night, step, usual[step] * share) for share in (0.4, 0.2, 0.1, 0.0)):
            killed.append(step)
        run(night, (step,))
    assert killed == list(STEPS)
    after_kills = tables(night.serving)
    assert after_kills["release"][0] != tables(next(night.releases.glob(f"{first.key}-*")))["release"][0]

    again = open_night("2026-03-02", **tiny)
    run(again)
    assert end_reader() > 10
    undisturbed = tables(again.serving)
    assert undisturbed.keys() == after_kills.keys()
    for name, rows in undisturbed.items():
        assert rows == after_kills[name], name


def without_release(release: dict[str, list[tuple]], name: str) -> list[list[Any]]:
    """The rows of a table but for the release's own id."""
    (release_id, *_), *_ = release["release"]
    return [[value for value in row if value != release_id] for row in release[name]]


def test_a_backfilled_night_knows_nothing_of_later_rows(open_night: OpenNight, tmp_path: Path) -> None:
    """Early rows alone, and early rows among later ones (new, corrected, out of stock since), give the same past night."""
    products = [{"product_id": f"p{i}", "title": f"Tea {i}", "category": "Tea", "stock": 9, "updated_at": "2026-01-01"} for i in range(8)]
    orders = [
        {"order_id": f"o{c}", "customer_id": f"c{c % 12}", "ordered_at": f"2026-02-{1 + c % 27:02d}T08:00:00", "status": "delivered"}
        for c in range(60)
    ]
    items = [{"order_id": f"o{c}", "line_number": 1, "product_id": f"p{c * 7 % 8}", "quantity": 1, "unit_price": 2} for c in range(60)]
    early = {"products": products, "orders": orders, "order_items": items}
    later = {
        "products": [
            *products,
            {"product_id": "p0", "title": "Tea 0", "stock": 0, "updated_at": "2026-03-05"},
            {"product_id": "p9", "created_at": "2026-03-04"},
        ],
        "orders": [
            *orders,
            {"order_id": "o1", "customer_id": "c1", "ordered_at": "2026-02-02T08:00:00", "status": "returned", "updated_at": "2026-03-03"},
            {"order_id": "o99", "customer_id": "c99", "ordered_at": "2026-03-03T08:00:00", "status": "paid"},
        ],
        "order_items": [*items, {"order_id": "o99", "line_number": 1, "product_id": "p9", "quantity": 3, "unit_price": 2}],
    }
    settings: dict[str, Any] = {"source": "files", "shop": "tea", "list_length": 3}
    alone = open_night("2026-03-01", data=write_shop(tmp_path / "early", **early), **settings)
    run(alone)
    expected = tables(alone.serving)

    everything = {"data": write_shop(tmp_path / "later", **later), "home": tmp_path / "second"} | settings
    late = open_night("2026-03-06", **everything)
    run(late)
    assert read(late.serving, "SELECT count(*) FROM customer_profiles") == [(13,)]
    backfilled = open_night("2026-03-01", **everything)
    run(backfilled)
    past = tables(next(backfilled.releases.glob(f"{backfilled.key}-*.duckdb")))
    assert read(backfilled.serving, "SELECT as_of::DATE::VARCHAR FROM release") == [("2026-03-06",)], (
        "a backfill does not turn back the clock"
    )
    for name in ("recommendations", "recommendations_default", "similar_products", "customer_profiles", "model_metrics"):
        assert without_release(past, name) == without_release(expected, name), name
