"""Columns of Arrow tables as single arrays."""

from __future__ import annotations

import pyarrow as pa


def whole(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array, whatever its chunks."""
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
