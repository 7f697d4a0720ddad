"""Settings: read from the environment, overridden for one run, refused by name where they cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from include.errors import BadSetting
from include.settings import Settings, load_settings


def test_the_environment_sets_and_a_run_overrides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NIGHTSHELF_LIST_LENGTH", "7")
    monkeypatch.setenv("NIGHTSHELF_HOME", str(tmp_path / "a" / ".." / "home"))
    monkeypatch.setenv("NIGHTSHELF_EVENT_WEIGHTS", '{"purchase": 2}')
    settings = load_settings()
    assert (settings.list_length, settings.home, settings.event_weights) == (7, tmp_path / "home", {"purchase": 2.0})
    assert load_settings(list_length=9).list_length == 9
    assert load_settings(list_length=None).list_length == 7, "None overrides nothing"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("list_length", 0),
        ("list_length", 201),
        ("list_length", "many"),
        ("threads", 0),
        ("half_life_days", 0),
        ("min_test_share", 0.6),
        ("models", "forget"),
        ("source", "../secrets"),
        ("shop", "a/b"),
        ("shop", "x'; --"),
        ("replace_shop", "{{ x }}"),
        ("home", "/data/shop[1]/home"),
        ("home", "/data/env=prod/home"),
        ("home", "/data/#1; home"),
        ("tune_trials", "1; rm -rf /"),
        ("event_weights", {"view": 0}),
        ("event_weights", {"view": -1}),
        ("event_weights", {"purchase": 1, "veiw": 1}),
        ("event_weights", {"x' then 9 else 0 end --": 1}),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(name: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSetting, match=name) as refused:
        load_settings(**{name: value})
    assert "NIGHTSHELF_" in refused.value.next_step
    if isinstance(value, int | float | str):
        monkeypatch.setenv(f"NIGHTSHELF_{name.upper()}", str(value))
        with pytest.raises(BadSetting, match=name):
            load_settings()


def test_a_mistyped_event_type_is_named_beside_those_there_are() -> None:
    with pytest.raises(BadSetting, match=r"event_weights\.veiw.*'purchase'.*'view'.*\(got 'veiw'\)"):
        load_settings(event_weights={"purchase": 1, "veiw": 1})


def test_every_bad_value_is_named_at_once() -> None:
    with pytest.raises(BadSetting, match=r"seed.*list_length"):
        load_settings(list_length=0, seed=-1)


def test_an_unknown_override_is_refused() -> None:
    with pytest.raises(BadSetting, match="list_lenght"):
        load_settings(list_lenght=3)


def test_settings_do_not_change_once_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().list_length = 3


def test_every_setting_has_a_sentence() -> None:
    fields = Settings.model_fields
    assert [name for name, field in fields.items() if not (field.description or "").endswith(".")] == []
