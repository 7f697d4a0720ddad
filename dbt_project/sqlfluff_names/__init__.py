"""What dbt gives to templates and the SQL linter cannot know: the project's variables and the run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

_VARIABLES: dict[str, Any] = yaml.safe_load((Path(__file__).parent.parent / "dbt_project.yml").read_text())["vars"]

dbt_metadata_envs: dict[str, str] = {}
run_started_at = datetime(2026, 1, 1, tzinfo=UTC)


def var(name: str, default: Any = None) -> Any:
    return _VARIABLES.get(name, default)
