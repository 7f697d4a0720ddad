"""What is served is not taken away unasked: not by another shop, and not by the same shop without most of its customers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from include.errors import GateRefused, NightError
from include.night import Night
from include.publish import Release, current_release, list_releases, publish, require_may_replace
from include.publish.rollback import rollback

ReadyNight = Callable[..., Night]


def served(night: Night) -> Release:
    release = current_release(night.home)
    assert release
    return release


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """The folders of two days of deliveries."""
    return [tmp_path / "deliveries" / day for day in ("2026-11-27", "2026-11-28")]


def test_another_data_folder_is_another_shop_and_takes_nobody_s_place(ready_night: ReadyNight, folders: list[Path]) -> None:
    first = ready_night("2026-11-27", customers=60, source="files", data=folders[0])
    publish(first)
    second = ready_night("2026-11-28", customers=2, source="files", data=folders[1])
    with pytest.raises(GateRefused) as at_once:
        require_may_replace(second)
    with pytest.raises(GateRefused) as at_the_end:
        publish(second)
    for refused in (at_once.value, at_the_end.value):
        assert first.shop in refused.problem and second.shop in refused.problem and "60 customers" in refused.problem
        assert f"NIGHTSHELF_SHOP={first.shop}." in refused.next_step and f"NIGHTSHELF_REPLACE_SHOP={first.shop}." in refused.next_step
    assert "it has had no release yet" in at_once.value.problem
    assert "tonight's release has 2 and none of 58 of those" in at_the_end.value.problem
    assert served(first).shop == first.shop and len(list_releases(first.home)) == 1
    assert not list(first.releases.glob(".*"))

    with pytest.raises(GateRefused, match="NIGHTSHELF_REPLACE_SHOP names tea, which is not the shop being served"):
        publish(ready_night("2026-11-28", customers=2, source="files", data=folders[1], replace_shop="tea"))


def test_a_confirmed_replacement_is_published_and_told(
    ready_night: ReadyNight, folders: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    first = ready_night("2026-11-27", customers=60, source="files", data=folders[0])
    publish(first)
    second = ready_night("2026-11-20", customers=2, source="files", data=folders[1], replace_shop=first.shop)
    require_may_replace(second)
    publish(second)
    told = f"in place of shop {first.shop}, release {first.key}-0123abcd: 2 customers after 60, of whom 58 have no list any more"
    assert second.steps()[-1]["notes"]["outcome"] == f"published {told}" and told in caplog.text
    assert served(second).shop == second.shop, "also where it stands for an earlier moment"

    third = ready_night("2026-11-21", customers=2, source="files", data=folders[1], replace_shop=first.shop)
    publish(third)
    assert third.steps()[-1]["notes"]["outcome"] == "published", "the confirmation may stay; there is nothing to tell any more"


def test_the_same_shop_in_another_folder_keeps_its_name_and_most_of_its_customers(ready_night: ReadyNight, folders: list[Path]) -> None:
    first = ready_night("2026-11-27", customers=60, source="files", data=folders[0])
    publish(first)
    publish(ready_night("2026-11-28", customers=30, source="files", data=folders[1], shop=first.shop))
    assert served(first).as_of.day == 28
    few = ready_night("2026-11-29", customers=2, source="files", data=folders[1], shop=first.shop)
    require_may_replace(few)
    with pytest.raises(GateRefused) as refused:
        publish(few)
    assert refused.value.problem == (
        f"Shop {first.shop} is served to 30 customers (release 20261128T000000-0123abcd) and tonight's release has 2: 28 (93%) would be"
        " left without a list, more than max_customers_lost = 0.5"
    )
    assert "NIGHTSHELF_MAX_CUSTOMERS_LOST=0.94" in refused.value.next_step
    assert served(first).as_of.day == 28
    publish(ready_night("2026-11-29", customers=2, source="files", data=folders[1], shop=first.shop, max_customers_lost=0.94))
    assert served(first).as_of.day == 29


def test_the_same_night_without_most_customers_does_not_replace_itself(ready_night: ReadyNight) -> None:
    publish(ready_night("2026-03-01", customers=60))
    with pytest.raises(GateRefused, match="60 customers"):
        publish(ready_night("2026-03-01", customers=2))
    with pytest.raises(GateRefused, match="60 customers"):
        publish(ready_night("2026-03-02", customers=0))
    with duckdb.connect(str(served(ready_night("2026-03-03")).path), read_only=True) as release:
        assert release.execute("SELECT count(DISTINCT customer_id) FROM recommendations").fetchall() == [(60,)]


def test_a_backfill_that_is_not_swapped_in_is_not_compared(ready_night: ReadyNight) -> None:
    publish(ready_night("2026-03-02", customers=60))
    backfill = ready_night("2026-03-01", customers=2)
    require_may_replace(backfill)
    publish(backfill)
    assert served(backfill).as_of.day == 2 and len(list_releases(backfill.home)) == 2


def test_the_demo_gives_way_to_a_shop_and_takes_no_shop_s_place(ready_night: ReadyNight, folders: list[Path]) -> None:
    publish(ready_night("2026-03-01", customers=1500))
    shop = ready_night("2014-07-24", customers=2, source="amazon_reviews", data=folders[0])
    require_may_replace(shop)
    publish(shop)
    assert served(shop).shop == shop.shop
    demo = ready_night("2026-03-02", customers=1500)
    for step in (require_may_replace, publish):
        with pytest.raises(GateRefused) as refused:
            step(demo)
        assert "NIGHTSHELF_SHOP=" not in refused.value.next_step, "the demo is never that shop"
        assert "NIGHTSHELF_REPLACE_SHOP=" in refused.value.next_step and "NIGHTSHELF_HOME" in refused.value.next_step
        assert "1,500" in refused.value.problem, "its customers tonight, or those of its last release"
    publish(ready_night("2026-03-02", customers=1500, replace_shop=shop.shop))
    assert served(shop).shop == "demo"


def test_a_dry_run_is_told_and_not_stopped(ready_night: ReadyNight, folders: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    publish(ready_night("2026-11-27", customers=60, source="files", data=folders[0]))
    with caplog.at_level(logging.WARNING):
        for settings in ({"data": folders[1]}, {"data": folders[0]}):
            caplog.clear()
            night = ready_night("2026-11-28", customers=2, source="files", publish=False, **settings)
            require_may_replace(night)
            publish(night)
            assert "publishing it would be refused. Shop " in caplog.text and "60 customers" in caplog.text
            assert night.steps()[-1]["notes"]["outcome"].startswith(
                "dry run: built and checked, not published; publishing it would be refused"
            )
            assert (night.folder / "dry_run.duckdb").exists()
    assert served(night).as_of.day == 27


def test_rollback_across_shops_takes_the_same_confirmation(ready_night: ReadyNight, folders: list[Path]) -> None:
    first = ready_night("2026-11-27", customers=60, source="files", data=folders[0])
    publish(first)
    second = ready_night("2026-11-28", customers=2, source="files", data=folders[1], replace_shop=first.shop)
    publish(second)
    before = f"{first.key}-0123abcd"
    with pytest.raises(NightError, match=rf"no earlier release of shop {second.shop}[\s\S]*make rollback RELEASE={before}"):
        rollback(first.home)
    with pytest.raises(
        NightError, match=rf"of shop {first.shop}[\s\S]*NIGHTSHELF_REPLACE_SHOP={second.shop} make rollback RELEASE={before}"
    ):
        rollback(first.home, before)
    assert served(first).shop == second.shop
    assert rollback(first.home, before, replace_shop=second.shop).shop == first.shop
    assert served(first).shop == first.shop
