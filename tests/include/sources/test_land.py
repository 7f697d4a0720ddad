"""Landing: the source is found by its name, and what cannot be found is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from include.errors import BadSource
from include.night import Night
from include.settings import load_settings
from include.sources import known_sources, land

OpenNight = Callable[..., Night]


def test_an_unknown_source_is_refused_with_the_known_ones(open_night: OpenNight) -> None:
    with pytest.raises(BadSource) as refused:
        land(open_night(source="no_such_shop"))
    assert "no_such_shop" in refused.value.problem
    assert "demo" in refused.value.next_step and "files" in refused.value.next_step


def test_a_missing_folder_of_files_is_named(open_night: OpenNight, tmp_path: Path) -> None:
    with pytest.raises(BadSource, match="nowhere"):
        land(open_night(source="files", data=tmp_path / "nowhere"))


def test_a_folder_of_files_is_read_in_place(open_night: OpenNight, tmp_path: Path) -> None:
    night = open_night(source="files", data=tmp_path)
    land(night)
    assert night.landing == tmp_path
    assert list(tmp_path.glob("*.parquet")) == []


def test_the_step_is_written_down(open_night: OpenNight) -> None:
    night = open_night(source="demo", demo_customers=3, demo_products=3, demo_days=2)
    land(night)
    (step,) = night.steps()
    assert step["step"] == "land" and step["status"] == "done" and step["notes"]["days_written"] == 2


def test_every_folder_with_a_generator_or_selects_is_a_source() -> None:
    assert {"demo", "files"} <= set(known_sources())
    assert not any(name.startswith("_") for name in known_sources())


def test_the_installations_own_sources_are_known_too(open_night: OpenNight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "our sources"
    (own / "till").mkdir(parents=True)
    (own / "till" / "files.yml").write_text("inputs: {goods: {files: [goods.csv], columns: [sku]}}\n")
    (own / "till" / "products.sql").write_text("select sku as product_id, _file, _row from goods")
    (own / "notes").mkdir()
    (tmp_path / "goods.csv").write_text("sku,x\nA1,\n")
    land(open_night(source="till", data=tmp_path, sources=own))
    monkeypatch.setenv("NIGHTSHELF_SOURCES", str(own))
    assert {"demo", "files", "till"} <= set(known_sources())
    assert "notes" not in known_sources()


@pytest.mark.parametrize("name", ["olist", "demo", "files"])
def test_a_name_in_both_places_is_told_with_both(open_night: OpenNight, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "products.sql").write_text("select 1")
    with pytest.raises(BadSource, match=f"include/sources/{name} and {tmp_path / name}"):
        known_sources(load_settings(sources=tmp_path))


def test_a_missing_folder_of_own_sources_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSource, match=r"no folder .*nowhere"):
        known_sources(load_settings(sources=tmp_path / "nowhere"))
