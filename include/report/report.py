"""Write the morning report of a night: one HTML file that needs no network."""

from __future__ import annotations

import logging
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from include.masking import mask_emails
from include.night import Night, write_atomically
from include.publish import current_release
from include.report import plots
from include.report.figures import NightFigures

log = logging.getLogger(__name__)


def write_report(night: Night) -> Path:
    """Write reports/<shop>-<night>.html, and the same page as reports/latest.html; returns the first.

    It is written for nights that failed too, and then says which step failed, why, and what to do next. Everything that
    comes from the shop is escaped; personal data is not read, and an e-mail address that is in an id, a name of a file or a
    text all the same is masked.
    """
    with night.step("report") as notes:
        figures = NightFigures(night)
        try:
            page = mask_emails(_page(night, figures))
        finally:
            figures.close()
        path = night.reports / f"{night.shop}-{night.key}.html"
        write_atomically(path, page)
        write_atomically(night.reports / "latest.html", page)
        notes["path"] = path.name
    return path


def _page(night: Night, figures: NightFigures) -> str:
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["count"] = lambda number: f"{number:,}" if number is not None else "–"
    environment.filters["cell"] = _cell
    environment.tests["texts"] = lambda value: isinstance(value, list)
    environment.filters["figure"] = lambda number: f"{number:.4f}" if number is not None else "–"
    steps = [step for step in night.steps() if step["step"] != "report"]
    notes = {step["step"]: step["notes"] for step in steps}
    quality = figures.quality()
    over_nights = [list(points) for _, points in groupby(figures.metrics_over_nights(), key=lambda row: (row["model"], row["metric"]))]
    movement = figures.movement()
    return environment.get_template("page.html").render(
        night=night,
        steps=steps,
        longest=max((step["seconds"] for step in steps), default=1) or 1,
        failure=next((step for step in steps if step["status"] == "failed" and step["step"] != "prune"), None),
        not_pruned=next((step for step in steps if step["status"] == "failed" and step["step"] == "prune"), None),
        served=current_release(night.home),
        outcome=notes.get("publish", {}).get("outcome"),
        release_id=notes.get("publish", {}).get("release_id"),
        collected=figures.collected(),
        refused_files=figures.refused_files(),
        quarantined=figures.quarantined(),
        failed_checks=[check for check in quality if not check["success"]],
        offending_rows=[check for check in figures.offending_rows() if check["rows"]],
        passed_checks=sum(check["success"] for check in quality),
        metrics=figures.metrics(),
        model_notes={step: note for step, note in notes.items() if step.startswith("learn_")},
        model_plots=[Markup(plots.model_over_nights(points)) for points in over_nights],  # noqa: S704 - our own SVG
        movement_plot=Markup(plots.movement(movement)) if movement else None,  # noqa: S704 - our own SVG
        sections=figures.sections(),
        customers=figures.customers(),
        totals=figures.totals(),
    )


def _cell(value: Any) -> str:
    """A value of a model's own table, for people."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return value.strftime("%d %b %Y") if isinstance(value, date) else str(value)
