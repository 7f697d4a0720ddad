"""Columns of numbers into rows of the store contract."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.collect.contract import load_contract

NONE = -1  # a missing id or time among integers
ARROW_TYPES = {
    "varchar": pa.string(),
    "integer": pa.int32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "decimal(18,3)": pa.decimal128(18, 3),
    "decimal(18,4)": pa.decimal128(18, 4),
}
STEPS = {3: 1000, 4: 100}  # of a decimal in one of what the demo counts in: of a quantity in a piece, of an amount in a cent

Integers = NDArray[np.int64]


@cache
def schema(table: str) -> pa.Schema:
    """The columns and types of a contract table."""
    return pa.schema([(column.name, ARROW_TYPES[column.data_type]) for column in load_contract().table(table).columns])


def rows(table: str, columns: Mapping[str, Any]) -> pa.Table:
    """Rows of one contract table; columns not given are missing.

    Args:
        table: name of a contract table.
        columns: (n,) arrays. Times are seconds since 1970 UTC, amounts are cents and quantities are pieces, all integers; a time of
            NONE is missing.
    """
    names = schema(table)
    length = len(next(iter(columns.values())))
    return pa.table([_column(columns[f.name], f.type) if f.name in columns else pa.nulls(length, f.type) for f in names], schema=names)


def _column(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values.cast(kind)
    if pa.types.is_timestamp(kind):
        return pa.array(np.asarray(values) * 1_000_000, pa.int64(), mask=np.asarray(values) == NONE).cast(kind)
    if pa.types.is_decimal(kind):
        steps = np.asarray(values, dtype=np.int64) * STEPS[kind.scale]
        words = np.stack([steps, steps >> 63], axis=1)  # a 128-bit integer is its low word and its sign
        return pa.Array.from_buffers(kind, len(steps), [None, pa.py_buffer(np.ascontiguousarray(words))])
    return pa.array(values, kind)


def ids(prefix: str, numbers: Integers, width: int = 6) -> pa.Array:
    """(n,) ids such as C000123; NONE becomes missing."""
    digits = pc.utf8_lpad(pa.array(numbers, pa.int64(), mask=numbers == NONE).cast(pa.string()), width, "0")
    return pc.binary_join_element_wise(prefix, digits, "")


def picks(words: tuple[str, ...] | list[str], chosen: Integers) -> pa.Array:
    """(n,) words by their place in the list; NONE becomes missing."""
    return pa.array(words, pa.string()).take(pa.array(chosen, pa.int64(), mask=np.asarray(chosen) == NONE))
