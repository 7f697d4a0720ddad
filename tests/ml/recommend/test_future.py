"""No evaluation and no choice depends on what came after its moment: on a real night's features."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import numpy as np
import pytest

from include.night import Night
from ml.nightly_model import BEFORE_TEST, Split
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.dissatisfaction import read_dissatisfaction
from ml.recommend.data.repeatability import read_repeatable
from ml.recommend.data.snapshot import Snapshot
from ml.recommend.recommender import Recommender

pytestmark = pytest.mark.slow

# Files whose rows are what they were at their time. Of every file that is named nowhere here nothing is left.
DATED = {"interactions": "occurred_at", "review_scores": "reviewed_at"}
# One row a split, as of its beginning.
BY_SPLIT = ("labels", "segments")
# The questions, and the shop's own words (see docs/experiments_recommendations.md); of other columns nothing is left.
GIVEN = {
    "splits": ("split", "starts_at", "ends_at"),
    "customers": ("customer_id", "consent"),
    "products": ("product_id", "shown_product_id", "title", "category", "brand", "price", "text", "stated_repeatable"),
}
# Times in the catalogue: those before the cut stay, later ones become others.
TIMES = {"products": ("created_at", "first_seen_at")}


def without_future(features: Path, out: Path, cut: str, evaluated: list[Split]) -> Path:
    """A snapshot without all that was not known when the split `cut` began, except the labels of the splits `evaluated`."""
    out.mkdir()
    with duckdb.connect() as db:
        db.execute(f"create table cut as select starts_at as moment from '{features}/splits.parquet' where split = ?", [cut])
        for file in sorted(features.glob("*.parquet")):
            name, types = file.stem, {row[0]: row[1] for row in db.execute(f"describe from '{file}'").fetchall()}
            select, where = "*", "false"
            if name in DATED:
                where = f"{DATED[name]} < (from cut)"
            elif name in BY_SPLIT:
                where = f"split in {tuple(evaluated)!r}".replace(",)", ")")
            elif name in GIVEN:
                times = TIMES.get(name, ())
                gone = [f"null::{kind} as {column}" for column, kind in types.items() if column not in (*GIVEN[name], *times)]
                later = [f"case when {column} < (from cut) then {column} else (from cut) + to_days(1) end as {column}" for column in times]
                select, where = f"* replace ({', '.join(gone + later)})" if gone + later else "*", "true"
            db.sql(f"select {select} from '{file}' where {where}").write_parquet(str(out / file.name))
    return out


def learned(model: Recommender, folder: Path) -> dict[str, bytes]:
    """All that is kept of a model."""
    folder.mkdir()
    model.save(folder)
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.fixture
def features(published_night: Night, tmp_path: Path) -> Path:
    """Those of a shop that does not say what people buy again, so that its customers do."""
    shutil.copytree(published_night.features, tmp_path / "features")
    products = published_night.features / "products.parquet"
    silent = duckdb.sql(f"select * replace (null::boolean as stated_repeatable) from '{products}'")
    silent.write_parquet(str(tmp_path / "features" / "products.parquet"))
    return tmp_path / "features"


@pytest.fixture
def eager() -> RecommenderConfig:
    """Makes every choice on however few customers."""
    return RecommenderConfig(threads=1, memory_gb=0.5, min_validation_customers=2, ranker_min_customers=6, ranker_rounds=20)


def test_what_comes_after_a_split_begins_moves_nothing_that_is_chosen_or_evaluated(
    features: Path, tmp_path: Path, eager: RecommenderConfig
) -> None:
    whole, cache = Recommender(eager), tmp_path / "cache"
    whole.choose(Snapshot(features, eager), cache)
    chosen = learned(whole, tmp_path / "chosen")
    assert whole.ranker is not None or whole.choice.held_out, "the ranker was tried"
    whole.fit_chosen(Snapshot(features, eager), BEFORE_TEST, cache)
    fitted, evaluated = learned(whole, tmp_path / "fitted"), whole.evaluate(features, "test", cache)
    assert len(evaluated.unit_ids) > 5

    before_validation = without_future(features, tmp_path / "before_validation", "validation", ["validation"])
    again = Recommender(eager)
    again.choose(Snapshot(before_validation, eager), cache)
    assert learned(again, tmp_path / "chosen_again") == chosen

    before_test = without_future(features, tmp_path / "before_test", "test", ["validation", "test"])
    again = Recommender(eager)
    again.fit(before_test, cache)
    assert learned(again, tmp_path / "fitted_again") == fitted
    evaluated_again = again.evaluate(before_test, "test", cache)
    assert repr(evaluated_again.metrics) == repr(evaluated.metrics)
    np.testing.assert_array_equal(evaluated_again.unit_scores, evaluated.unit_scores)

    kept = Recommender.load(tmp_path / "fitted")
    assert repr(kept.evaluate(features, "test", cache).metrics) == repr(evaluated.metrics), (
        "a kept model is asked with statistics of that time"
    )


def test_statistics_of_the_night_are_those_dbt_has(published_night: Night, features: Path, eager: RecommenderConfig) -> None:
    snapshot = Snapshot(features, eager)
    with duckdb.connect(str(published_night.warehouse), read_only=True) as db:
        share = f"repeat_share >= {eager.repeatable_share} and buyers > 0"
        again = [row[0] for row in db.sql(f"select {share} from behaviour.product_activity order by product_id").fetchall()]
        scores = f"""
            select coalesce(greatest(avg(mean_score) over () - mean_score, 0), 0)
            from '{features}/products.parquet' left join '{features}/product_sentiment.parquet' using (product_id) order by product_id"""
        dissatisfaction = [row[0] for row in db.sql(scores).fetchall()]
    assert any(again) and read_repeatable(snapshot).tolist() == again
    np.testing.assert_allclose(read_dissatisfaction(snapshot), dissatisfaction, atol=1e-6)
    test = snapshot.end_of(BEFORE_TEST)
    assert (read_dissatisfaction(snapshot, test) != read_dissatisfaction(snapshot)).any()
    assert (read_repeatable(snapshot, test) != read_repeatable(snapshot)).any()
