"""Learning a model's night, with the real sentiment model on a few reviews, as later nights and repeats see it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel

from include.errors import BadSetting
from include.learn import learn
from include.learn.compare import Verdict, expected_difference, judge_fresh, paired_difference, relative_difference
from include.learn.judged import judged_before, keep_judged, pooled
from include.learn.learn import earlier_predictions
from include.learn.model_store import kept_versions, standing_before
from include.night import Night
from include.release_id import LINEAGE
from ml.model_spec import ModelSpec, known_models
from ml.nightly_model import Evaluation, Metric, NightlyModel, Split
from ml.text.sentiment import SentimentModel

pytestmark = pytest.mark.slow

REVIEWS = """
    select
        format('r{:03d}', i) as review_id, format('p{}', i % 7) as product_id, format('c{}', i % 11) as customer_id,
        case label when 'negative' then 'broke after a day, terrible, money back' when 'neutral' then 'it is okay, nothing special'
            else 'wonderful sound, love it' end || ' ' || i as text,
        md5(text) as text_hash, 5 as rating,
        case when $wrong_stars and i < 42 then list_extract(['neutral', 'positive', 'negative'], i % 3 + 1) else label end as label,
        timestamp '2026-01-01' + to_days(i) as reviewed_at,
        case when i < $judged_from - 6 then 'train' when i < $judged_from then 'validation' else 'test' end as split
    from (select i, case i % 3 when 0 then 'negative' when 1 then 'neutral' else 'positive' end as label from range(54) t(i))
    where i < $upto
    order by review_id
"""
NO_TICKETS = """
    SELECT '' AS ticket_id, '' AS product_id, '' AS text, '' AS text_hash, TIMESTAMP '2026-01-01' AS opened_at WHERE false"""
SMALL: dict[str, Any] = {
    "source": "files",
    "shop": "tiny",
    "sentiment_min_reviews": 10,
    "sentiment_epochs": 1,
    "sentiment_max_tokens": 16,
    "threads": 1,
}


@pytest.fixture
def night_with_reviews(open_night: Callable[..., Night]) -> Callable[..., Night]:
    def night_with_reviews(as_of: str, upto: int = 54, wrong_stars: bool = False, judged_from: int = 42, **settings: Any) -> Night:
        night = open_night(as_of, **(SMALL | settings))
        night.features.mkdir(parents=True, exist_ok=True)
        given = {"upto": upto, "wrong_stars": wrong_stars, "judged_from": judged_from}
        duckdb.sql(REVIEWS, params=given).write_parquet(str(night.features / "reviews.parquet"))
        duckdb.sql(NO_TICKETS).write_parquet(str(night.features / "tickets.parquet"))
        return night

    return night_with_reviews


def predictions(night: Night) -> dict[str, list[dict[str, Any]]]:
    return {file.name: pq.read_table(file).to_pylist() for file in sorted(night.predictions.glob("*.parquet"))}


def step_notes(night: Night) -> dict[str, Any]:
    return dict(night.steps()[-1]["notes"])


def test_nights_in_a_row(night_with_reviews: Callable[..., Night]) -> None:
    """A first champion; the same night again; a second night that goes on from it; a night that keeps; a past night."""
    first = night_with_reviews("2026-03-01", upto=50)
    learn(first, "sentiment")
    scored = predictions(first)
    assert len(scored["review_sentiment.parquet"]) == 50
    roles = {row["role"] for row in scored["metrics_sentiment.parquet"]}
    metrics = [row["metric"] for row in scored["metrics_sentiment.parquet"]]
    assert roles == {"champion"} and metrics[0] == "macro_f1" and "balanced_accuracy_minus_tfidf_low" in metrics
    assert step_notes(first)["rows"]["scored"] == 50

    learn(night_with_reviews("2026-03-01", upto=50), "sentiment")
    assert predictions(first) == scored, "the same night again gives the same tables"

    second = night_with_reviews("2026-03-02")
    learn(second, "sentiment")
    meta = json.loads((second.models / "sentiment" / second.key / "meta.json").read_text())
    assert meta["lineage"].endswith(f" after {first.key}") and meta["learned_until"] == "2026-02-12T00:00:00"
    both = predictions(second)["metrics_sentiment.parquet"]
    assert {row["role"] for row in both} == {"champion"}, "the fresh model won; who was dethroned is told beside it"
    told = {row["metric"] for row in both}
    assert {"balanced_accuracy_over_champion_before_low", "balanced_accuracy_expected_over_champion_before"} < told
    assert "macro_f1_of_champion_before" in told

    kept = night_with_reviews("2026-03-03", models="keep")
    learn(kept, "sentiment")
    assert step_notes(kept)["fitted_tonight"] is False
    assert step_notes(kept)["rows"] == {"review_sentiment": 54, "ticket_sentiment": 0, "scored": 0}, (
        "same texts, same champion: nothing is scored again"
    )
    assert not (kept.models / "sentiment" / kept.key).exists()

    past = night_with_reviews("2026-03-01T12:00:00")
    known = standing_before(past, "sentiment", SentimentModel.saved_format)
    assert known.champion is not None and known.champion.folder.name == first.key, "a past night knows nothing of later champions"
    assert standing_before(night_with_reviews("2026-02-01"), "sentiment", SentimentModel.saved_format).champion is None

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{first.home / 'mlflow' / 'mlflow.db'}")
    alias = client.get_model_version_by_alias("tiny.sentiment", "champion")
    assert alias.tags["night"] == second.key and (second.models / "sentiment" / second.key).as_uri() == alias.source


def test_a_worse_challenger_does_not_predict(night_with_reviews: Callable[..., Night]) -> None:
    first = night_with_reviews("2026-03-01", sentiment_epochs=6)
    learn(first, "sentiment")
    version = predictions(first)["review_sentiment.parquet"][0]["model_version"]
    # Another way of reading texts starts the challenger anew, and it learns from stars that a faulty export turned round.
    second = night_with_reviews("2026-03-02", wrong_stars=True, sentiment_max_tokens=12)
    learn(second, "sentiment")
    after = predictions(second)
    by_role = {row["role"]: row["value"] for row in after["metrics_sentiment.parquet"] if row["metric"] == "balanced_accuracy"}
    assert by_role["champion"] > by_role["challenger"]
    assert {row["model_version"] for row in after["review_sentiment.parquet"]} == {version}
    versions = {kept.folder.name: kept.meta["role"] for kept in kept_versions(second, "sentiment")}
    assert versions == {first.key: "champion", second.key: "challenger"}
    assert not (second.models / "sentiment" / second.key / "refitted").exists()


def test_what_has_seen_the_test_days_is_not_judged_on_them(night_with_reviews: Callable[..., Night]) -> None:
    """More test days begin before the day up to which the champion learned: there is nothing to compare, and it says so."""
    first = night_with_reviews("2026-03-01")
    learn(first, "sentiment")
    second = night_with_reviews("2026-03-02", judged_from=33)
    learn(second, "sentiment")
    assert "learned from rows up to 2026-02-12 00:00" in step_notes(second)["not_compared"]
    assert step_notes(second)["fitted_tonight"] is True
    told = {row["metric"] for row in predictions(second)["metrics_sentiment.parquet"]}
    assert "macro_f1" in told and not any("champion_before" in metric for metric in told)

    kept = night_with_reviews("2026-03-03", judged_from=30, models="keep")
    learn(kept, "sentiment")
    assert predictions(kept)["metrics_sentiment.parquet"] == []
    assert step_notes(kept)["judged"].startswith("nobody could be judged: the champion of 20260302T000000 learned from rows up to")


def test_a_champion_in_a_format_no_longer_read_is_left_alone(night_with_reviews: Callable[..., Night]) -> None:
    first = night_with_reviews("2026-03-01", tracking_uri="http://127.0.0.1:9")
    learn(first, "sentiment")
    kept = first.models / "sentiment" / first.key
    meta = json.loads((kept / "meta.json").read_text())
    (kept / "meta.json").write_text(json.dumps({key: value for key, value in meta.items() if key != "saved_format"}))
    for file in kept.glob("*/*.safetensors"):
        file.write_bytes(b"as an earlier release wrote it")
    second = night_with_reviews("2026-03-02", tracking_uri="http://127.0.0.1:9")
    learn(second, "sentiment")
    assert step_notes(second)["champion_before"] is None and step_notes(second)["fitted_tonight"] is True
    assert {row["role"] for row in predictions(second)["metrics_sentiment.parquet"]} == {"champion"}


def test_what_a_shop_cannot_have_is_said_and_not_written(night_with_reviews: Callable[..., Night]) -> None:
    night = night_with_reviews("2026-03-01", sentiment_min_reviews=37)
    learn(night, "sentiment")
    assert predictions(night) == {}
    assert step_notes(night)["skipped"] == "36 rated reviews with text to train on, 37 are needed"


def test_a_dead_tracking_server_does_not_end_the_night(night_with_reviews: Callable[..., Night]) -> None:
    night = night_with_reviews("2026-03-01", tracking_uri="http://127.0.0.1:9")
    learn(night, "sentiment")
    assert len(predictions(night)["review_sentiment.parquet"]) == 54
    assert step_notes(night)["tracking"].startswith("not recorded")


def test_old_versions_go_and_champions_stay(night_with_reviews: Callable[..., Night]) -> None:
    for day in range(1, 5):
        learn(night_with_reviews(f"2026-03-0{day}", keep_releases=1, tracking_uri="http://127.0.0.1:9"), "sentiment")
    night = night_with_reviews("2026-03-04")
    kept = {kept.folder.name[6:8]: kept for kept in kept_versions(night, "sentiment")}
    assert {"03", "04"} <= set(kept), "what the last night and the same night again go on from"
    named = {str(kept[day].meta[role])[6:8] for day in ("03", "04") for role in ("champion", "reference")}
    assert set(kept) == named | {"03", "04"}
    assert not list((night.models / "sentiment").glob(".*"))


def test_a_night_that_failed_is_not_gone_on_from(open_night: Callable[..., Night]) -> None:
    for day, files in (("01", ("review_sentiment", "metrics_sentiment")), ("02", ("review_sentiment", "metrics_aspects")), ("03", ())):
        folder = open_night(f"2026-03-{day}").predictions
        folder.mkdir(parents=True)
        for file in files:
            (folder / f"{file}.parquet").touch()
    tonight = open_night("2026-03-04")
    assert earlier_predictions(tonight, "sentiment") == open_night("2026-03-01").predictions
    assert earlier_predictions(tonight, "recommender") is None
    assert earlier_predictions(open_night("2026-03-01"), "sentiment") is None


def test_an_unknown_model_is_refused(open_night: Callable[..., Night]) -> None:
    with pytest.raises(BadSetting, match="No model is named 'chrun'"):
        learn(open_night("2026-03-01", source="files"), "chrun")


class Unjudged(NightlyModel):
    """A model that nobody can be asked about."""

    name = "unjudged"
    deciding = "accuracy"

    @classmethod
    def test_starts_at(cls, features: Path) -> datetime | None:
        return None

    @classmethod
    def unavailable_reason(cls, features: Path, config: object) -> str | None:
        return None

    def fit(self, *args: Any, **kwargs: Any) -> None:
        pass

    def refit(self, features: Path, cache: Path, evaluated: Unjudged) -> None:
        pass

    def evaluate(self, features: Path, split: Split, cache: Path) -> Evaluation:
        metrics = [Metric("accuracy", float("nan"), "chance", float("nan")), Metric("judged", 0.0)]
        return Evaluation(split, metrics, np.empty(0, dtype=object), np.empty(0), {"chance": np.empty(0)}, nobody="there are no customers")

    def predict(self, features: Path, out: Path, cache: Path, previous: Path | None = None) -> dict[str, int]:
        return {}

    def save(self, folder: Path) -> None:
        pass

    @classmethod
    def load(cls, folder: Path) -> Unjudged:
        return cls(None)


def test_where_nobody_can_be_judged_there_is_no_figure_and_the_champion_stays(
    night_with_reviews: Callable[..., Night], monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoConfig(BaseModel):
        pass

    spec = ModelSpec("unjudged", "Learn nothing.", f"{__name__}:{Unjudged.__name__}", NoConfig, reads=(), writes=())
    monkeypatch.setitem(known_models(), "unjudged", spec)
    first = night_with_reviews("2026-03-01")
    learn(first, "unjudged")
    assert [(row["metric"], row["value"]) for row in predictions(first)["metrics_unjudged.parquet"]] == [("judged", 0.0)]
    assert step_notes(first)["judged"] == "nobody could be judged: there are no customers" and step_notes(first)["fitted_tonight"]
    assert "accuracy" not in step_notes(first)

    second = night_with_reviews("2026-03-02")
    learn(second, "unjudged")
    assert step_notes(second)["fitted_tonight"] is False
    assert {kept.folder.name: kept.meta["role"] for kept in kept_versions(second, "unjudged")} == {
        first.key: "champion",
        second.key: "challenger",
    }

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{first.home / 'mlflow' / 'mlflow.db'}")
    run = client.get_run(step_notes(first)["tracking"])
    assert run.data.metrics == {"champion.judged": 0.0}


def test_the_interval_covers_what_it_says() -> None:
    """Of 200 samples from known pairs, about 95 % of the intervals hold the true difference."""
    rng = np.random.default_rng(1)
    held = 0
    for trial in range(200):
        champion = rng.normal(1.0, 1.0, 120)
        challenger = champion + rng.normal(0.1, 0.5, 120)
        interval = paired_difference(challenger, champion, seed=trial)
        held += interval.low <= 0.1 <= interval.high
    assert 180 <= held <= 198


def verdict_on(fresh: np.ndarray, reference: np.ndarray, margin: float = 0.01) -> Verdict:
    return judge_fresh((fresh, reference), (fresh, reference), margin, seed=1)


def test_promotion_needs_no_gain_but_no_loss_to_be_expected() -> None:
    reference = np.tile([1.0, 1.0, 1.0, 0.0], 200)
    worse = reference * np.tile([1.0, 1.0, 0.5, 1.0], 200)
    alike = verdict_on(reference, reference, margin=0.0)
    assert alike.promoted and alike.proven
    lost = verdict_on(worse, reference)
    assert not lost.promoted and lost.tonight.high < -0.01
    assert verdict_on(worse, reference, margin=0.5).promoted


def test_few_customers_prove_little_and_many_nights_prove_more() -> None:
    """Of 40 customers, a fresh model that finds less may predict; it is no reference; and when it finds less again and again it may not."""
    rng = np.random.default_rng(3)
    reference = (rng.random(40) < 0.5).astype(float)
    fresh = np.where(rng.random(40) < 0.3, rng.permutation(reference), reference)
    fresh[np.flatnonzero(fresh)[:2]] = 0.0
    first = verdict_on(fresh, reference)
    assert first.tonight.value < -0.05 and first.promoted == (first.expected.value >= -0.01) and not first.proven
    assert abs(first.expected.value) < abs(first.tonight.value), "drawn to the prior"
    many = tuple(np.tile(scores, 30) for scores in (fresh, reference))
    later = judge_fresh((fresh, reference), many, 0.01, seed=1)
    assert later.expected.value < first.expected.value and later.expected.error < first.expected.error and not later.promoted


def test_the_same_customers_again_are_no_new_evidence(open_night: Callable[..., Night]) -> None:
    """A night whose test days are those of the night before shows the same customers; they count once, with the sum of both nights."""
    ids = np.array([f"c{number}" for number in range(50)], dtype=object)
    rng = np.random.default_rng(4)
    scores = ids, rng.random(50), rng.random(50)
    first, second = open_night("2026-03-01"), open_night("2026-03-02")
    keep_judged(first, "sentiment", {"reference": "r", LINEAGE: "l"}, scores)
    assert judged_before(first, "sentiment", "r") == [] and judged_before(second, "sentiment", "other") == []
    fresh, reference = pooled(judged_before(second, "sentiment", "r"), scores)
    assert len(fresh) == 50
    one, two = expected_difference(*scores[1:]), expected_difference(fresh, reference)
    assert two.value == pytest.approx(one.value) and two.error == pytest.approx(one.error)


def test_a_champion_that_is_always_wrong_is_beaten_by_anything() -> None:
    interval = relative_difference(np.array([1.0, 0.0, 1.0]), np.zeros(3), seed=1)
    assert interval.value == 1.0 and interval.low >= 0.0


def test_comparing_blocks_does_not_change_with_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    scores, other = rng.random(500), rng.random(500)
    whole = paired_difference(scores, other, seed=3)
    monkeypatch.setattr("include.learn.compare.ROWS_AT_ONCE", 500 * 7)
    assert paired_difference(scores, other, seed=3) == whole


def test_kept_files_hold_no_pickles(night_with_reviews: Callable[..., Night]) -> None:
    night = night_with_reviews("2026-03-01", tracking_uri="http://127.0.0.1:9")
    learn(night, "sentiment")
    suffixes = {file.suffix for file in Path(night.models).rglob("*") if file.is_file()}
    assert suffixes <= {".json", ".safetensors", ".parquet", ".txt"}
