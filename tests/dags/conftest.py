"""Airflow writes into its home as soon as it is imported: give it one that is thrown away."""

from __future__ import annotations

import os
import tempfile

_home = tempfile.TemporaryDirectory(prefix="nightshelf-airflow-")
os.environ["AIRFLOW_HOME"] = _home.name
