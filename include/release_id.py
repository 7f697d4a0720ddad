"""What a release is called and which code made it."""

from __future__ import annotations

import functools
import hashlib
import json
import subprocess
import tomllib

from include.night import Night
from include.settings import CHECKOUT

# Settings that say where and how fast, not what: two nights that differ in them alone make the same release. `score_chunk_rows` is none of
# them: a product of matrices has other last digits for other numbers of rows.
_WITHOUT_EFFECT = {
    "home", "data", "threads", "warehouse_memory_gb", "publish", "keep_releases", "tracking_uri",
    "replace_shop",
}  # fmt: skip


def release_id(night: Night) -> str:
    """The name of the night's release: its key and eight hexadecimal digits of shop, settings and input.

    The same input and settings give the same name. Only to be asked once the night has collected.
    """
    collected = json.loads((night.folder / "collected.json").read_text())
    settings = night.settings.model_dump(mode="json", exclude=_WITHOUT_EFFECT)
    made_from = json.dumps([night.shop, settings, collected["inputs_digest"]], sort_keys=True)
    return f"{night.key}-{hashlib.sha256(made_from.encode()).hexdigest()[:8]}"


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
