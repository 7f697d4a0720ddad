"""What a shop's reviews praise and blame about each product: aspects learned every night, with a quoted sentence for each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Self, cast

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml.nightly_model import BEFORE_TEST, EVERYTHING, Evaluation, Metric, NightlyModel, Split
from ml.text.aspects import SentencePolarity, Term, find_terms, sentences_of, terms_in
from ml.text.aspects_config import AspectsConfig
from ml.text.reviews import clean_sql, count_labelled, first_labelled, open_reader, read_labelled

FILE = "product_aspects"
NEGATIVE, POSITIVE = 0, 2
CLEAR = 0.25  # scores closer to 0 are neither praise nor blame


class AspectModel(NightlyModel):
    """Polarity of sentences, and the terms that name aspects.

    Attributes:
        polarity: how sentences are read.
        terms: the shop's aspects, those of most reviews first.
    """

    name: ClassVar[str] = "aspects"
    deciding: ClassVar[str] = "balanced_accuracy"

    polarity: SentencePolarity
    terms: list[Term]
    config: AspectsConfig

    @classmethod
    def unavailable_reason(cls, features: Path, config: object) -> str | None:
        """Why this shop cannot have aspects: too few labelled training reviews, or nearly all of one kind."""
        config = cast(AspectsConfig, config)
        counts = count_labelled(features, ["train"], config.max_chars, config.threads)
        if sum(counts.values()) < config.min_reviews:
            return f"{sum(counts.values())} rated reviews with text to train on, {config.min_reviews} are needed"
        if min(counts["negative"], counts["positive"]) * 20 < config.min_reviews:
            return f"{counts['negative']} negative and {counts['positive']} positive reviews: too few of one to tell praise from blame"
        return None

    @classmethod
    def test_starts_at(cls, features: Path) -> datetime | None:
        return first_labelled(features, "test")

    def fit(self, features: Path, cache: Path, warm_start: Self | None = None) -> None:  # noqa: ARG002
        """See NightlyModel; it begins anew every night, and there is nothing to choose."""
        self._learn(features, BEFORE_TEST, cache)

    def refit(self, features: Path, cache: Path, evaluated: Self) -> None:  # noqa: ARG002
        """See NightlyModel."""
        self._learn(features, EVERYTHING, cache)

    def _learn(self, features: Path, splits: Sequence[Split], cache: Path) -> None:
        """Learn polarity from the reviews of `splits` with few and with many stars, and the terms from all of them."""
        config = self.config
        reviews = read_labelled(
            features, splits, max_chars=config.max_chars, threads=config.threads, seed=config.seed, limit=config.max_train_reviews
        )
        sentences = [sentences_of(text) for text in reviews.texts]
        clear = [
            (sentence, label == POSITIVE) for own, label in zip(sentences, reviews.labels, strict=True) for sentence in own if label != 1
        ]
        self.polarity = SentencePolarity(config.encoder, config.threads)
        self.polarity.fit([sentence for sentence, _ in clear], np.array([likes for _, likes in clear]), cache)
        min_reviews = max(5, round(config.min_term_share * len(sentences)))
        self.terms = find_terms(sentences, self.polarity.word_weights(), min_reviews, config.min_noun_share)[: config.max_terms]

    def evaluate(self, features: Path, split: Split, cache: Path) -> Evaluation:
        """Evaluate the mean score of a review's sentences on the negative and positive reviews of `split`, beside always guessing praise.

        Metric: balanced_accuracy; a review counts n / (2 * reviews of its kind) if its sentences' mean has the sign of its stars.
        """
        config = self.config
        reviews = read_labelled(
            features, [split], max_chars=config.max_chars, threads=config.threads, seed=config.seed, limit=config.max_train_reviews
        )
        sentences = [sentences_of(text) for text in reviews.texts]
        evaluated = [place for place, label in enumerate(reviews.labels) if label != 1 and sentences[place]]
        likes = reviews.labels[evaluated] == POSITIVE
        if not 0 < likes.sum() < len(likes):
            nobody = "the latest rated reviews are all praise, all blame, or none"
            return Evaluation(split, [], np.empty(0, dtype=object), np.empty(0), nobody=nobody)
        scores = self.polarity.score([sentence for place in evaluated for sentence in sentences[place]], cache)
        starts = np.cumsum([0, *(len(sentences[place]) for place in evaluated[:-1])])
        means = np.add.reduceat(scores, starts) / np.array([len(sentences[place]) for place in evaluated])
        weights = len(likes) / (2 * np.where(likes, likes.sum(), (~likes).sum()))
        right = weights * ((means > 0) == likes)
        return Evaluation(
            split=split,
            metrics=[Metric(self.deciding, float(right.mean()), "all_praise", 0.5)],
            unit_ids=reviews.keys["review_id"].to_numpy(zero_copy_only=False)[evaluated],
            unit_scores=right,
            baselines={"all_praise": weights * likes},
        )

    def predict(self, features: Path, out: Path, cache: Path, previous: Path | None = None) -> dict[str, int]:  # noqa: ARG002
        """Write product_aspects.parquet: one row for each product and aspect that enough of its latest reviews mention."""
        query = f"""
            SELECT review_id, product_id, {clean_sql("text")} AS text FROM reviews
            WHERE product_id IS NOT NULL AND weight = 1 AND {clean_sql("text")} IS NOT NULL
            ORDER BY reviewed_at DESC, review_id LIMIT $most
        """
        parameters = {"max_chars": self.config.max_chars, "most": self.config.max_reviews}
        with open_reader(features, self.config.threads) as connection:
            reviews = connection.execute(query, parameters).to_arrow_table()
            names = {term.words: term.name for term in self.terms}
            said = [
                (review, product, names[term], sentence)
                for review, product, text in zip(*(reviews[name].to_pylist() for name in reviews.column_names), strict=True)
                for sentence in sentences_of(text)
                for term in terms_in(sentence, names)
            ]
            sentences = sorted({sentence for *_, sentence in said})
            scores = dict(zip(sentences, self.polarity.score(sentences, cache).round(6).tolist(), strict=True)) if sentences else {}
            columns = list(zip(*said, strict=True)) or [()] * 4
            names_and_types = [("review_id", pa.string()), ("product_id", pa.string()), ("aspect", pa.string()), ("sentence", pa.string())]
            table = pa.table({name: pa.array(values, kind) for (name, kind), values in zip(names_and_types, columns, strict=True)})
            table = table.append_column("score", pa.array([scores[sentence] for *_, sentence in said], pa.float64()))
            aspects = self._aggregated(connection, table)
        out.mkdir(parents=True, exist_ok=True)
        pq.write_table(aspects, out / f"{FILE}.parquet")
        return {FILE: aspects.num_rows}

    def _aggregated(self, connection: duckdb.DuckDBPyConnection, said: pa.Table) -> pa.Table:
        """One opinion a review and aspect. The example is the clearest short sentence that agrees with the mean."""
        connection.register("said", said)
        query = f"""
            WITH opinions AS (
                SELECT product_id, aspect, review_id, tanh(avg(score)) AS opinion FROM said GROUP BY ALL
            ), summed AS (
                SELECT product_id, aspect, count(*) AS mentions, round(avg(opinion), 6) AS score,
                    count(*) FILTER (opinion > {CLEAR}) AS positive, count(*) FILTER (opinion < -{CLEAR}) AS negative
                FROM opinions GROUP BY ALL HAVING count(*) >= $least
            ), examples AS (
                SELECT product_id, aspect, sentence AS example, review_id AS example_review_id
                FROM said JOIN summed USING (product_id, aspect)
                QUALIFY row_number() OVER (
                    PARTITION BY product_id, aspect
                    ORDER BY length(sentence) > 200, said.score * sign(summed.score) DESC, review_id, sentence) = 1
            )
            SELECT product_id, aspect, mentions, score, positive, negative, left(example, 300) AS example, example_review_id
            FROM summed JOIN examples USING (product_id, aspect) ORDER BY product_id, mentions DESC, aspect
        """
        return connection.execute(query, {"least": self.config.min_mentions}).to_arrow_table()

    def save(self, folder: Path) -> None:
        terms = [{"words": term.words, "reviews": term.reviews, "noun_share": term.noun_share} for term in self.terms]
        (folder / "aspects.json").write_text(json.dumps({"config": self.config.model_dump(), "terms": terms}, ensure_ascii=False))
        self.polarity.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        fields = json.loads((folder / "aspects.json").read_text())
        model = cls(AspectsConfig(**fields["config"]))
        model.terms = [Term(tuple(term["words"]), term["reviews"], term["noun_share"]) for term in fields["terms"]]
        model.polarity = SentencePolarity.load(folder, model.config.encoder, model.config.threads)
        return model
