"""Similar products: alike to those who wanted both, alike in their texts, and popular in the same category where neither is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp
import torch

from ml.recommend.candidates import Candidate
from ml.recommend.content import Content
from ml.recommend.item_knn import ItemKnn
from ml.recommend.scoring import FILL
from ml.recommend.snapshot import Catalogue, Snapshot

# behaviour says more than texts where there is any
CONTENT_WEIGHT = np.float32(0.5)

SIMILAR = pa.schema(
    [
        ("product_id", pa.string()),
        ("rank", pa.int32()),
        ("similar_product_id", pa.string()),
        ("score", pa.float64()),
        ("strategy", pa.string()),
    ]
)


def write_similar(snapshot: Snapshot, candidates: Sequence[Candidate], popularity: np.ndarray, out: Path) -> dict[str, int]:
    """Writes similar_products.parquet: for every product up to `similar_length` available others; returns its rows."""
    catalogue, config = snapshot.catalogue, snapshot.config
    count, length = len(catalogue), config.similar_length
    behaviour = next((c.weights for c in candidates if isinstance(c, ItemKnn)), sp.csr_matrix((count, count), dtype=np.float32))
    vectors = next((torch.from_numpy(c.vectors) for c in candidates if isinstance(c, Content)), None)
    in_category = _popular_in_category(catalogue, popularity, length + 1)
    unavailable = torch.from_numpy(~catalogue.available)
    block = max(1, min(config.score_chunk_rows, config.score_chunk_mb * 2**20 // (4 * 2 * max(1, count))))
    written = 0
    with pq.ParquetWriter(out / "similar_products.parquet", SIMILAR, compression="zstd") as writer:
        for begin in range(0, count, block):
            rows = np.arange(begin, min(begin + block, count))
            liked, popular = behaviour[rows].tocoo(), in_category[rows].tocoo()
            keys = [liked.row * np.int64(count) + liked.col, popular.row * np.int64(count) + popular.col]
            texts = None
            if vectors is not None:
                texts = vectors[begin : begin + len(rows)] @ vectors.T
                texts[:, unavailable] = -1
                texts[np.arange(len(rows)), rows] = -1
                nearest = texts.topk(min(count, length + 1), dim=1).indices.numpy()
                keys.append((np.arange(len(rows))[:, None] * np.int64(count) + nearest).ravel())
            pairs = np.unique(np.concatenate(keys))
            row, column = np.divmod(pairs, count)
            by_behaviour = np.zeros(len(pairs), np.float32)
            by_behaviour[np.searchsorted(pairs, keys[0])] = liked.data
            by_category = np.zeros(len(pairs), np.float32)
            by_category[np.searchsorted(pairs, keys[1])] = popular.data
            by_content = np.zeros(len(pairs), np.float32) if texts is None else np.maximum(texts[row, column].numpy(), 0) * CONTENT_WEIGHT
            score = by_behaviour + by_content + by_category
            usable = np.flatnonzero((score > 0) & catalogue.available[column] & (column != row + begin))
            usable = usable[np.lexsort((column[usable], -score[usable], row[usable]))]
            place = np.arange(len(usable)) - np.searchsorted(row[usable], row[usable])
            kept, place = usable[place < length], place[place < length]
            by_text = np.where(by_content[kept] > 0, "content", "popular_in_category")
            strategy = np.where(by_behaviour[kept] > by_content[kept], "collaborative", by_text)
            batch = pa.RecordBatch.from_arrays(
                [
                    catalogue.ids.take(pa.array(row[kept] + begin)),
                    pa.array(place + 1, pa.int32()),
                    catalogue.ids.take(pa.array(column[kept])),
                    pa.array(score[kept], pa.float64()),
                    pa.array(strategy.tolist(), pa.string()),
                ],
                schema=SIMILAR,
            )
            writer.write_batch(batch)
            written += len(batch)
    return {"similar_products": written}


def _popular_in_category(catalogue: Catalogue, popularity: np.ndarray, length: int) -> sp.csr_matrix:
    """(P, P): for each product the `length` most popular available ones of its category, at most FILL."""
    count = len(catalogue)
    shown = np.flatnonzero((catalogue.category >= 0) & catalogue.available)
    shown = shown[np.lexsort((shown, -popularity[shown], catalogue.category[shown]))]
    category = catalogue.category[shown]
    kept = np.arange(len(shown)) - np.searchsorted(category, category) < length
    shown, category = shown[kept], category[kept]
    best = max(float(popularity.max(initial=0)), 1e-12)
    worth = (FILL * (popularity[shown] / best + 1e-6)).astype(np.float32)
    categories = int(catalogue.category.max(initial=-1)) + 1
    of_category = sp.csr_matrix((worth, (category, shown)), shape=(categories, count))
    known = np.flatnonzero(catalogue.category >= 0)
    belongs = sp.csr_matrix((np.ones(len(known), np.float32), (known, catalogue.category[known])), shape=(count, categories))
    return (belongs @ of_category).tocsr()
