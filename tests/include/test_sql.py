"""Hostile texts and names within SQL are texts and names."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from include.sql import identifier, literal

HOSTILE = [
    "",
    "'; DROP TABLE kept; --",
    'a"b""c',
    "it''s",
    "../../etc",
    "{0} {{ 1 }} %s $x ?",
    "line\nbreak\t\\",
    "無線 🎧 \u202e",
    "--",
    "/* */",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_is_itself(text: str) -> None:
    assert duckdb.sql(f"SELECT {literal(text)}").fetchall() == [(text,)]


def test_a_name_is_itself_and_nothing_else_happens() -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        for name in filter(None, HOSTILE):
            connection.execute(f"CREATE TABLE {identifier(name)} ({identifier(name)} VARCHAR)")
            assert connection.execute(f"SELECT * FROM {identifier(name)}").description[0][0] == name
        assert connection.execute("FROM kept").fetchall() == [(1,)]


def test_a_path_is_itself(tmp_path: Path) -> None:
    folder = tmp_path / "it's; --"
    folder.mkdir()
    duckdb.sql(f"COPY (SELECT 1 AS one) TO {literal(folder / 'a.parquet')}")
    assert [path.name for path in folder.iterdir()] == ["a.parquet"]
