"""The recommender of a night: candidates fitted on the history, blended by what ranked best on later days."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Self, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from safetensors.numpy import load_file, save_file

from ml.nightly_model import EVERYTHING, Evaluation, NightlyModel, Split
from ml.recommend.als import Als
from ml.recommend.blend import Choice, Pool, search, unit
from ml.recommend.candidates import Candidate, Training
from ml.recommend.config import RecommenderConfig
from ml.recommend.content import Content
from ml.recommend.ease import Ease
from ml.recommend.item_knn import ItemKnn
from ml.recommend.judge import K, judge
from ml.recommend.lists import write_lists
from ml.recommend.popularity import CategoryPopularity, Popularity
from ml.recommend.repeat import Repeat
from ml.recommend.scoring import Scorer, within
from ml.recommend.segments import worse_than_popularity
from ml.recommend.sequence import SequenceModel
from ml.recommend.similar import write_similar
from ml.recommend.snapshot import Exam, Snapshot
from ml.recommend.transitions import Transitions

log = logging.getLogger(__name__)

CANDIDATES: tuple[type[Candidate], ...] = (Popularity, CategoryPopularity, ItemKnn, Ease, Transitions, SequenceModel, Als, Content, Repeat)
# kept whatever their weight: popularity fills lists up, the other two find similar products
ALWAYS = (Popularity.name, ItemKnn.name, Content.name)
HALF_LIVES = (3.0, 7.0, 14.0, 30.0, 60.0, 120.0, 365.0)


class Recommender(NightlyModel):
    """See the module. `choice` holds what validation decided; `candidates` those with a weight (and popularity always)."""

    name: ClassVar[str] = "recommender"

    def __init__(self, config: RecommenderConfig) -> None:
        self.config = config
        self.choice = self._popularity_alone()
        self.products = pa.array([], pa.string())
        self.candidates: list[Candidate] = []
        self._rehearsed: list[Candidate] = []

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
        by candidates that were fitted on the rows before them, and the candidates are then fitted again on all of `splits`."""
        torch.set_num_threads(self.config.threads)
        snapshot = Snapshot(features, self.config)
        if warm_start is not None and tuple(splits) == EVERYTHING:
            self.choice = warm_start.choice
            self._rehearsed = warm_start.candidates if warm_start.products.equals(snapshot.catalogue.ids) else []
        elif "validation" in splits:
            self.choice = self._choose(snapshot, cache)
        else:
            self.choice = self._popularity_alone()
        self.products = snapshot.catalogue.ids
        names = {*self.choice.weights, *ALWAYS}
        earlier, self._rehearsed = self._rehearsed, []
        self.candidates = self._fitted(snapshot, cache, snapshot.end_of(splits), self.choice.half_life_days, names, earlier)

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
        They may go on from `earlier` ones, which know no later rows."""
        history = snapshot.history(snapshot.active(before), before)
        popularity = snapshot.popularity(half_life_days, before)["all"]
        training = Training(snapshot.catalogue, history, popularity, cache, earlier)
        products_seen = len(np.unique(history.product))
        fitted: list[Candidate] = []
        for kind in CANDIDATES:
            candidate = kind(self.config)
            if (names is None or kind.name in names) and candidate.suits(snapshot.catalogue, products_seen):
                candidate.fit(training)
                fitted.append(candidate)
                log.info("%s: fitted on %d customers, %d pairs", kind.name, history.customers, len(history.product))
        return fitted

    def _choose(self, snapshot: Snapshot, cache: Path) -> Choice:
        """The half-life of popularity first, then the blend, both by NDCG on validation customers."""
        exam = snapshot.rehearsal()
        customers = snapshot.examined(exam, self.config.max_validation_customers)
        if len(customers) < self.config.min_validation_customers:
            log.info("blend: only %d customers to choose on, popularity serves alone", len(customers))
            return self._popularity_alone()
        half_life, popularity_ndcg = self._best_half_life(snapshot, exam)
        self._rehearsed = candidates = self._fitted(snapshot, cache, exam.starts_at, half_life)
        pool = self._pool(snapshot, exam, candidates)
        weights, penalty, ndcg = search(pool, start=0, k=K)
        named = {candidate.name: round(float(weight), 4) for candidate, weight in zip(candidates, weights, strict=True) if weight > 0}
        log.info(
            "blend: %s, penalty %s, NDCG@%d %.4f, popularity %.4f on %d customers", named, penalty, K, ndcg, popularity_ndcg, len(customers)
        )
        choice = Choice(named, penalty, half_life, len(customers), ndcg, popularity_ndcg)
        return replace(choice, popular_segments=self._worse_segments(snapshot, exam, candidates, choice))

    def _worse_segments(self, snapshot: Snapshot, exam: Exam, candidates: Sequence[Candidate], choice: Choice) -> list[str]:
        """The segments that a choice serves worse than popularity on the exam's customers, asked of the candidates it was made with."""
        if exam.split is None:  # too young a shop to know of segments
            return []
        known, popularity = self._known(snapshot, exam), self._popularity_alone()
        model = self._scorer(snapshot, known, choice, candidates)
        baselines = {"popularity": self._scorer(snapshot, known, popularity, candidates)}
        evaluation = judge(snapshot, exam, exam.split, model, baselines, self.config.max_validation_customers)
        segments = snapshot.segments_before(snapshot.examined(exam, self.config.max_validation_customers), exam)
        worse = worse_than_popularity(evaluation, segments, self.config.min_validation_customers)
        log.info("segments: popularity serves %s", ", ".join(worse) or "none of its own")
        return worse

    def _best_half_life(self, snapshot: Snapshot, exam: Exam) -> tuple[float, float]:
        """The half-life whose popularity ranks best, and its NDCG."""
        tried = sorted({*HALF_LIVES, self.config.half_life_days})
        popularities: list[Candidate] = []
        for half_life in tried:
            popularity = Popularity(self.config)
            popularity.worth = snapshot.popularity(half_life, exam.starts_at)["all"]
            popularities.append(popularity)
        pool = self._pool(snapshot, exam, popularities)
        values = [pool.ndcg(scores, K) for scores in pool.scores]
        best = int(np.argmax(values))
        return tried[best], values[best]

    def _pool(self, snapshot: Snapshot, exam: Exam, candidates: Sequence[Candidate]) -> Pool:
        """What the blend is chosen on: the exam's customers, asked with their histories before it."""
        customers = snapshot.examined(exam, self.config.max_validation_customers)
        history = snapshot.history(customers, exam.starts_at)
        owned, answers = snapshot.owned(customers, exam.starts_at), snapshot.labels(customers, exam)
        known = self._known(snapshot, exam)
        scorer = Scorer(candidates, np.ones(len(candidates)), np.ones(len(known)), np.zeros(len(known)), known, self.config)
        pools = []
        for begin, end in scorer.blocks(len(customers)):
            asked = history.rows(begin, end)
            allowed = np.tile(known, (end - begin, 1))
            allowed[within(owned, begin, end)] = False
            wanted = np.zeros_like(allowed)
            wanted[within(answers, begin, end)] = True
            scores = [unit(candidate.score(asked)) for candidate in candidates]
            pools.append(Pool.of(scores, allowed, wanted, snapshot.catalogue.discontent, K))
        return Pool.joined(pools)

    @staticmethod
    def _known(snapshot: Snapshot, exam: Exam) -> np.ndarray:
        """(P,) products known before the exam."""
        return snapshot.catalogue.known_at < np.datetime64(exam.starts_at, "us").astype(np.int64)

    # ---- asking ----------------------------------------------------------------------------------------------------
    def _scorer(self, snapshot: Snapshot, allowed: np.ndarray, choice: Choice, fitted: Sequence[Candidate] = ()) -> Scorer:
        """Asks the candidates by a choice: those given, or the model's own. Popularity alone is left as it is."""
        fitted = fitted or self.candidates
        popularity = next(candidate.worth for candidate in fitted if type(candidate) is Popularity)
        category = snapshot.catalogue.category if set(choice.weights) != {Popularity.name} else None
        candidates = [candidate for candidate in fitted if choice.weights.get(candidate.name, 0) > 0]
        weights = np.array([choice.weights[candidate.name] for candidate in candidates])
        demotion = (1 - choice.penalty * snapshot.catalogue.discontent).astype(np.float32)
        return Scorer(candidates, weights, demotion, popularity, allowed, self.config, category, choice.popular_segments)

    def _popularity(self) -> np.ndarray:
        return next(c.worth for c in self.candidates if type(c) is Popularity)

    def _follow(self, snapshot: Snapshot, cache: Path) -> None:
        """Makes the model speak the snapshot's product numbers; products it was not fitted on are only known by their texts."""
        ids = snapshot.catalogue.ids
        if ids.equals(self.products):
            return
        place = pc.index_in(ids, self.products).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        for candidate in self.candidates:
            candidate.align(place, snapshot.catalogue, cache)
        self.products = ids

    def evaluate(self, features: Path, split: Split, cache: Path) -> Evaluation:
        """See NightlyModel and `judge`. Customers without a history before the split get what is popular, as the baseline does."""
        torch.set_num_threads(self.config.threads)
        snapshot = Snapshot(features, self.config)
        self._follow(snapshot, cache)
        exam = snapshot.exam(split)
        known = self._known(snapshot, exam)
        model = self._scorer(snapshot, known, self.choice)
        baselines = {
            "popularity": self._scorer(snapshot, known, self._popularity_alone()),
            "popularity_7_days": self._lately(snapshot, exam, known),
        }
        return judge(snapshot, exam, split, model, baselines, self.config.max_judged_customers)

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
        scorer = self._scorer(snapshot, snapshot.catalogue.available, self.choice)
        out.mkdir(parents=True, exist_ok=True)
        content = next((candidate for candidate in self.candidates if isinstance(candidate, Content)), None)
        rows = write_lists(snapshot, scorer, self.choice.half_life_days, content, out)
        return rows | write_similar(snapshot, self.candidates, self._popularity(), out)

    # ---- keeping ---------------------------------------------------------------------------------------------------
    def save(self, folder: Path) -> None:
        """config.json, choice.json, products.parquet and one safetensors file a candidate."""
        (folder / "config.json").write_text(self.config.model_dump_json(indent=2))
        (folder / "choice.json").write_text(json.dumps(asdict(self.choice), indent=2))
        pq.write_table(pa.table({"product_id": self.products}), folder / "products.parquet")
        for candidate in self.candidates:
            save_file({k: np.ascontiguousarray(v) for k, v in candidate.arrays().items()}, folder / f"{candidate.name}.safetensors")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model as `save` left it."""
        model = cls(RecommenderConfig.model_validate_json((folder / "config.json").read_text()))
        model.choice = Choice(**json.loads((folder / "choice.json").read_text()))
        model.products = cast(pa.StringArray, pq.read_table(folder / "products.parquet")["product_id"].combine_chunks())
        for kind in CANDIDATES:
            file = folder / f"{kind.name}.safetensors"
            if file.exists():
                candidate = kind(model.config)
                candidate.restore(load_file(file))
                model.candidates.append(candidate)
        return model
