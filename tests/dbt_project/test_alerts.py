"""Alerts about falling reviews, over nights: few false ones, raised once, cleared when it is over, and the same again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from include.collect.contract import load_contract
from include.collect.warehouse import connect, prepare
from include.night import Night
from include.predictions import mark_ended
from include.transform import run_dbt

pytestmark = pytest.mark.slow

OpenNight = Callable[..., Night]

HONEST, FALLEN = 300, 30
FIRST, SECOND = np.datetime64("2026-03-01"), np.datetime64("2026-04-15")
Row = tuple[str, bool, str | None]


def made_reviews() -> pa.Table:
    """Reviews and their scores, both ends and little between: 40 a product in the year before, 8 before each night.

    Of an honest product a share that never changes is unhappy, from 0 to 60 %; of a fallen one a twentieth, then nine tenths.
    Fallen product 0 is as good as ever before the second night.
    """
    rng = np.random.default_rng(20)
    products, unhappy, times = [], [], []
    for product in range(HONEST + FALLEN):
        usual = rng.uniform(0, 0.6) if product < HONEST else 0.05
        recovered = product == HONEST
        for night, ago, count in ((FIRST, (31, 300), 40), (FIRST, (1, 29), 8), (SECOND, (1, 29), 8)):
            bad = product >= HONEST and count == 8 and not (recovered and night == SECOND)
            products += [f"{'honest' if product < HONEST else 'fallen'}{product:03d}"] * count
            unhappy += list(rng.random(count) < (0.9 if bad else usual))
            times += list(night - rng.integers(*ago, count).astype("timedelta64[D]"))
    score = np.where(unhappy, -1, 1) * rng.beta(8, 1, len(unhappy))
    return pa.table({"product_id": products, "score": score, "reviewed_at": np.array(times).astype("datetime64[us]")})


def build(night: Night, reviews: pa.Table) -> list[Row]:
    """What the night's transforming and aggregating leave: product, whether its alert is open, why it was cleared."""
    night.features.mkdir(parents=True, exist_ok=True)
    night.predictions.mkdir(parents=True, exist_ok=True)
    (night.folder / "collected.json").write_text('{"inputs_digest": ""}')
    mark_ended(night, "sentiment")
    with duckdb.connect() as con:
        con.register("made", reviews)
        ids = "'r' || row_number() OVER () AS review_id"
        names = ", ".join(f"0.0 AS {name}" for name in ("p_negative", "p_neutral", "p_positive"))
        scored = f"{ids}, product_id, score, '' AS sentiment, '' AS model_version, {names}"
        con.sql(f"SELECT {scored} FROM made QUALIFY reviewed_at < TIMESTAMP '{night.as_of_sql}'").write_parquet(
            str(night.predictions / "review_sentiment.parquet")
        )
    if not night.warehouse.exists():
        con = connect(night.warehouse, memory_gb=1, threads=1, temporary=night.shop_home / "tmp")
        with con:
            prepare(con, load_contract())
            con.register("made", reviews)
            con.execute(f"""
                INSERT INTO raw.reviews BY NAME
                SELECT {ids}, product_id, 5 AS rating, reviewed_at, 1 AS _file_id, 1 AS _row, reviewed_at AS _valid_from FROM made""")
    outcome = run_dbt(night, [["run", "--select", "+product_sentiment_features"]])
    assert outcome.status == 0, outcome.output[-4000:]
    query = "SELECT product_id, cleared_at IS NULL, cleared_because FROM read_parquet(?) ORDER BY product_id, raised_at"
    return duckdb.execute(query, [str(night.features / "sentiment_alerts.parquet")]).fetchall()


@pytest.fixture
def nights(open_night: OpenNight) -> tuple[Night, Night]:
    return open_night(str(FIRST)), open_night(str(SECOND))


def test_alerts_are_seldom_false_and_keep_their_history(nights: tuple[Night, Night], tmp_path: Path) -> None:
    first, second = nights
    reviews = made_reviews()
    (first.shop_home / "tmp").mkdir(parents=True, exist_ok=True)
    raised = build(first, reviews)
    found = {product for product, is_open, _ in raised if is_open and product.startswith("fallen")}
    false = {product for product, *_ in raised if product.startswith("honest")}
    assert len(found) >= 0.9 * FALLEN
    assert len(false) <= 0.1 * len(raised), "at the default a twentieth may be false on average"

    later = build(second, reviews)
    by_product = {product: (is_open, because) for product, is_open, because in later}
    assert by_product[f"fallen{HONEST}"] == (False, "recovered")
    assert all(by_product[product] == (True, None) for product in found - {f"fallen{HONEST}"}), "bad before both nights"
    assert len(later) == len(by_product), "an open alert is not raised again"

    assert build(first, reviews) == raised, "a past night knows nothing of the later one"
