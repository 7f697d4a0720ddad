"""The contract of a candidate generator, which scores every product for a customer. Each kind has a file of its own.

A generator learns from the training customers' histories and scores for other histories: later ones, or other customers'. Scores of
different generators are not comparable; the blend brings them to one scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np

from ml.recommend.config import RecommenderConfig
from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.histories import History

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Training:
    """What a generator may learn from.

    Attributes:
        catalogue: the P products.
        history: the consenting customers' histories in the splits to learn from, and in no others.
        popularity: (P,) decayed popularity over the same splits.
        cache: folder that outlives the night, for text vectors.
        earlier: generators fitted before on the same catalogue, which a fit may continue from.
    """

    catalogue: Catalogue
    history: History
    popularity: np.ndarray
    cache: Path
    earlier: Sequence[CandidateGenerator] = ()


class CandidateGenerator(Protocol):
    """One kind of generator. `strategy` is the name that rows of lists carry where it contributed most."""

    name: ClassVar[str]
    strategy: ClassVar[str]

    def __init__(self, config: RecommenderConfig) -> None: ...

    def suits(self, catalogue: Catalogue, history: History) -> bool:
        """Whether the data to learn from has what it needs."""

    def fit(self, training: Training) -> None:
        """Learn."""

    def score(self, asked: History) -> np.ndarray:
        """(n, P) float32 scores of every product for n customers, 0 or less where it knows nothing."""

    def affinity(self, asked: History, customers: np.ndarray, picks: np.ndarray, past: np.ndarray) -> np.ndarray | None:
        """How much each past product speaks for each pick: for reasons.

        Args:
            asked: the histories that were scored.
            customers: (r,) rows of `asked`.
            picks: (r,) products recommended.
            past: (r, h) products of the customer's history, latest first, -1 where it is shorter.

        Returns:
            (r, h) affinities, 0 where there is none; None where the generator gives no product as a reason.
        """

    def arrays(self) -> Arrays:
        """The fitted state."""

    def restore(self, arrays: Arrays) -> None:
        """Take over the state that `arrays` returned."""

    def align(self, fitted: np.ndarray, catalogue: Catalogue, cache: Path) -> None:
        """Move to a catalogue other than the one it was fitted on.

        Args:
            fitted: (P,) number each product had when fitting, -1 for a new one.
            catalogue: the catalogue from now on.
            cache: as in `Training`.
        """
