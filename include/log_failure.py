"""What a failed task says last, whatever DAG it is of."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from include.masking import mask_emails

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)


def log_failure(context: Context) -> None:
    """Last line of a failed task's log: which task, why, and what to do."""
    error = context.get("exception")
    cause = getattr(error, "problem", None) or mask_emails(f"{type(error).__name__}: {error}".rstrip(": "))
    next_step = getattr(error, "next_step", "Read the log above, mend the cause, then clear this task or trigger the run again.")
    log.error("Task %s failed. Cause: %s Next: %s", context["ti"].task_id, cause, next_step)
