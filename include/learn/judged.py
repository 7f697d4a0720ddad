"""What nights found when they judged a fresh model beside the reference, kept for later nights' comparisons.

    models/<name>/judged/<night>.parquet    unit_id, fresh, reference: the scores of each customer or review; whose reference it was and
                                            what the night was made from stand in the file's metadata

Only ids and scores are kept. A comparison reads NIGHTS nights; twice as many are kept, so that a past night run again reads what it read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from include.night import Night

NIGHTS = 30


def keep_judged(night: Night, name: str, told: Mapping[str, str], scores: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """Write down tonight's scores, in place of those of an earlier try, and remove what is too old to be read again.

    Args:
        told: 'reference', the night the reference was fitted in, and 'lineage', what tonight's model was made from.
        scores: (n,) unit ids, the fresh model's scores and the reference's.
    """
    file = _folder(night, name) / f"{night.key}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    private = file.with_suffix(".new")
    pq.write_table(_table(scores).replace_schema_metadata(dict(told)), private, compression="zstd")
    private.replace(file)
    for old in sorted(file.parent.glob("*.parquet"))[: -2 * NIGHTS]:
        old.unlink()


def forget_judged(night: Night, name: str) -> None:
    """Remove what an earlier try of this night found."""
    (_folder(night, name) / f"{night.key}.parquet").unlink(missing_ok=True)


def judged_before(night: Night, name: str, reference: str) -> list[Path]:
    """The files of strictly earlier nights that judged beside this reference, oldest first; at most NIGHTS less tonight's."""
    earlier = sorted(path for path in _folder(night, name).glob("*.parquet") if path.stem < night.key)
    return [path for path in earlier if told_of(path)["reference"] == reference][-(NIGHTS - 1) :]


def told_of(file: Path) -> dict[str, str]:
    """What `keep_judged` was told of a night."""
    found = pq.read_schema(file).metadata or {}
    return {key.decode(): value.decode() for key, value in found.items()}


def pooled(files: list[Path], scores: tuple[np.ndarray, np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(m,) sums by unit over the nights, of the fresh models' scores and of the reference's, the units in the order of their ids.

    Args:
        files: of earlier nights.
        scores: tonight's, as for `keep_judged`.
    """
    all_nights = pa.concat_tables([*(pq.read_table(file).replace_schema_metadata(None) for file in files), _table(scores)])
    summed = all_nights.group_by("unit_id", use_threads=False).aggregate([("fresh", "sum"), ("reference", "sum")]).sort_by("unit_id")
    return summed["fresh_sum"].to_numpy(), summed["reference_sum"].to_numpy()


def _table(scores: tuple[np.ndarray, np.ndarray, np.ndarray]) -> pa.Table:
    ids, fresh, reference = scores
    return pa.table({"unit_id": pa.array(ids.astype(str), pa.string()), "fresh": fresh.astype(float), "reference": reference.astype(float)})


def _folder(night: Night, name: str) -> Path:
    return night.models / name / "judged"
