"""Quality gates: what must hold before a night may go on, checked by Great Expectations inside DuckDB."""

import os

# Read by Great Expectations when it is imported: nothing about the shop is sent anywhere.
os.environ["GX_ANALYTICS_ENABLED"] = "false"

from include.quality.gate import Gate, check

__all__ = ["Gate", "check"]
