"""A night's feature snapshot: its Parquet files behind one database connection, its catalogue, its splits and its moments.

The other files of this room read from it what their name says. All set logic is SQL over the Parquet files; nothing loops over customers or
rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from ml.nightly_model import Split
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.catalogue import Catalogue, read_catalogue


class Snapshot:
    """One snapshot folder.

    Attributes:
        folder: the snapshot's folder of Parquet files.
        config: threads, memory and the history's length.
        db: a connection that has the view `catalogue`: product_id, product (its number) and known_at.
        catalogue: the products.
        starts_at: when each split starts.
        as_of: the moment of the night.
    """

    def __init__(self, folder: Path, config: RecommenderConfig) -> None:
        self.folder = folder
        self.config = config
        self.db = duckdb.connect(config={"threads": config.threads, "memory_limit": f"{config.memory_gb}GB"})
        self.catalogue: Catalogue = read_catalogue(self.db, self.file("products"))
        numbers = np.arange(len(self.catalogue), dtype=np.int32)
        known_at = self.catalogue.known_at
        self.db.register("catalogue", pa.table({"product_id": self.catalogue.ids, "product": numbers, "known_at": known_at}))
        rows = self.db.execute("select split, starts_at, ends_at from read_parquet(?)", [self.file("splits")]).fetchall()
        self.starts_at: dict[str, datetime] = {split: starts_at for split, starts_at, _ in rows}
        self.as_of: datetime = max(ends_at for *_, ends_at in rows)
        self._made: dict[tuple[str, datetime | None], np.ndarray] = {}

    def file(self, name: str) -> str:
        """The path of one of its files, by the name without '.parquet'."""
        return str(self.folder / f"{name}.parquet")

    def end_of(self, splits: Sequence[Split]) -> datetime | None:
        """The moment at which the rows of the splits end; None where that is the end of all rows."""
        if "test" in splits:
            return None
        return self.starts_at["test" if "validation" in splits else "validation"]

    def moment(self, before: datetime | None) -> int:
        """Microseconds since 1970 of a moment; None is the night's."""
        return int(np.datetime64(before or self.as_of, "us").astype(np.int64))

    def once(self, key: tuple[str, datetime | None], make: Callable[[], np.ndarray]) -> np.ndarray:
        """What `make` returns, made on the first call with a key and kept for later ones."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]
