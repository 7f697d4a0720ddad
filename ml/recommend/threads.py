"""Work on one thread, and pieces of work side by side, so that no sum depends on the number of threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits

Piece = TypeVar("Piece")
Result = TypeVar("Result")

AHEAD = 2  # pieces per thread that may be finished or waiting while an earlier one is in progress


@contextmanager
def one_thread() -> Iterator[None]:
    """Runs torch's kernels on one thread, so that sums are added in the same order on every machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def side_by_side(work: Callable[[Piece], Result], pieces: Iterable[Piece], threads: int) -> Iterator[Result]:
    """The results of `work`, in the order of the pieces. `threads` pieces are in progress at a time, each on one thread.

    Memory does not grow with the number of pieces, because few results are kept ahead of the caller.
    """
    # torch's number of threads is set for each thread separately
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    waiting: deque[Future[Result]] = deque()
    with one_thread(), threadpool_limits(1, "blas"):
        try:
            for piece in pieces:
                waiting.append(pool.submit(work, piece))
                if len(waiting) > AHEAD * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
