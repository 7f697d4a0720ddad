"""Sentences, polarity, terms, and the model over a snapshot: on a few sentences made by hand."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from ml.text.aspect_model import AspectModel, AspectsConfig
from ml.text.aspects import MAX_SENTENCES, SentencePolarity, find_terms, sentences_of

GOOD = ["The {} is great.", "I love the {}!", "My {} works very well.", "Its {} is excellent, a joy."]
BAD = ["The {} is awful.", "I hate the {}!", "My {} broke at once.", "Its {} is terrible, a shame."]
THINGS = ("battery life", "screen", "strap")


def test_sentences_of_hostile_texts() -> None:
    assert sentences_of("Fine. Really!  <b>ok</b>\n质量好。不错！ ... !!!") == ["Fine.", "Really!", "<b>ok</b>", "质量好", "不错"]
    assert sentences_of("") == sentences_of("!!! ... 123") == []
    assert len(sentences_of("No. " * 200_000)) == MAX_SENTENCES


def test_polarity_is_learned_from_stars_and_holds_for_words_not_seen(tmp_path: Path) -> None:
    sentences = [pattern.format(thing) for pattern in GOOD + BAD for thing in THINGS]
    likes = np.repeat([True, False], len(GOOD) * len(THINGS))
    model = SentencePolarity(threads=1).fit(sentences, likes, tmp_path)
    assert ((model.score(sentences, tmp_path) > 0) == likes).all()
    praise, blame = model.score(["A fantastic camera, wonderful pictures.", "A dreadful camera, horrible pictures."], tmp_path)
    assert praise > 0 > blame
    again = SentencePolarity(threads=1).fit(sentences, likes, tmp_path)
    assert (model.score(sentences, tmp_path) == again.score(sentences, tmp_path)).all()


def test_terms_stand_where_nouns_stand() -> None:
    reviews = [[pattern.format(thing)] for pattern in GOOD + BAD for thing in THINGS]
    polarity = {"great": 3.0, "joy": 3.0, "awful": -3.0, "shame": -3.0, **dict.fromkeys("abcdefgh", 0.1)}
    terms = find_terms(reviews, polarity, min_reviews=3, min_noun_share=0.5)
    assert [term.name for term in terms] == ["battery life", "screen", "strap"], "no opinions, no function words, no half of a pair"
    assert {term.reviews for term in terms} == {8}
    assert find_terms([["质量非常好"]] * 9, {}, 3, 0.5) == []


def test_a_snapshot_s_aspects_are_told_apart_and_outlive_saving(tmp_path: Path) -> None:
    said = [(pattern.format(thing), "positive" if pattern in GOOD else "negative") for pattern in GOOD + BAD for thing in THINGS] * 5
    texts = pa.table({"text": [f"{text} Item {n}." for n, (text, _) in enumerate(said)], "label": [label for _, label in said]})
    with duckdb.connect() as connection:
        connection.register("texts", texts)
        connection.sql("""
            SELECT 'r' || n AS review_id, if(label = 'positive', 'liked', 'disliked') AS product_id, text, sha256(text) AS text_hash, label,
                if(n % 4 = 0, 'test', 'train') AS split, 1.0::DOUBLE AS weight, TIMESTAMP '2026-01-01' AS reviewed_at
            FROM (SELECT *, row_number() OVER () AS n FROM texts)""").write_parquet(str(tmp_path / "reviews.parquet"))
    config = AspectsConfig(min_reviews=20, threads=1)
    assert AspectModel.unavailable_reason(tmp_path, config) is None
    assert "are needed" in str(AspectModel.unavailable_reason(tmp_path, AspectsConfig(min_reviews=500)))
    model = AspectModel(config)
    model.fit(tmp_path, tmp_path)
    assert model.evaluate(tmp_path, "test", tmp_path).metrics[0].value > 0.9
    folders = [tmp_path / name for name in ("model", "first", "second")]
    for folder in folders:
        folder.mkdir()
    model.save(folders[0])
    model.predict(tmp_path, folders[1], tmp_path)
    AspectModel.load(folders[0]).predict(tmp_path, folders[2], tmp_path)
    first, second = (duckdb.read_parquet(str(folder / "product_aspects.parquet")).fetchall() for folder in folders[1:])
    assert first == second
    scores = {row[:2]: row[3] for row in first}
    assert scores["liked", "battery life"] > 0.5 > -0.5 > scores["disliked", "battery life"]
    assert all("battery life" in row[6] for row in first if row[1] == "battery life"), "quoted"
