"""The morning report: what it tells of a good night and of a refused one, and what it must never hold."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from include.collect import collect
from include.collect.contract import load_contract
from include.errors import GateRefused, MayPass
from include.night import Night
from include.quality import check
from include.report import write_report

pytestmark = pytest.mark.slow

HOSTILE = """<script>alert("1")</script><img src="http://example.com/x.png" onerror='alert(2)'> & 'quoted' \u202e"""
LOADING = {"src", "srcset", "href", "xlink:href", "action", "data", "poster", "background", "formaction"}


class Page(HTMLParser):
    """A page's tags, what its tags point at, and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.pointers: list[str] = []
        self.handlers: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.pointers += [value or "" for name, value in attrs if name in LOADING]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.words += data


def page_of(night: Night) -> tuple[str, Page]:
    text = write_report(night).read_text()
    assert (night.reports / "latest.html").read_text() == text
    return text, Page(text)


def loads_nothing(text: str, page: Page) -> bool:
    """Whether the page can be read without a network, and runs no program."""
    outside = [pointer for pointer in page.pointers if not pointer.startswith("#")]
    foreign = page.tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base", "image"}
    return not outside and not foreign and not page.handlers and "@import" not in text and "url(http" not in text.replace("'", "")


@pytest.fixture
def night(published_night: Night, tmp_path: Path) -> Night:
    """A copy of the published night, to be changed at will."""
    home = tmp_path / "home"
    shutil.copytree(published_night.home, home)
    return published_night.model_copy(update={"settings": published_night.settings.model_copy(update={"home": home})})


@pytest.fixture
def refused_night(open_night: Callable[..., Night], tmp_path: Path) -> Night:
    """A shop half of whose prices are no prices, as far as the raw gate let it come."""
    folder = tmp_path / "shop"
    folder.mkdir()
    products = [{"product_id": f"p{i}", "title": HOSTILE, "price": f"{HOSTILE[:20]}{i}" if i % 2 else 3} for i in range(20)]
    (folder / "products.jsonl").write_text("".join(json.dumps(product) + "\n" for product in products))
    (folder / "events.csv").write_text("event_id,event_type,occurred_at,customer_id,product_id\ne1,view,2026-02-27T08:00:00,c1,p2\n")
    night = open_night(source="files", data=folder)
    collect(night)
    with pytest.raises(GateRefused):
        check(night, "raw")
    return night


def test_a_good_night_shows_its_figures(night: Night) -> None:
    text, page = page_of(night)
    with duckdb.connect(str(night.serving), read_only=True) as release:
        (release_id,) = release.execute("SELECT release_id FROM release").fetchall()[0]
        (lists,) = release.execute("SELECT count(*) FROM recommendations").fetchall()[0]
        customers = [row[0] for row in release.execute("SELECT DISTINCT customer_id FROM recommendations").fetchall()]
        reasons = {row[0] for row in release.execute("SELECT reason FROM recommendations").fetchall()}
        models = {row[0] for row in release.execute("SELECT model FROM model_metrics").fetchall()}
    assert release_id in page.words and f"{lists:,} recommendations" in page.words
    assert any(customer in page.words for customer in customers) and any(reason in page.words for reason in reasons)
    assert all(model in page.words for model in models) and "popularity" in page.words
    assert all(step["step"] in page.words for step in night.steps() if step["step"] != "report")
    rows_read = json.loads((night.folder / "collected.json").read_text())["rows_read"]
    events = read(night, "SELECT sum(rows_read) FROM collect.files WHERE table_name = 'events'")[0][0]
    assert 0 < events < rows_read and f"{events:,}" in page.words
    assert "Not published" not in page.words and "no earlier release" in page.words
    assert loads_nothing(text, page)


def test_no_value_of_a_personal_column_is_in_the_page(night: Night) -> None:
    _, page = page_of(night)
    columns = [column.name for table in load_contract() if table.name == "customers" for column in table.columns if column.personal]
    filled = set()
    for column in columns:
        values = [row[0] for row in read(night, f'SELECT DISTINCT "{column}"::VARCHAR FROM raw.customers')]
        known = [value for value in values if value not in (None, "", "true", "false")]  # a yes or no names nobody
        filled |= {column} if known else set()
        assert [value for value in known if value in page.words] == [], column
    assert {"name", "email"} <= filled, "the demo shop fills them"


def test_customers_whose_ids_are_addresses_are_shown_without_them(night: Night) -> None:
    """Of customers, in the rows of a gate, in file names and in what a failed step says."""
    renamed = "SELECT * REPLACE (customer_id || '@example.org' AS customer_id)"
    for name in ("customers", "interactions"):
        path = night.features / f"{name}.parquet"
        duckdb.execute(f"COPY ({renamed} FROM '{path}') TO '{path}.new' (FORMAT parquet)")
        Path(f"{path}.new").replace(path)
    with duckdb.connect(str(night.warehouse)) as warehouse:
        warehouse.execute("UPDATE serving.recommendations SET customer_id = customer_id || '@example.org'")
        warehouse.execute(
            "UPDATE collect.files SET path = 'orders/anna@example.org.csv', status = 'refused', reason = 'of bert@example.org'"
        )
    with pytest.raises(ValueError), night.step("publish"):
        raise ValueError("carl@example.org stands twice")
    text, page = page_of(night)
    assert "example.org" not in text and "anna" not in page.words
    assert page.words.count("Customer #") == text.count("Will see") > 1
    assert "orders/[email]" in page.words and "of [email]" in page.words and "ValueError: [email] stands twice" in page.words


def test_a_shop_s_words_are_only_words(night: Night) -> None:
    products = night.features / "products.parquet"
    duckdb.execute(
        f"COPY (SELECT * REPLACE ($title || product_id AS title) FROM '{products}') TO '{products}.new' (FORMAT parquet)",
        {"title": HOSTILE},
    )
    Path(f"{products}.new").replace(products)
    with duckdb.connect(str(night.warehouse)) as warehouse:
        warehouse.execute("UPDATE serving.recommendations SET reason = $reason", {"reason": HOSTILE})
        ((product, review),) = warehouse.execute(
            "SELECT product_id, max_by(review_id, reviewed_at) FROM serving.review_sentiment JOIN raw.reviews USING (review_id, product_id)"
            " GROUP BY product_id ORDER BY max(reviewed_at) DESC, product_id LIMIT 1"
        ).fetchall()
        warehouse.execute("UPDATE serving.review_sentiment SET score = -0.9 WHERE review_id = $review", {"review": review})
        alert = {"product_id": product, "raised_at": night.as_of_sql, "before": 0.9, "then": -0.3}
        warehouse.execute(
            "INSERT INTO serving.sentiment_alerts BY NAME SELECT $product_id AS product_id, $raised_at::TIMESTAMP AS raised_at,"
            " $before AS score_before, $then AS score_then, 4 AS unhappy_then, 6 AS reviews_then, 0.001 AS p_value, 0.01 AS q_value",
            alert,
        )
    reviews = night.features / "reviews.parquet"
    duckdb.execute(
        f"COPY (SELECT * REPLACE ($text || 'said' AS text) FROM '{reviews}') TO '{reviews}.new' (FORMAT parquet)", {"text": HOSTILE}
    )
    Path(f"{reviews}.new").replace(reviews)
    text, page = page_of(night)
    assert HOSTILE in page.words and f"{HOSTILE}said" in page.words, "shown as it is"
    assert loads_nothing(text, page)


def test_a_second_night_is_plotted_beside_the_first(night: Night) -> None:
    """Made by hand of the first night's own files: the same models, the same lists, a day later."""
    later = night.model_copy(update={"as_of": night.as_of + timedelta(days=1)})
    for first, second in ((night.folder, later.folder), (night.features, later.features), (night.predictions, later.predictions)):
        shutil.copytree(first, second)
    figures = sorted(later.predictions.glob("metrics_*.parquet"))
    for path in figures:
        table = duckdb.from_parquet(str(path)).project("* REPLACE (evaluated_at + INTERVAL 1 DAY AS evaluated_at)").to_arrow_table()
        pq.write_table(table.replace_schema_metadata(pq.read_schema(path).metadata), path)
    (later.shop_home / "current_night").write_text(later.key)
    text, page = page_of(later)
    assert text.count("<svg") == len(figures) + 1, "every model over two nights, and how the lists moved"
    assert "01 Mar 2026" in page.words and "02 Mar 2026" in page.words, "the nights stand under the plots"
    assert "no earlier release" not in page.words
    assert loads_nothing(text, page)


def test_a_refused_night_says_why_and_what_to_do(refused_night: Night) -> None:
    text, page = page_of(refused_night)
    failure = refused_night.steps()[1]
    assert failure["step"] == "check_raw" and failure["problem"] in page.words and failure["next_step"] in page.words
    assert "Not published" in page.words and "quarantine_share" in page.words and "stop" in page.words
    assert "products.jsonl" in page.words and f"{HOSTILE[:20]}1" in page.words, "the offending rows"
    assert "no release is being served yet" in page.words
    assert loads_nothing(text, page)


def test_a_failed_night_names_the_release_that_stays(night: Night) -> None:
    later = Night.open(night.settings, night.as_of + timedelta(days=1))
    with pytest.raises(MayPass), later.step("collect"):
        raise OSError(28, "No space left on device")
    _, page = page_of(later)
    served = read(night, "SELECT release_id FROM serving.release")[0][0]
    assert "collect failed" in page.words and "No space left on device" in page.words
    assert served in page.words and "still being served" in page.words
    assert "recommendations," not in page.words, "the serving tables in the warehouse are an earlier night's"


def read(night: Night, query: str) -> list[tuple]:
    with duckdb.connect(str(night.warehouse), read_only=True) as warehouse:
        return warehouse.execute(query).fetchall()
