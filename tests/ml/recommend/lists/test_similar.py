"""Similar products: behaviour and texts together, searched within bounds and exactly within them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from test_recommender import predicted
from tiny_snapshots import two_tastes, write_snapshot

from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.snapshot import Snapshot
from ml.recommend.lists.similar import text_neighbours


@pytest.fixture
def shop(tmp_path, config) -> tuple[Catalogue, np.ndarray, np.ndarray]:
    """A catalogue of 60 in five categories and none, some unavailable; its text vectors, with twins; its popularity, with ties."""
    rng = np.random.default_rng(4)
    category = rng.integers(-1, 5, 60)
    features = write_snapshot(tmp_path / "features", [], {f"p{p:03d}": {} for p in range(60)})
    names = pa.array([f"g{g}" if g >= 0 else None for g in category])
    catalogue = dataclasses.replace(
        Snapshot(features, config).catalogue, category=category, categories=names, available=rng.random(60) < 0.8
    )
    vectors = rng.normal(size=(60, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[30:34] = vectors[29]
    vectors[7] = 0
    return catalogue, vectors, rng.integers(0, 4, 60).astype(np.float32)


@pytest.mark.parametrize(("most", "rows"), [(1000, 4096), (1000, 7), (5, 4096), (5, 1), (1, 3)])
def test_the_nearest_texts_are_those_of_a_plain_search(shop, config, most, rows):
    catalogue, vectors, popularity = shop
    config = config.model_copy(update={"similar_text_products": most, "score_chunk_rows": rows})
    found = text_neighbours(vectors, catalogue, popularity, 4, config)
    cosine = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    by_popularity = sorted(np.flatnonzero(catalogue.available), key=lambda p: (-popularity[p], p))
    for product in range(60):
        pool = by_popularity
        if len(pool) > most:
            g = catalogue.category[product]
            pool = [p for p in pool if g in (-1, catalogue.category[p])][:most]
        near = [p for p in pool if p != product and cosine[product, p] > 0]
        best = sorted(near, key=lambda p: (-round(cosine[product, p], 6), p))[:4]
        assert found[product][found[product] >= 0].tolist() == best


def test_texts_and_behaviour_add_up(tmp_path, config, rows):
    """Even products are bought together; those of one kind are also described alike: they come first, then the others."""
    kinds = ["acoustic guitar with steel strings", "espresso coffee machine"]
    products = {f"p{p:03d}": {"title": f"T{p}", "text": f"{kinds[p // 2 % 2]} number {p}"} for p in range(20)}
    features = write_snapshot(tmp_path / "features", two_tastes(60, 20), products)
    found = rows(predicted(features, tmp_path, config) / "similar_products.parquet")
    assert {row["strategy"] for row in found} <= {"collaborative", "content"}
    by_both = [row for row in found if row["rank"] == 1]
    numbers = np.array([(int(row["product_id"][1:]), int(row["similar_product_id"][1:])) for row in by_both])
    same_taste, same_kind = np.diff(numbers % 2).ravel() == 0, np.diff(numbers // 2 % 2).ravel() == 0
    assert same_kind.mean() > 0.9 and same_taste.mean() > 0.9


def test_the_lists_do_not_depend_on_the_pieces(tmp_path, config, rows):
    products = {f"p{p:03d}": {"text": f"thing {p % 7} of kind {p % 3}", "category": f"g{p % 2}"} for p in range(30)}
    features = write_snapshot(tmp_path / "features", two_tastes(), products)
    whole = rows(predicted(features, tmp_path / "a", config) / "similar_products.parquet")
    pieces = rows(predicted(features, tmp_path / "b", config.model_copy(update={"score_chunk_rows": 3})) / "similar_products.parquet")
    assert whole == pieces and len(whole) == 90
