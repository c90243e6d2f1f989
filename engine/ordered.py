"""Work that is done in threads, and taken in the order in which it was given."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from tqdm import tqdm

Result = TypeVar("Result")


class InOrder(Generic[Result]):
    """Finishes photos in threads while the network goes on, and hands the results on in order, with a progress bar in photos.

    Args:
        take: Gets each result, in the caller's thread.
        threads: How many photos are finished at once.
        total: Photos of the whole job.
        already: How many of them an earlier run has done.
    """

    def __init__(self, take: Callable[[Result], None], threads: int, total: int, already: int) -> None:
        self.take = take
        self.pool, self.limit = ThreadPoolExecutor(max(threads, 1)), 4 * max(threads, 1)
        self.waiting: deque[Future[Result]] = deque()
        self.bar = tqdm(total=total, initial=already, unit="photo", disable=None)

    def add(self, work: Callable[..., Result], *args: Any) -> None:
        """Begin with one more photo; where too many wait, the first of them is waited for and taken."""
        self.waiting.append(self.pool.submit(work, *args))
        self._drain(self.limit)

    def close(self) -> None:
        """Take everything that waits."""
        try:
            self._drain(0)
        finally:
            self.bar.close()
            self.pool.shutdown(cancel_futures=True)

    def _drain(self, limit: int) -> None:
        while len(self.waiting) > limit:
            self.take(self.waiting.popleft().result())
            self.bar.update()
