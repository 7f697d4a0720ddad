"""What keeps e-mail addresses out of logs and reports: some shops use them as customer ids, and messages quote values.

Tables keep the ids as they are; only what is shown is masked.
"""

from __future__ import annotations

import hashlib
import re

from include.sql import literal

# Lengths are bounded, so that no text takes longer than in proportion to its length.
EMAIL = re.compile(r"[\w+%&-][\w.+%&'-]{0,63}(?:@|%40)[\w.-]{1,255}\.[^\W\d_]{2,}")

EMAIL_SQL = literal(EMAIL.pattern)  # the same for DuckDB, as an SQL string


# A metric of a part of the customers or products, ndcg@10.segment=loyal, reads like an address as far as its sign of equality.
_METRIC_OF_PART = re.compile(r"[a-z_]+@\d{1,3}\.(segment|product_age)=")


def mask_emails(text: str) -> str:
    """The text with every e-mail address in it replaced by [email]."""

    def masked(found: re.Match[str]) -> str:
        return found[0] if _METRIC_OF_PART.match(text, found.start()) else "[email]"

    return EMAIL.sub(masked, text) if "@" in text or "%40" in text else text


def shown_value(value: str) -> str:
    """A value of a table as it may be shown.

    One that is an address and nothing else is shown by a short hash, #ab12cd34, by which it can be told from others and found:
    `WHERE left(sha256(customer_id), 8) = 'ab12cd34'`. In a longer one, addresses are masked.
    """
    if EMAIL.fullmatch(value.strip()):
        return "#" + hashlib.sha256(value.encode()).hexdigest()[:8]
    return mask_emails(value)
