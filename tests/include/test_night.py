"""A night on disk: its moment, its shop, what is kept when it is opened again, and who may write."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.errors import BadSetting, NightOvertaken
from include.night import Night, parse_as_of

OpenNight = Callable[..., Night]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC)),
        (" 2026-11-23T02:00:00Z ", datetime(2026, 11, 23, 2, tzinfo=UTC)),
        ("2026-11-23 02:30", datetime(2026, 11, 23, 2, 30, tzinfo=UTC)),
        ("2026-11-23T01:00:00+02:00", datetime(2026, 11, 22, 23, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read_as_utc(text: str, moment: datetime) -> None:
    assert parse_as_of(text) == moment
    assert parse_as_of(text).tzinfo is UTC


@pytest.mark.parametrize("text", ["", "yesterday", "2026-02-30", "23.11.2026", "2026-11-23T25:00", "0001-01-01T00:00+14:00", "0999-01-01"])
def test_what_is_no_moment_is_named(text: str) -> None:
    with pytest.raises(BadSetting, match="as_of") as refused:
        parse_as_of(text)
    assert repr(text) in refused.value.problem and "2026-11-23" in refused.value.next_step


def test_two_data_folders_never_share_a_shop(open_night: OpenNight, tmp_path: Path) -> None:
    folders = [None, tmp_path / "a" / "shop", tmp_path / "b" / "shop"]
    nights = [open_night(source="files", data=folder) for folder in folders] + [open_night(), open_night(source="olist", data=folders[1])]
    assert len({night.shop for night in nights}) == len({night.warehouse for night in nights}) == len(nights)
    assert open_night(source="files", data=tmp_path / "a" / ".." / "a" / "shop").shop == nights[1].shop, "the same folder is the same shop"
    assert open_night(source="files", data=tmp_path / "a" / "shop", shop="tea").shop == "tea"


def test_a_night_is_loaded_as_it_was_opened(open_night: OpenNight) -> None:
    night = open_night("2026-03-01T02:00:00", list_length=3)
    assert Night.load(night.folder) == night
    assert night.key == "20260301T020000" and night.as_of_sql == "2026-03-01 02:00:00"


def test_opening_the_same_night_again_keeps_its_steps_and_other_settings_clear_them(open_night: OpenNight) -> None:
    night = open_night(list_length=3)
    with night.step("land") as notes:
        notes["rows"] = 7
    again = open_night(list_length=3)
    assert [(step["step"], step["notes"]) for step in again.steps()] == [("land", {"rows": 7})]
    assert open_night(list_length=4).steps() == []


def test_a_step_that_failed_says_why_and_the_last_try_counts(open_night: OpenNight) -> None:
    night = open_night()
    with pytest.raises(BadSetting), night.step("land"):
        raise BadSetting("No such folder", "Make it.")
    (failed,) = night.steps()
    assert (failed["status"], failed["problem"], failed["next_step"]) == ("failed", "No such folder", "Make it.")
    with night.step("land"):
        pass
    assert [step["status"] for step in night.steps()] == ["done"]
    assert len((night.folder / "steps.jsonl").read_text().splitlines()) == 2


def test_a_night_that_was_overtaken_writes_no_more(open_night: OpenNight) -> None:
    night, other = open_night("2026-03-01"), open_night("2026-03-02")
    with pytest.raises(NightOvertaken, match=other.key), night.step("collect"):
        pytest.fail("the step began all the same")
    assert night.steps() == []
    elsewhere = open_night("2026-03-03", shop="another")
    with other.step("collect"), elsewhere.step("collect"):
        pass
    assert [len(each.steps()) for each in (other, elsewhere)] == [1, 1], "another shop's night takes nothing away"
