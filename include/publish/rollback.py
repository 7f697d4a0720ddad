"""Put an earlier release back: python -m include.publish.rollback [--release ID] [--list]."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from include.errors import NightError
from include.publish.releases import Release, current_release, list_releases, serve
from include.publish.replacing import customers_of, is_replaceable
from include.settings import load_settings


def rollback(home: Path, release_id: str | None = None, replace_shop: str | None = None) -> Release:
    """Serve an earlier release again: the one named, else the latest before the current one, of the same shop.

    A release's id does not say which shop it is of, so another shop's takes the same confirmation as its night would. The
    next night publishes as usual.

    Args:
        replace_shop: the setting of that name.

    Raises:
        NightError: there is no such release, or it is another shop's; the message lists those there are.
    """
    kept = {release.release_id: release for release in list_releases(home)}
    current = current_release(home)
    if release_id is None:
        earlier = [release for release in kept.values() if current and release.shop == current.shop and release < current]
        if not earlier:
            raise _nothing_earlier(list(kept.values()), current)
        release_id = max(earlier).release_id
    if release_id not in kept:
        raise NightError(f"There is no release {release_id!r}", f"Choose one of: {', '.join(kept) or 'none is kept'}.")
    chosen = kept[release_id]
    if current and current.shop != chosen.shop and not is_replaceable(current, replace_shop):
        raise NightError(
            f"Release {release_id} is of shop {chosen.shop} ({customers_of(chosen):,} customers), and served is another shop,"
            f" {current.shop} ({customers_of(current):,} customers)",
            f"If that shop is to go, confirm it: NIGHTSHELF_REPLACE_SHOP={current.shop} make rollback RELEASE={release_id}",
        )
    serve(chosen.path, home / "serving" / "nightshelf.duckdb")
    return chosen


def _nothing_earlier(kept: list[Release], current: Release | None) -> NightError:
    others = [release for release in kept if current and release.shop != current.shop]
    if not current or not others:
        return NightError("There is no earlier release to go back to", "Releases appear under releases/ when nights are published.")
    latest = max(others)
    return NightError(
        f"There is no earlier release of shop {current.shop} to go back to",
        f"To serve another shop instead, name its release, such as that of {latest.shop}: make rollback RELEASE={latest.release_id}",
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Put an earlier release in front of the readers.")
    parser.add_argument("--release", help="release id; default: the one before the current")
    parser.add_argument("--list", action="store_true", help="only list the releases kept")
    arguments = parser.parse_args()
    settings = load_settings()
    home = settings.home
    try:
        if not arguments.list:
            rollback(home, arguments.release or None, settings.replace_shop)
    except NightError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    current = current_release(home)
    for release in list_releases(home):
        mark = "served" if current and current.release_id == release.release_id else ""
        sys.stdout.write(f"{release.release_id}  as of {release.as_of:%Y-%m-%d %H:%M}  {release.shop}  {mark}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
