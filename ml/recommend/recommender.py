"""The recommender of a night: candidates fitted on the history, blended by what ranked best on later days, or ordered by a second stage
that learned from later days, where that ranks better."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from safetensors.numpy import load_file, save_file

from ml.nightly_model import BEFORE_TEST, EVERYTHING, Evaluation, Metric, NightlyModel, Split
from ml.recommend.als import Als
from ml.recommend.blend import Choice, search
from ml.recommend.candidates import Candidate, Training
from ml.recommend.config import RecommenderConfig
from ml.recommend.content import Content
from ml.recommend.ease import Ease
from ml.recommend.facts import Facts
from ml.recommend.follow import Follow
from ml.recommend.interest import Interest
from ml.recommend.item_knn import ItemKnn
from ml.recommend.judge import K, judge
from ml.recommend.lists import write_lists
from ml.recommend.popularity import CategoryPopularity, Popularity
from ml.recommend.ranker import Ranker, Rows, SecondStage
from ml.recommend.rehearsal import earlier, known_before, pool_before, rehearse, rows_before
from ml.recommend.repeat import Repeat
from ml.recommend.scoring import Scorer
from ml.recommend.segments import worse_than_popularity
from ml.recommend.sequence import SequenceModel
from ml.recommend.shop_arrays import Customers, Exam, History
from ml.recommend.similar import write_similar
from ml.recommend.snapshot import Snapshot
from ml.recommend.taste import Taste
from ml.recommend.transitions import Transitions
from ml.recommend.user_knn import UserKnn
from ml.recommend.variety import best_variety

log = logging.getLogger(__name__)

CANDIDATES: tuple[type[Candidate], ...] = (
    Popularity,
    CategoryPopularity,
    Taste,
    ItemKnn,
    UserKnn,
    Ease,
    Transitions,
    SequenceModel,
    Als,
    Content,
    Repeat,
    Follow,
    Interest,
)
# kept whatever their weight: popularity fills lists up, the other two find similar products
ALWAYS = (Popularity.name, ItemKnn.name, Content.name)
# slow to fit, and where habits prevail the order is as good without: see docs/recommendations.md
SLOW = (Transitions.name, SequenceModel.name)
HELD_OUT = 3  # every third customer decides between blend and second stage
HALF_LIVES = (3.0, 7.0, 14.0, 30.0, 60.0, 120.0, 365.0)


class Recommender(NightlyModel):
    """See the module.

    Attributes:
        choice: what validation decided.
        candidates: those with a weight (and those of ALWAYS), or all that suit the shop with a second stage, which looks at every score.
        ranker: the second stage, None where the blend serves.
        _rehearsed: the candidates that the choice was made with, until they are gone on from.
        _kept: their sequence model, for a later night; while a night fits, those of the former night.
    """

    name: ClassVar[str] = "recommender"
    saved_format: ClassVar[int] = 2

    def __init__(self, config: RecommenderConfig) -> None:
        self.config = config
        self.choice = self._popularity_alone()
        self.products = pa.array([], pa.string())
        self.candidates: list[Candidate] = []
        self._rehearsed: list[Candidate] = []
        self._kept: list[SequenceModel] = []
        self.ranker: Ranker | None = None
        self._learned: list[Rows] = []

    def _popularity_alone(self) -> Choice:
        return Choice(weights={Popularity.name: 1.0}, penalty=0.0, half_life_days=self.config.half_life_days)

    @classmethod
    def why_not(cls, features: Path, config: object) -> str | None:
        """Recommendations need a catalogue; everything else can be missing."""
        del config
        if pq.read_metadata(features / "products.parquet").num_rows == 0:
            return "the shop has no products yet"
        return None

    # ---- learning --------------------------------------------------------------------------------------------------
    def fit(self, features: Path, splits: Sequence[Split], cache: Path, warm_start: Self | None = None) -> None:
        """See NightlyModel. With `warm_start` and EVERYTHING the choice is taken over; otherwise it is made on validation rows,
        by candidates that were fitted on the rows before them, and the candidates are then fitted again on all of `splits`. With
        `warm_start` and BEFORE_TEST it is a former night's model, whose sequence models may be gone on from (see `SequenceModel.fit`)."""
        torch.set_num_threads(self.config.threads)
        snapshot = Snapshot(features, self.config)
        if warm_start is not None and tuple(splits) == BEFORE_TEST:
            warm_start._follow(snapshot, cache)
            self._kept = warm_start._sequences()
        if warm_start is not None and tuple(splits) == EVERYTHING:
            self.choice, self.ranker = warm_start.choice, warm_start._ranker_of_everything(snapshot, cache)
            self._rehearsed = warm_start.candidates if warm_start.products.equals(snapshot.catalogue.ids) else []
        elif "validation" in splits:
            self.choice = self._choose(snapshot, cache)
        else:
            self.choice = self._popularity_alone()
        self.products = snapshot.catalogue.ids
        names = None if self.choice.second_stage else {*self.choice.weights, *ALWAYS}
        rehearsed, self._rehearsed = self._rehearsed, []
        earlier = [*rehearsed, *self._kept]
        self.candidates = self._fitted(snapshot, cache, snapshot.end_of(splits), self.choice.half_life_days, names, earlier)
        self._kept = [candidate for candidate in rehearsed if isinstance(candidate, SequenceModel)] if tuple(splits) == BEFORE_TEST else []

    def _fitted(
        self,
        snapshot: Snapshot,
        cache: Path,
        before: datetime | None,
        half_life_days: float,
        names: Collection[str] | None = None,
        earlier: Sequence[Candidate] = (),
    ) -> list[Candidate]:
        """The candidates that this shop's data suits, fitted on the rows before a moment; only those named, where names are given.
        They may go on from those `earlier` ones which know no later rows."""
        history = snapshot.history(snapshot.active(before), before)
        popularity = snapshot.popularity(half_life_days, before)["all"]
        training = Training(snapshot.catalogue, history, popularity, cache, earlier)
        products_seen = len(np.unique(history.product))
        left_out = SLOW if habitual(history) > self.config.habitual else ()
        fitted: list[Candidate] = []
        for kind in CANDIDATES:
            candidate = kind(self.config)
            if (names is None or kind.name in names) and kind.name not in left_out and candidate.suits(snapshot.catalogue, products_seen):
                candidate.fit(training)
                fitted.append(candidate)
                log.info("%s: fitted on %d customers, %d pairs", kind.name, history.customers, len(history.product))
        return fitted

    def _choose(self, snapshot: Snapshot, cache: Path) -> Choice:
        """The half-life of popularity first, then the blend, both by NDCG on validation customers; then whether a second stage beats it."""
        exam = snapshot.rehearsal()
        customers = snapshot.examined(exam, self.config.max_validation_customers)
        if len(customers) < self.config.min_validation_customers:
            log.info("blend: only %d customers to choose on, popularity serves alone", len(customers))
            return self._popularity_alone()
        half_life, popularity_ndcg = self._best_half_life(snapshot, exam)
        self._rehearsed = candidates = self._fitted(snapshot, cache, exam.starts_at, half_life, earlier=self._kept)
        pool, rows = rehearse(snapshot, exam, candidates, self.config)
        judged_apart = len(customers) >= self.config.ranker_min_customers
        held = np.arange(len(customers)) % HELD_OUT == 0 if judged_apart else np.zeros(len(customers), dtype=bool)
        weights, penalty, ndcg = search(pool.only(~held), start=0, k=K)
        named = {candidate.name: round(float(weight), 4) for candidate, weight in zip(candidates, weights, strict=True) if weight > 0}
        log.info(
            "blend: %s, penalty %s, NDCG@%d %.4f, popularity %.4f on %d customers", named, penalty, K, ndcg, popularity_ndcg, len(customers)
        )
        choice = Choice(named, penalty, half_life, len(customers), ndcg, popularity_ndcg)
        trial = None
        if judged_apart:
            apart = pool.only(held)
            blend_ndcg = apart.ndcg(apart.total(weights) * (1 - penalty * apart.discontent), K)
            earlier_rows = list(self._earlier_rows(snapshot, exam, cache, half_life, len(customers)))
            trial, found = self._second_stage(rows, earlier_rows, held, blend_ndcg)
            choice = replace(choice, **found)
        unknown = customers.only(held) if trial is not None else customers
        choice = replace(choice, diversity=self._variety(snapshot, exam, candidates, choice, trial, unknown))
        return replace(choice, popular_segments=self._worse_segments(snapshot, exam, candidates, choice, trial, unknown))

    def _variety(
        self, snapshot: Snapshot, exam: Exam, candidates: Sequence[Candidate], choice: Choice, ranker: Ranker | None, customers: Customers
    ) -> float:
        """How much variety the exam's customers like best."""
        facts = Facts.read(snapshot, exam.starts_at) if ranker else None
        model = replace(self._scorer(snapshot, known_before(snapshot, exam), choice, candidates, ranker, facts), category=None)
        return best_variety(snapshot, exam, model, customers, self.config.diversity)

    def _worse_segments(
        self, snapshot: Snapshot, exam: Exam, candidates: Sequence[Candidate], choice: Choice, ranker: Ranker | None, customers: Customers
    ) -> list[str]:
        """The segments that a choice serves worse than popularity on the exam's customers, asked of the candidates it was made with."""
        segments = snapshot.segments_before(customers, exam)
        if exam.split is None or segments.null_count == len(segments):  # too young a shop to know of segments
            return []
        known, popularity = known_before(snapshot, exam), self._popularity_alone()
        facts = Facts.read(snapshot, exam.starts_at) if ranker else None
        model = self._scorer(snapshot, known, choice, candidates, ranker, facts)
        baselines = {"popularity": self._scorer(snapshot, known, popularity, candidates)}
        evaluation = judge(snapshot, exam, exam.split, model, baselines, customers)
        worse = worse_than_popularity(evaluation, segments, self.config.min_validation_customers)
        log.info("segments: popularity serves %s", ", ".join(worse) or "none of its own")
        return worse

    def _second_stage(
        self, latest: Rows, earlier_rows: Sequence[Rows], held: np.ndarray, blend_ndcg: float
    ) -> tuple[Ranker | None, dict[str, Any]]:
        """A ranker that does not know the customers held out, and what the choice says of the second stage; it is kept where it ranks
        those better, whom the weights do not know either.

        More days are more to learn from, but stale where a shop changes: earlier stretches are left out where the latest alone ranks
        better, by more than the standard error of the difference.
        """
        held_out = latest.only(held)
        self._learned = [latest, *earlier_rows]
        trial, scores = self._trial(self._learned, held_out)
        if earlier_rows:
            alone, by_latest = self._trial([latest], held_out)
            gain = by_latest - scores
            log.info("second stage: NDCG@%d %.4f with earlier days, %.4f without", K, scores.mean(), by_latest.mean())
            if gain.mean() > gain.std() / np.sqrt(len(gain)):
                trial, scores, self._learned = alone, by_latest, [latest]
        if trial is None:
            return None, {}
        ndcg = float(scores.mean())
        log.info("second stage: NDCG@%d %.4f, blend %.4f on %d customers held out", K, ndcg, blend_ndcg, len(held_out.sizes))
        if ndcg > blend_ndcg:
            self.ranker = Ranker.fit(Rows.joined(self._learned), self.config)
        chosen = self.ranker is not None
        figures = {"held_out": len(held_out.sizes), "held_out_ndcg": ndcg, "held_out_blend_ndcg": blend_ndcg}
        return trial if chosen else None, {"second_stage": chosen, "stretches": len(self._learned), **figures}

    def _trial(self, learned: Sequence[Rows], held_out: Rows) -> tuple[Ranker | None, np.ndarray]:
        """A ranker of what was learned of other customers, and (n,) NDCG of those held out; 0 where there was nothing to learn."""
        told = Rows.joined([rows.only(~np.isin(rows.customers, held_out.customers)) for rows in learned])
        trial = Ranker.fit(told, self.config)
        if trial is None:
            return None, np.zeros(len(held_out.sizes))
        return trial, held_out.ndcg(trial.predict_rows(held_out, self.config.threads), K)

    def _earlier_rows(self, snapshot: Snapshot, exam: Exam, cache: Path, half_life: float, customers: int) -> Iterator[Rows]:
        """Rows of earlier days, each by candidates fitted before them, as far as the customers are too few without."""
        for _, before in zip(range(self.config.ranker_windows - 1), earlier(snapshot, exam), strict=False):
            if customers >= self.config.ranker_customers:
                return
            if not len(snapshot.examined(before, 1)):
                continue
            rows = rows_before(snapshot, before, self._fitted(snapshot, cache, before.starts_at, half_life), self.config)
            customers += len(rows.sizes)
            yield rows

    def _ranker_of_everything(self, snapshot: Snapshot, cache: Path) -> Ranker | None:
        """The second stage after the test days have been learned from too, asked of this model, which has not seen them."""
        exam = snapshot.exam("test")
        if self.ranker is None or not self._learned or not len(snapshot.examined(exam, 1)):
            return self.ranker
        self._follow(snapshot, cache)
        rows = rows_before(snapshot, exam, self.candidates, self.config)
        return Ranker.fit(Rows.joined([rows, *self._learned]), self.config)

    def _best_half_life(self, snapshot: Snapshot, exam: Exam) -> tuple[float, float]:
        """The half-life whose popularity ranks best, and its NDCG."""
        tried = sorted({*HALF_LIVES, self.config.half_life_days})
        popularities: list[Candidate] = []
        for half_life in tried:
            popularity = Popularity(self.config)
            popularity.worth = snapshot.popularity(half_life, exam.starts_at)["all"]
            popularities.append(popularity)
        pool = pool_before(snapshot, exam, popularities, self.config)
        values = [pool.ndcg(scores, K) for scores in pool.scores]
        best = int(np.argmax(values))
        return tried[best], values[best]

    # ---- asking ----------------------------------------------------------------------------------------------------
    def _scorer(
        self,
        snapshot: Snapshot,
        allowed: np.ndarray,
        choice: Choice,
        fitted: Sequence[Candidate] = (),
        ranker: Ranker | None = None,
        facts: Facts | None = None,
    ) -> Scorer:
        """Asks the candidates by a choice: those given, or the model's own. Popularity alone is left as it is. A ranker orders what all of
        them bring, by facts as of the moment that will be asked about."""
        fitted = fitted or self.candidates
        popularity = next(candidate.worth for candidate in fitted if type(candidate) is Popularity)
        category = snapshot.catalogue.category if set(choice.weights) != {Popularity.name} else None
        candidates, second = [candidate for candidate in fitted if choice.weights.get(candidate.name, 0) > 0], None
        if ranker is not None and facts is not None:
            candidates = list(fitted)
            names = [candidate.name for candidate in candidates]
            second = SecondStage(ranker, names, snapshot.catalogue, facts)
        weights = np.array([choice.weights.get(candidate.name, 0) for candidate in candidates])
        demotion = (1 - choice.penalty * snapshot.catalogue.discontent).astype(np.float32)
        diversity = max(choice.diversity, self.config.diversity)
        return Scorer(candidates, weights, demotion, popularity, allowed, self.config, category, diversity, choice.popular_segments, second)

    def _sequences(self) -> list[SequenceModel]:
        """Those that a later night may go on from: as judged, and as the choice was made with."""
        return [*self._kept, *(candidate for candidate in self.candidates if isinstance(candidate, SequenceModel))]

    def _popularity(self) -> np.ndarray:
        return next(c.worth for c in self.candidates if type(c) is Popularity)

    def _follow(self, snapshot: Snapshot, cache: Path) -> None:
        """Makes the model speak the snapshot's product numbers; products it was not fitted on are only known by their texts."""
        ids = snapshot.catalogue.ids
        if ids.equals(self.products):
            return
        place = pc.index_in(ids, self.products).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        for candidate in (*self.candidates, *self._kept):
            candidate.align(place, snapshot.catalogue, cache)
        self.products = ids

    def evaluate(self, features: Path, split: Split, cache: Path) -> Evaluation:
        """See NightlyModel and `judge`. Customers without a history before the split get what is popular, as the baseline does."""
        torch.set_num_threads(self.config.threads)
        snapshot = Snapshot(features, self.config)
        self._follow(snapshot, cache)
        exam = snapshot.exam(split)
        known = known_before(snapshot, exam)
        model = self._scorer(snapshot, known, self.choice, ranker=self.ranker, facts=Facts.read(snapshot, exam.starts_at))
        baselines = {
            "popularity": self._scorer(snapshot, known, self._popularity_alone()),
            "popularity_7_days": self._lately(snapshot, exam, known),
        }
        judged = judge(snapshot, exam, split, model, baselines, snapshot.examined(exam, self.config.max_judged_customers))
        return replace(judged, metrics=[*judged.metrics, *self._choice_metrics()])

    def _choice_metrics(self) -> list[Metric]:
        """What the choice of the second stage was made on."""
        if not self.choice.held_out:
            return []
        return [
            Metric("second_stage", float(self.choice.second_stage)),
            Metric("second_stage_stretches", float(self.choice.stretches)),
            Metric(f"validation_ndcg@{K}", self.choice.held_out_ndcg, "blend", self.choice.held_out_blend_ndcg),
        ]

    def _lately(self, snapshot: Snapshot, exam: Exam, allowed: np.ndarray) -> Scorer:
        """What everybody wanted in the week before the exam, then what is popular: the usual baseline of splits by time."""
        lately = Popularity(self.config)
        lately.worth = snapshot.popularity(half_life_days=36500, before=exam.starts_at, last_days=7)["all"]
        return Scorer([lately], np.ones(1), np.ones(len(allowed), np.float32), self._popularity(), allowed, self.config)

    def predict(self, features: Path, out: Path, cache: Path, previous: Path | None = None) -> dict[str, int]:
        """Writes recommendations, recommendations_by_category, recommendations_default and similar_products."""
        del previous  # every list depends on the whole night, so none is taken over
        torch.set_num_threads(self.config.threads)
        snapshot = Snapshot(features, self.config)
        self._follow(snapshot, cache)
        scorer = self._scorer(snapshot, snapshot.catalogue.available, self.choice, ranker=self.ranker, facts=Facts.read(snapshot, None))
        out.mkdir(parents=True, exist_ok=True)
        content = next((candidate for candidate in self.candidates if isinstance(candidate, Content)), None)
        rows = write_lists(snapshot, scorer, self.choice.half_life_days, content, out)
        return rows | write_similar(snapshot, self.candidates, self._popularity(), out)

    # ---- keeping ---------------------------------------------------------------------------------------------------
    def save(self, folder: Path) -> None:
        """config.json, choice.json, products.parquet, one safetensors file a candidate, the ranker's files where there is a second
        stage, and rehearsed.safetensors, the sequence model that the choice was made with, for a later night to go on from."""
        (folder / "config.json").write_text(self.config.model_dump_json(indent=2))
        (folder / "choice.json").write_text(json.dumps(asdict(self.choice), indent=2))
        pq.write_table(pa.table({"product_id": self.products}), folder / "products.parquet")
        if self.ranker is not None:
            self.ranker.save(folder)
        named = [*((candidate.name, candidate) for candidate in self.candidates), *(("rehearsed", model) for model in self._kept)]
        for name, candidate in named:
            save_file({k: np.ascontiguousarray(v) for k, v in candidate.arrays().items()}, folder / f"{name}.safetensors")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model as `save` left it."""
        model = cls(RecommenderConfig.model_validate_json((folder / "config.json").read_text()))
        model.choice = Choice(**json.loads((folder / "choice.json").read_text()))
        model.products = cast(pa.StringArray, pq.read_table(folder / "products.parquet")["product_id"].combine_chunks())
        if model.choice.second_stage:
            model.ranker = Ranker.load(folder)
        for kind in CANDIDATES:
            file = folder / f"{kind.name}.safetensors"
            if file.exists():
                candidate = kind(model.config)
                candidate.restore(load_file(file))
                model.candidates.append(candidate)
        if (folder / "rehearsed.safetensors").exists():
            model._kept = [SequenceModel(model.config)]
            model._kept[0].restore(load_file(folder / "rehearsed.safetensors"))
        return model


def habitual(history: History) -> float:
    """Which share of what was bought the customers had bought before, counting a product once a day."""
    return float((history.target_days - 1).clip(min=0).sum() / max(1, int(history.target_days.sum())))
