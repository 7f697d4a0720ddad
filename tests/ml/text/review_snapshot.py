"""A feature snapshot of a few made-up reviews."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

OPTIONAL = {"rating": "integer", "weight": "double"}


def review(number: int, text: str | None, label: str | None, split: str | None) -> dict[str, Any]:
    return {
        "review_id": f"r{number:03d}",
        "product_id": f"p{number % 5}",
        "text": text,
        "text_hash": f"h{number}",
        "label": label,
        "split": split,
        "reviewed_at": f"2026-01-{1 + number % 28:02d} {number % 24:02d}:00:00",
    }


def write(folder: Path, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    columns = "review_id varchar, product_id varchar, text varchar, text_hash varchar, label varchar, split varchar, reviewed_at timestamp"
    columns += "".join(f", {name} {kind}" for name, kind in OPTIONAL.items() if rows and name in rows[0])
    with duckdb.connect() as connection:
        connection.execute(f"create table reviews ({columns})")
        for row in rows:
            connection.execute(f"insert into reviews values ({', '.join('?' * len(row))})", list(row.values()))
        connection.execute(f"copy (select * from reviews order by review_id) to '{folder / 'reviews.parquet'}' (format parquet)")
    return folder
