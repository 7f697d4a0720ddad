"""What variety costs: the accuracy of a shop's lists against how varied they are, over the setting `diversity`.

    python -m tests.benchmarks.bench_diversity [--plot docs/diversity.svg] SHOP [SHOP ...]

A shop is one of bench_nights', whose snapshot is made first, or a snapshot folder. The model is fitted once with the nightly's defaults on
what lies before the test days, and judged on them with every value of the setting. Prints one line a value and shop, with what the
validation days chose, and draws the curves.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from ml.recommend.config import RecommenderConfig
from ml.recommend.recommender import Recommender
from tests.benchmarks.bench_recommend import snapshot

VALUES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7)
FIGURES = ("ndcg@10", "diversity@10", "miscalibration@10", "coverage@10", "popularity_bias@10")


def curve(features: Path, cache: Path, threads: int) -> list[dict[str, float]]:
    """A row of figures for each value; the last is popularity's."""
    model = Recommender(RecommenderConfig(threads=threads))
    model.fit(features, cache)
    chosen, model.choice = model.choice.diversity, replace(model.choice, diversity=0.0)
    rows = []
    for value in VALUES:
        model.with_runtime_config(RecommenderConfig(threads=threads, diversity=value))
        found = {metric.name: metric for metric in model.evaluate(features, "test", cache).metrics}
        rows.append(
            {"diversity": value, "chosen": float(value == chosen)}
            | {name: round(found[name].value, 4) for name in FIGURES if name in found}
        )
    popularity = {name: round(found[name].baseline_value or 0.0, 4) for name in FIGURES if name in found}
    return [*rows, {"diversity": -1.0} | popularity]


def draw(curves: dict[str, list[dict[str, float]]], path: Path) -> None:
    """NDCG against variety, a curve a shop, each point with its setting; a cross where popularity stands."""
    mpl.rcParams.update({"svg.hashsalt": "nightshelf", "svg.fonttype": "none", "font.size": 9})
    figure = Figure(figsize=(4.2 * len(curves), 3.4), layout="constrained")
    for axes, (shop, rows) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
        *points, popularity = rows
        axes.plot([p["diversity@10"] for p in points], [p["ndcg@10"] for p in points], marker="o", color="#0f766e")
        for point in points:
            axes.annotate(f"{point['diversity']:g}", (point["diversity@10"], point["ndcg@10"]), xytext=(3, 4), textcoords="offset points")
        axes.plot(popularity["diversity@10"], popularity["ndcg@10"], marker="x", color="#94a3b8", linestyle="")
        axes.annotate("popularity", (popularity["diversity@10"], popularity["ndcg@10"]), xytext=(4, 4), textcoords="offset points")
        axes.set_title(shop, loc="left")
        axes.set_xlabel("pairs of a list in different categories")
        axes.set_ylabel("NDCG@10 on the test days")
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="svg", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shops", nargs="+", metavar="SHOP")
    parser.add_argument("--plot", type=Path, help="SVG file to draw to")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    curves = {}
    for shop in chosen.shops:
        with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as cache:
            curves[Path(shop).name] = curve(snapshot(shop, Path(home)), Path(cache), chosen.threads)
        for row in curves[Path(shop).name]:
            print(Path(shop).name, json.dumps(row), flush=True)
    if chosen.plot:
        draw(curves, chosen.plot)


if __name__ == "__main__":
    main()
