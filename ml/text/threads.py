"""The number of threads for gradients. Their last bits depend on it, so it is the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

TRAIN_THREADS = 2  # whatever the machine has and the settings allow


@contextmanager
def training_threads() -> Iterator[None]:
    """Runs torch's kernels on `TRAIN_THREADS` threads. A single core does their parts in turn, with the same bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(TRAIN_THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)
