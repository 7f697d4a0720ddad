"""How many threads gradients are computed with: their last bits depend on it, and a night is the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

TRAIN_THREADS = 2  # however many a machine has, or a setting allows


@contextmanager
def training_threads() -> Iterator[None]:
    """Within it torch's kernels part their work among `TRAIN_THREADS` threads; a single core does the parts in turn, to the same bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(TRAIN_THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)
