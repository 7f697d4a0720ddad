"""What it would be worth, in figures that nobody should believe, to tell models of past days what the night knows of products.

    python -m tests.benchmarks.bench_leak SHOP [SHOP ...]

A shop is one of bench_nights'. The night's features are made, reviews read, and the recommender is fitted before the test days and judged
on them: as it is, with each product's reviewers as of the moment it is asked about, and once more with the reviewers and repeat buyers of
the night, reviews written in the days that are chosen and judged on among them. One JSON line each; the difference comes with its 95 %
interval, a paired bootstrap over customers.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from unittest.mock import patch

from include.learn.compare import paired_difference
from include.night import Night, parse_as_of
from include.settings import load_settings
from ml.recommend.data import dissatisfaction, repeatability
from ml.recommend.recommender import Recommender
from tests.benchmarks.bench_nights import NIGHTS
from tests.conftest import SHOP_DATA
from tests.whole_night import run


@contextmanager
def leaking() -> Iterator[None]:
    """Statistics of any moment are the night's."""
    find_dissatisfaction, find_repeatable = dissatisfaction._find_dissatisfaction, repeatability._find_repeatable
    with (
        patch.object(dissatisfaction, "_find_dissatisfaction", lambda snapshot, file, before: find_dissatisfaction(snapshot, file, None)),
        patch.object(repeatability, "_find_repeatable", lambda snapshot, before: find_repeatable(snapshot, None)),
    ):
        yield


def lines(shop: str, home: Path) -> Iterator[dict[str, object]]:
    of = NIGHTS[shop]
    settings = load_settings(home=home, shop=shop, source=of.get("source"), data=SHOP_DATA / of["data"] if "data" in of else None)
    night = Night.open(settings, parse_as_of(of["as_of"]))
    run(night, ("land", "collect", "transform", "learn_sentiment", "after_sentiment"))
    config, first = settings.of_model("recommender"), None
    for facts, told in (("as of the moment", nullcontext()), ("of the night", leaking())):
        with told:
            model = Recommender(config)
            model.fit(night.features, home / "cache")
            judged = model.evaluate(night.features, "test", home / "cache")
        row: dict[str, object] = {"shop": shop, "facts": facts, "customers": len(judged.unit_ids), "penalty": model.choice.penalty}
        row |= {"ndcg@10": round(float(judged.unit_scores.mean()), 4), "validation_ndcg@10": round(model.choice.ndcg, 4)}
        if first is None:
            first = judged
        elif list(judged.unit_ids) == list(first.unit_ids):
            found = paired_difference(judged.unit_scores, first.unit_scores, config.seed)
            row |= {"difference": round(found.value, 4), "low": round(found.low, 4), "high": round(found.high, 4)}
        yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shops", nargs="+", choices=sorted(NIGHTS), metavar="SHOP")
    logging.basicConfig(level=logging.WARNING)
    for shop in parser.parse_args().shops:
        with tempfile.TemporaryDirectory(prefix="nightshelf-") as home:
            for row in lines(shop, Path(home)):
                sys.stdout.write(json.dumps(row) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
