"""Which work runs on one thread, and how pieces of it run side by side, so that no sum depends on the number of threads."""

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

AHEAD = 2  # pieces a thread that may be finished or waiting while an earlier one is worked on


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it torch's kernels run on one thread, so that their sums are added in one order whatever the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def side_by_side(work: Callable[[Piece], Result], pieces: Iterable[Piece], threads: int) -> Iterator[Result]:
    """The results of `work`, in the order of the pieces, `threads` of which are worked on at a time, each by one thread.

    Memory does not grow with the number of pieces: of results that nobody has taken yet there are few.
    """
    # torch counts threads in each thread apart
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
