"""Put an earlier release back: python -m include.publish.rollback [--release ID] [--list]."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from include.errors import NightError
from include.publish.releases import Release, current_release, list_releases, serve
from include.settings import load_settings


def rollback(home: Path, release_id: str | None = None) -> Release:
    """Serve an earlier release again: the one named, else the latest before the current one, of the same shop.

    The next night publishes as usual.

    Raises:
        NightError: there is no such release; the message lists those there are.
    """
    kept = {release.release_id: release for release in list_releases(home)}
    current = current_release(home)
    if release_id is None:
        earlier = [release for release in kept.values() if current and release.shop == current.shop and release < current]
        if not earlier:
            raise NightError("There is no earlier release to go back to", "Releases appear under releases/ when nights are published.")
        release_id = max(earlier).release_id
    if release_id not in kept:
        raise NightError(f"There is no release {release_id!r}", f"Choose one of: {', '.join(kept) or 'none is kept'}.")
    serve(kept[release_id].path, home / "serving" / "nightshelf.duckdb")
    return kept[release_id]


def main() -> int:
    parser = argparse.ArgumentParser(description="Put an earlier release in front of the readers.")
    parser.add_argument("--release", help="release id; default: the one before the current")
    parser.add_argument("--list", action="store_true", help="only list the releases kept")
    arguments = parser.parse_args()
    home = load_settings().home
    try:
        if not arguments.list:
            rollback(home, arguments.release or None)
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
