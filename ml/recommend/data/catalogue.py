"""The catalogue: a shop's products as arrays.

Products are numbered in the order of their ids. The smaller number is therefore the smaller id, and a tie broken by number is broken by id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from ml.recommend.data.arrow_columns import whole


@dataclass(frozen=True)
class Catalogue:
    """The P products of a snapshot, in the order of their ids, as the shop describes them at the night.

    What customers did with the products is not part of it, because that changes every day: see `ProductStatistics`.

    Attributes:
        ids, titles, categories, texts: (P,) strings; title and category may be NULL, text may be ''.
        category, brand: (P,) numbers of the category and of the brand, -1 where there is none.
        price: (P,) in the shop's currency, NaN where there is none.
        available: (P,) bool, as of the night.
        stated_repeatable: (P,) whether the shop says that people buy it again: 1, 0, or -1 where it says nothing.
        known_at: (P,) microseconds since 1970 from which the product is known to exist (first seen or created), 0 where unknown.
    """

    ids: pa.StringArray
    titles: pa.StringArray
    categories: pa.StringArray
    texts: pa.StringArray
    category: np.ndarray
    brand: np.ndarray
    price: np.ndarray
    available: np.ndarray
    stated_repeatable: np.ndarray
    known_at: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


def read_catalogue(db: duckdb.DuckDBPyConnection, products_file: str) -> Catalogue:
    """The catalogue of a products file. Of a product with variants it holds only the one that stands for all of them; events of any
    variant count for that one."""
    query = """
        select
            product_id, title, category, brand, price, coalesce(text, '') as text, is_available,
            coalesce(stated_repeatable::tinyint, -1) as stated_repeatable,
            coalesce(epoch_us(least(created_at, first_seen_at)), 0) as known_at
        from read_parquet(?) where product_id = shown_product_id
        order by product_id
    """
    table = db.execute(query, [products_file]).to_arrow_table().combine_chunks()
    column: dict[str, Any] = {name: whole(table[name]) for name in table.column_names}
    return Catalogue(
        ids=column["product_id"],
        titles=column["title"],
        categories=column["category"],
        texts=column["text"],
        category=_numbered(column["category"]),
        brand=_numbered(column["brand"]),
        price=column["price"].cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False),
        available=column["is_available"].fill_null(True).to_numpy(zero_copy_only=False),
        stated_repeatable=column["stated_repeatable"].to_numpy(),
        known_at=column["known_at"].to_numpy(),
    )


def _numbered(names: pa.Array) -> np.ndarray:
    """(n,) a number for each name, -1 for NULL."""
    return names.cast(pa.string()).dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
