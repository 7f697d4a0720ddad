"""Similar products: wanted by the same customers, similar in their texts, and popular in the same category where neither is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp

from ml.recommend.candidates.content import Content
from ml.recommend.candidates.contract import CandidateGenerator
from ml.recommend.candidates.item_knn import ItemKnn
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.snapshot import Snapshot
from ml.recommend.lists.categories import Members
from ml.recommend.lists.rules import Rules
from ml.recommend.ranking.inner_products import InnerProducts
from ml.recommend.ranking.scoring import FILL

# behaviour counts more than texts where there is any
CONTENT_WEIGHT = np.float32(0.5)
# nearest texts considered for each place in a list
TEXTS_PER_PLACE = 2

SIMILAR = pa.schema(
    [
        ("product_id", pa.string()),
        ("rank", pa.int32()),
        ("similar_product_id", pa.string()),
        ("score", pa.float64()),
        ("strategy", pa.string()),
    ]
)


def write_similar(snapshot: Snapshot, generators: Sequence[CandidateGenerator], popularity: np.ndarray, out: Path) -> dict[str, int]:
    """Writes similar_products.parquet: for every product up to `similar_length` available others. Returns its number of rows.

    None has a higher minimum age than the product itself, so that everybody who may see the product may see them.
    """
    catalogue, config = snapshot.catalogue, snapshot.config
    count, length = len(catalogue), config.similar_length
    minimum_age = Rules.of(snapshot).minimum_age
    behaviour = next((c.weights for c in generators if isinstance(c, ItemKnn)), sp.csr_matrix((count, count), dtype=np.float32))
    vectors = next((c.vectors for c in generators if isinstance(c, Content)), np.zeros((count, 0), np.float32))
    in_text = text_neighbours(vectors, catalogue, popularity, TEXTS_PER_PLACE * length, config)
    in_category = _popular_in_category(catalogue, popularity, length + 1)
    pairs_each = config.neighbours + (TEXTS_PER_PLACE + 1) * length + 1
    block = max(1, min(config.score_chunk_rows, config.score_chunk_mb * 2**20 // (2 * 4 * (1 + vectors.shape[1]) * pairs_each)))
    written = 0
    with pq.ParquetWriter(out / "similar_products.parquet", SIMILAR, compression="zstd") as writer:
        for begin in range(0, count, block):
            rows = np.arange(begin, min(begin + block, count))
            liked, popular = behaviour[rows].tocoo(), in_category[rows].tocoo()
            row, nth = np.nonzero(in_text[rows] >= 0)
            keys = [
                liked.row * np.int64(count) + liked.col,
                popular.row * np.int64(count) + popular.col,
                row * np.int64(count) + in_text[rows][row, nth],
            ]
            pairs = np.unique(np.concatenate(keys))
            row, column = np.divmod(pairs, count)
            by_behaviour = np.zeros(len(pairs), np.float32)
            by_behaviour[np.searchsorted(pairs, keys[0])] = liked.data
            by_category = np.zeros(len(pairs), np.float32)
            by_category[np.searchsorted(pairs, keys[1])] = popular.data
            # pair by pair, so that a score does not depend on how a matrix product is cut into blocks and threads
            cosine = np.einsum("ij,ij->i", vectors[row + begin], vectors[column])
            by_content = np.maximum(cosine, 0) * CONTENT_WEIGHT
            score = by_behaviour + by_content + by_category
            may_be_seen = catalogue.available[column] & (minimum_age[column] <= minimum_age[row + begin])
            usable = np.flatnonzero((score > 0) & may_be_seen & (column != row + begin))
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


def text_neighbours(
    vectors: np.ndarray, catalogue: Catalogue, popularity: np.ndarray, length: int, config: RecommenderConfig
) -> np.ndarray:
    """(P, length) int32 the available products whose texts are nearest, best first, -1 where there are fewer.

    All available products are searched while they are at most `similar_text_products`. In a larger catalogue only those of the product's
    category are searched, the most popular ones where they are more than that (for a product without a category, the most popular of
    the catalogue). Time then grows with the number of products, not with its square. The search among these is exact.

    Args:
        vectors: (P, d) of length 1 or 0; d may be 0.
        popularity: (P,) decides which products are searched.
        length: neighbours a product.
    """
    count, most = len(catalogue), config.similar_text_products
    found = np.full((count, length), -1, np.int32)
    if not vectors.shape[1]:
        return found
    shown = np.flatnonzero(catalogue.available)
    by_popularity = shown[np.lexsort((shown, -popularity[shown]))]
    groups = [(np.arange(count), shown)]
    if len(shown) > most:
        category, members = catalogue.category[by_popularity], Members.of(catalogue.category)
        pools = Members.of(category)
        groups = [(np.flatnonzero(catalogue.category < 0), by_popularity[:most])]
        for number, size in enumerate(pools.sizes):  # Members keeps their order, so the most popular are the first
            pool = by_popularity[pools.products[pools.starts[number] : pools.starts[number] + min(size, most)]]
            begin = members.starts[number]
            groups.append((members.products[begin : begin + members.sizes[number]], pool))
    for asking, pool in groups:
        pool = np.sort(pool)
        search = InnerProducts(vectors[pool], config.threads)
        for begin in range(0, len(asking) if len(pool) else 0, config.score_chunk_rows):
            rows = asking[begin : begin + config.score_chunk_rows]
            itself = np.minimum(np.searchsorted(pool, rows), len(pool) - 1)
            own = np.flatnonzero(pool[itself] == rows)
            nearest, _ = search.best(vectors[rows], length, (own, itself[own]))
            found[rows] = np.where(nearest >= 0, pool[nearest], -1)
    return found


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
