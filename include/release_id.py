"""What a release is called and which code made it."""

from __future__ import annotations

import functools
import hashlib
import json
import subprocess
import tomllib
from pathlib import Path

import pyarrow.parquet as pq

from include.alerts import earlier_alerts
from include.night import Night
from include.settings import CHECKOUT

# Settings that say where and how fast, not what: two nights that differ in them alone make the same release. `score_chunk_rows` is none of
# them: a product of matrices has other last digits for other numbers of rows.
_WITHOUT_EFFECT = {
    "home", "data", "threads", "warehouse_memory_gb", "publish", "keep_releases", "tracking_uri", "replace_shop", "sources",
    "keep_nights", "keep_days", "max_disk_gb",
}  # fmt: skip

_ROOMS = ("dags", "dbt_project", "include", "ml")
_CODE = {".py", ".sql", ".yml", ".yaml", ".csv", ".json", ".html", ".css", ".js"}
_MADE = {"target", "logs", "dbt_packages", "__pycache__"}

LINEAGE = "lineage"


def release_id(night: Night) -> str:
    """The name of the night's release: its key and eight hexadecimal digits of shop, settings, input, code, the models' lineage and
    the alerts that earlier nights left open.

    The same name stands for the same tables. Only to be asked once the night has learned.
    """
    alerts = earlier_alerts(night)
    left_open = hashlib.sha256(alerts.read_bytes()).hexdigest() if alerts.exists() else None
    made = json.dumps([made_from(night), _lineages(night), left_open], sort_keys=True)
    return f"{night.key}-{hashlib.sha256(made.encode()).hexdigest()[:8]}"


def lineage_told(night: Night) -> str:
    """What the night's models went on from, for people: 'recommender 0123456789abcdef after 20261122T020000; …'."""
    return "; ".join(f"{name} {told}" for name, told in _lineages(night).items())


def made_from(night: Night) -> str:
    """A digest of the shop, its settings, tonight's input and the code; without an input before the night has collected."""
    collected = night.folder / "collected.json"
    inputs = json.loads(collected.read_text())["inputs_digest"] if collected.exists() else None
    settings = night.settings.model_dump(mode="json", exclude=_WITHOUT_EFFECT)
    text = json.dumps([night.shop, night.key, settings, inputs, code_digest()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def lineage_of(metrics: Path) -> str:
    """What a model's metrics file of a night says of the model's lineage; '' where it says nothing."""
    found = (pq.read_schema(metrics).metadata or {}) if metrics.exists() else {}
    return str(found.get(LINEAGE.encode(), b"").decode())


def _lineages(night: Night) -> dict[str, str]:
    """The lineage of every model of the night that came to its end, by name."""
    files = sorted(night.predictions.glob("metrics_*.parquet"))
    return {file.stem.removeprefix("metrics_"): lineage_of(file) for file in files}


@functools.cache
def code_digest() -> str:
    """A digest of all that makes a night's tables: the files of dags, dbt_project, include and ml, and the packages' versions."""
    digest = hashlib.sha256((CHECKOUT / "requirements.txt").read_bytes())
    for room in _ROOMS:
        for path in sorted((CHECKOUT / room).rglob("*")):
            parts = path.relative_to(CHECKOUT).parts
            if path.suffix in _CODE and not _MADE.intersection(parts) and path.is_file():
                digest.update("/".join(parts).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@functools.cache
def code_version() -> str:
    """The commit of the checkout as `git describe` names it, or the package's version where there is no git."""
    version: str = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--tags"], cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return version
    return f"{version}+{described.stdout.strip()}"
