"""The same nights by two checkouts, in turn: whether the releases hold the same rows, and what they cost.

    python -m tests.benchmarks.bench_two_builds CHECKOUT SHOP [SHOP ...] [--repeats 1] [--nights 1]

CHECKOUT is a folder with another version of the project (a git worktree); it runs with this one's installed packages. A shop is one of
bench_nights'. Each build runs the shop's night in an empty home, and with `--nights 2` the night after it, which brings a day of the demo
shop and nothing new of a real one. Builds take turns, so that what else the machine does meets both. One JSON line a shop: median seconds
and peak memory by build and night, their ratios, and the tables of the last night that differ, row for row. A release's own row, what its
gates found and release_id are not compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from include.night import parse_as_of
from tests.benchmarks.bench_nights import NIGHTS, run_night
from tests.conftest import CHECKOUT
from tests.whole_night import tables

NOT_COMPARED = {"release", "quality_results"}


def rows_of(release: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every table's rows without release_id, in one order."""
    found = {name: rows for name, rows in tables(release).items() if name not in NOT_COMPARED}
    return {name: sorted((tuple(v for v in row if v != release.stem) for row in rows), key=repr) for name, rows in found.items()}


def nights_of(shop: str, count: int) -> list[dict[str, str]]:
    """The shop's night, and the nights after it."""
    first = parse_as_of(NIGHTS[shop]["as_of"])
    return [NIGHTS[shop] | {"as_of": (first + timedelta(days=day)).isoformat()} for day in range(count)]


def run(checkout: Path, nights: list[dict[str, str]]) -> tuple[list[dict[str, Any]], dict[str, list[tuple[Any, ...]]]]:
    """The figures of each night, and the rows of the last one's release."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        ran = [run_night(home, night, checkout=checkout) for night in nights]
        return ran, rows_of(max((home / "releases").glob("*.duckdb")))


def compare(other: Path, shop: str, repeats: int, count: int) -> dict[str, Any]:
    figures: dict[str, list[list[dict[str, Any]]]] = {"other": [], "this": []}
    for _ in range(repeats):
        rows = {}
        for build, checkout in (("other", other), ("this", CHECKOUT)):
            ran, rows[build] = run(checkout, nights_of(shop, count))
            figures[build].append(ran)
    result: dict[str, Any] = {"shop": shop}
    for night in range(count):
        for figure in ("seconds", "peak_mb"):
            by_build = {build: statistics.median(ran[night][figure] for ran in found) for build, found in figures.items()}
            result |= {f"night_{night + 1}_{figure}_{build}": round(value) for build, value in by_build.items()}
            result[f"night_{night + 1}_{figure}_ratio"] = round(by_build["this"] / by_build["other"], 3)
    names = rows["other"].keys() | rows["this"].keys()
    result["tables"] = len(names)
    result["differing"] = sorted(name for name in names if rows["other"].get(name) != rows["this"].get(name))
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("shops", nargs="+", choices=NIGHTS)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--nights", type=int, default=1)
    given = parser.parse_args()
    for shop in given.shops:
        sys.stdout.write(json.dumps(compare(given.checkout.resolve(), shop, given.repeats, given.nights)) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
