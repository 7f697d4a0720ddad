"""Plots of the morning report, as SVG text that stands inside the page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

mpl.use("svg")
mpl.rcParams.update(
    {"svg.hashsalt": "nightshelf", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
)

INK, ACCENT, MUTED = "#334155", "#0f766e", "#94a3b8"


def model_over_nights(points: Sequence[dict[str, Any]]) -> str:
    """One model's deciding figure on its held-out days, night by night, with the baseline's below it."""
    figure = Figure(figsize=(6.4, 2.4), layout="constrained")
    axes = figure.add_subplot()
    nights = [point["evaluated_at"].strftime("%d %b %Y") for point in points]
    axes.plot(nights, [point["value"] for point in points], color=ACCENT, marker="o", label="champion")
    if points[0]["baseline"]:
        axes.plot(
            nights, [point["baseline_value"] for point in points], color=MUTED, marker="o", linestyle="--", label=points[0]["baseline"]
        )
    axes.set_ylabel(points[0]["metric"])
    highest = max(value for point in points for value in (point["value"], point["baseline_value"]) if value is not None)
    axes.set_ylim(bottom=0, top=1.15 * highest or 1)
    axes.tick_params(colors=INK)
    axes.set_xticks(axes.get_xticks()[:: max(1, len(nights) // 6)])
    axes.set_title(points[0]["model"], loc="left", color=INK)
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2)
    return _svg(figure)


def movement(tenths: Sequence[dict[str, Any]]) -> str:
    """How much of yesterday's list customers keep: a bar for every tenth."""
    figure = Figure(figsize=(6.4, 2.2), layout="constrained")
    axes = figure.add_subplot()
    counts = {row["tenths"]: row["customers"] for row in tenths}
    axes.bar([10 * tenth for tenth in range(11)], [counts.get(tenth, 0) for tenth in range(11)], width=8, color=ACCENT)
    axes.set_xlabel("share of the list kept since the release before, %")
    axes.set_ylabel("customers")
    axes.tick_params(colors=INK)
    return _svg(figure)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
