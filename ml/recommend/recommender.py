"""The recommender of a night: candidate generators are fitted on the history and blended by the weights that ranked best on later days.
Where a ranker that learned from later days ranks better, it orders the candidates instead."""

from __future__ import annotations

import json
from collections.abc import Sequence
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

from ml.nightly_model import BEFORE_TEST, EVERYTHING, Evaluation, Metric, NightlyModel, Split
from ml.recommend.candidates.content import Content
from ml.recommend.candidates.contract import CandidateGenerator
from ml.recommend.candidates.fitting import GENERATORS, fit_generators
from ml.recommend.candidates.item_knn import ItemKnn
from ml.recommend.candidates.popularity import Popularity
from ml.recommend.candidates.sequence import SequenceModel
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.holdouts import Holdout, evaluated_users, holdout_of, known_products
from ml.recommend.data.popularity import read_popularity
from ml.recommend.data.product_statistics import ProductStatistics
from ml.recommend.data.snapshot import Snapshot
from ml.recommend.evaluation.evaluate import DECIDING, evaluate_lists
from ml.recommend.lists.nightly_lists import write_lists
from ml.recommend.lists.similar import write_similar
from ml.recommend.ranking.ranker import Ranker, Rows
from ml.recommend.ranking.scoring import ListScorer, scorer_by
from ml.recommend.selection.backtest import backtest_rows
from ml.recommend.selection.choice import RecommenderChoice
from ml.recommend.selection.validation import decide, popularity_alone

# kept whatever their weight: popularity fills up lists, the other two find similar products
ALWAYS = (Popularity.name, ItemKnn.name, Content.name)


class Recommender(NightlyModel):
    """See the module.

    Attributes:
        choice: what validation decided.
        generators: those with a weight and those of ALWAYS. With a ranker, which uses every score, all that suit the shop.
        ranker: None where the blend alone orders.
        _kept: their sequence model, for a later night. While a night fits, those of the night before.
        _learned: what the ranker learned from, until it learns from the test days too. It is not saved.
    """

    name: ClassVar[str] = "recommender"
    deciding: ClassVar[str] = DECIDING
    saved_format: ClassVar[int] = 2

    def __init__(self, config: RecommenderConfig) -> None:
        self.config = config
        self.choice = popularity_alone(config)
        self.products = pa.array([], pa.string())
        self.generators: list[CandidateGenerator] = []
        self._kept: list[SequenceModel] = []
        self.ranker: Ranker | None = None
        self._learned: Sequence[Rows] = ()

    @classmethod
    def unavailable_reason(cls, features: Path, config: object) -> str | None:
        """A reason where there is no catalogue; everything else can be missing."""
        del config
        if pq.read_metadata(features / "products.parquet").num_rows == 0:
            return "the shop has no products yet"
        return None

    @classmethod
    def test_starts_at(cls, features: Path) -> datetime | None:
        splits = pq.read_table(features / "splits.parquet", columns=["split", "starts_at"]).to_pylist()
        return min((row["starts_at"] for row in splits if row["split"] == "test"), default=None)

    # ---- fitting ---------------------------------------------------------------------------------------------------
    def fit(self, features: Path, cache: Path, warm_start: Self | None = None) -> None:
        """See NightlyModel. The generators that the choice was made with saw only training rows; then they are fitted again on all rows
        before the test days. They may continue from the sequence models of `warm_start` (see `SequenceModel.fit`)."""
        torch.set_num_threads(self.config.threads)
        snapshot = Snapshot(features, self.config)
        if warm_start is not None:
            warm_start._align(snapshot, cache)
            self._kept = warm_start._sequences()
        self.choose(snapshot, cache)
        self.fit_chosen(snapshot, BEFORE_TEST, cache)

    def refit(self, features: Path, cache: Path, evaluated: Self) -> None:
        """See NightlyModel. The ranker learns from the test days too, by scores of `evaluated`, which has not seen them."""
        torch.set_num_threads(self.config.threads)
        snapshot = Snapshot(features, self.config)
        self.choice, self.ranker = evaluated.choice, evaluated._ranker_of_everything(snapshot, cache)
        earlier = evaluated.generators if evaluated.products.equals(snapshot.catalogue.ids) else ()
        self._fit_chosen(snapshot, EVERYTHING, cache, earlier)

    def choose(self, snapshot: Snapshot, cache: Path) -> None:
        """Makes the choice on validation rows, by generators that were fitted on the rows before them.

        Where there were customers to choose on, the model can be evaluated at once. It is then what papers evaluate: a model that has
        learned from nothing later.
        """
        decided = decide(snapshot, cache, self.config, self._kept)
        self.choice, self.ranker, self._learned = decided.choice, decided.ranker, decided.learned
        self.generators, self.products = list(decided.generators), snapshot.catalogue.ids

    def fit_chosen(self, snapshot: Snapshot, splits: Sequence[Split], cache: Path) -> None:
        """Fits the chosen generators on the rows of the splits; the sequence model continues from the one that the choice was made with,
        which is kept for a later night."""
        backtested, self.generators = self.generators, []
        self._fit_chosen(snapshot, splits, cache, [*backtested, *self._kept])
        self._kept = [generator for generator in backtested if isinstance(generator, SequenceModel)]

    def _fit_chosen(self, snapshot: Snapshot, splits: Sequence[Split], cache: Path, earlier: Sequence[CandidateGenerator]) -> None:
        self.products = snapshot.catalogue.ids
        names = None if self.choice.second_stage else {*self.choice.weights, *ALWAYS}
        before, half_life = snapshot.end_of(splits), self.choice.half_life_days
        self.generators = fit_generators(snapshot, cache, before, half_life, self.config, names, earlier)

    def _ranker_of_everything(self, snapshot: Snapshot, cache: Path) -> Ranker | None:
        """The ranker after learning from the test days too, by the scores of this model, which has not seen them."""
        holdout = holdout_of(snapshot, "test")
        if self.ranker is None or not self._learned or not len(evaluated_users(snapshot, holdout, 1)):
            return self.ranker
        self._align(snapshot, cache)
        rows = backtest_rows(snapshot, holdout, self.generators, self.config)
        return Ranker.fit(Rows.joined([rows, *self._learned]), self.config)

    # ---- scoring ---------------------------------------------------------------------------------------------------
    def _scorer(self, snapshot: Snapshot, allowed: np.ndarray, statistics: ProductStatistics) -> ListScorer:
        """Scores with the model's own generators by its choice, for the time from the moment of the statistics on."""
        return scorer_by(self.choice, self.generators, snapshot.catalogue, statistics, allowed, self.config, self.ranker)

    def _sequences(self) -> list[SequenceModel]:
        """Those that a later night may continue from: the one that was evaluated and the one that the choice was made with."""
        return [*self._kept, *(generator for generator in self.generators if isinstance(generator, SequenceModel))]

    def _popularity(self) -> np.ndarray:
        return next(c.worth for c in self.generators if type(c) is Popularity)

    def _align(self, snapshot: Snapshot, cache: Path) -> None:
        """Renumbers the products as in the snapshot. Products that it was not fitted on are known only by their texts."""
        ids = snapshot.catalogue.ids
        if ids.equals(self.products):
            return
        place = pc.index_in(ids, self.products).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        for generator in (*self.generators, *self._kept):
            generator.align(place, snapshot.catalogue, cache)
        self.products = ids

    def evaluate(self, features: Path, split: Split, cache: Path) -> Evaluation:
        """See NightlyModel and `evaluate_lists`. Customers without a history before the split get what is popular, as in the baseline."""
        torch.set_num_threads(self.config.threads)
        snapshot = Snapshot(features, self.config)
        self._align(snapshot, cache)
        holdout = holdout_of(snapshot, split)
        known, statistics = known_products(snapshot, holdout), ProductStatistics.read(snapshot, holdout.starts_at)
        model = self._scorer(snapshot, known, statistics)
        baselines = {
            "popularity": scorer_by(popularity_alone(self.config), self.generators, snapshot.catalogue, statistics, known, self.config),
            "popularity_7_days": self._lately(snapshot, holdout, known),
        }
        evaluated = evaluate_lists(
            snapshot, holdout, split, model, baselines, evaluated_users(snapshot, holdout, self.config.max_judged_customers)
        )
        return replace(evaluated, metrics=[*evaluated.metrics, *self._choice_metrics()])

    def _choice_metrics(self) -> list[Metric]:
        """The figures that decided whether the ranker is used."""
        if not self.choice.held_out:
            return []
        return [
            Metric("second_stage", float(self.choice.second_stage)),
            Metric("second_stage_stretches", float(self.choice.stretches)),
            Metric(f"validation_{DECIDING}", self.choice.held_out_ndcg, "blend", self.choice.held_out_blend_ndcg),
        ]

    def _lately(self, snapshot: Snapshot, holdout: Holdout, allowed: np.ndarray) -> ListScorer:
        """What everybody wanted in the week before the holdout, then what is popular: the usual baseline of splits by time."""
        lately = Popularity(self.config)
        lately.worth = read_popularity(snapshot, half_life_days=36500, before=holdout.starts_at, last_days=7)["all"]
        return ListScorer([lately], np.ones(1), np.ones(len(allowed), np.float32), self._popularity(), allowed, self.config)

    def predict(self, features: Path, out: Path, cache: Path, previous: Path | None = None) -> dict[str, int]:
        """Writes recommendations, recommendations_by_category, recommendations_default and similar_products."""
        del previous  # every list depends on the whole night, so none can be reused
        torch.set_num_threads(self.config.threads)
        snapshot = Snapshot(features, self.config)
        self._align(snapshot, cache)
        scorer = self._scorer(snapshot, snapshot.catalogue.available, ProductStatistics.read(snapshot, None))
        out.mkdir(parents=True, exist_ok=True)
        content = next((generator for generator in self.generators if isinstance(generator, Content)), None)
        rows = write_lists(snapshot, scorer, self.choice.half_life_days, content, out)
        return rows | write_similar(snapshot, self.generators, self._popularity(), out)

    # ---- saving ----------------------------------------------------------------------------------------------------
    def save(self, folder: Path) -> None:
        """Writes config.json, choice.json, products.parquet, one safetensors file a generator, the ranker's files where there is one, and
        rehearsed.safetensors: the sequence model that the choice was made with, for a later night to continue from."""
        (folder / "config.json").write_text(self.config.model_dump_json(indent=2))
        (folder / "choice.json").write_text(json.dumps(asdict(self.choice), indent=2))
        pq.write_table(pa.table({"product_id": self.products}), folder / "products.parquet")
        if self.ranker is not None:
            self.ranker.save(folder)
        named = [*((generator.name, generator) for generator in self.generators), *(("rehearsed", model) for model in self._kept)]
        for name, generator in named:
            save_file({k: np.ascontiguousarray(v) for k, v in generator.arrays().items()}, folder / f"{name}.safetensors")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model as `save` left it."""
        model = cls(RecommenderConfig.model_validate_json((folder / "config.json").read_text()))
        model.choice = RecommenderChoice(**json.loads((folder / "choice.json").read_text()))
        model.products = cast(pa.StringArray, pq.read_table(folder / "products.parquet")["product_id"].combine_chunks())
        if model.choice.second_stage:
            model.ranker = Ranker.load(folder)
        for kind in GENERATORS:
            file = folder / f"{kind.name}.safetensors"
            if file.exists():
                generator = kind(model.config)
                generator.restore(load_file(file))
                model.generators.append(generator)
        if (folder / "rehearsed.safetensors").exists():
            model._kept = [SequenceModel(model.config)]
            model._kept[0].restore(load_file(folder / "rehearsed.safetensors"))
        return model
