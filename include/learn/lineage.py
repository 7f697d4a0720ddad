"""What a night's model was made from beyond input, settings and code: the earlier nights' models and what came of them.

The same night run again gives the same tables as long as these are still there; where one is gone or another, the model has another
lineage, and the release another id.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from include.learn.judged import judged_before, told_of
from include.learn.model_store import Kept, Standing
from include.learn.tuned import found_before
from include.night import Night
from include.release_id import LINEAGE, lineage_of, made_from


def lineage(night: Night, name: str, before: Standing, compared_with: Kept | None, previous: Path | None) -> str:
    """The lineage of tonight's model: sixteen hexadecimal digits, and the night it goes on from where there is one.

    Args:
        before: how things stood.
        compared_with: by whom tonight's fresh model is measured.
        previous: folder of the earlier predictions that may be taken over.
    """
    kept = [model.lineage if model else None for model in (before.champion, before.reference, compared_with)]
    judged = [told_of(file)[LINEAGE] for file in judged_before(night, name, compared_with.folder.name)] if compared_with else []
    predicted = lineage_of(previous / f"metrics_{name}.parquet") if previous else None
    text = json.dumps([name, made_from(night), kept, judged, predicted, found_before(night, name)], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{digest} after {before.champion.folder.name}" if before.champion else digest
