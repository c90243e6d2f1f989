"""Bounded line of requests before one thread that computes."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

SMOOTHING = 0.2
"""Weight of the latest request in the mean of their seconds."""


class Full(Exception):
    """No place in the line is free.

    Args:
        seconds: Time after which one may be.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Line:
    """Requests that wait for one thread, or are computed by it.

    One thread alone uses a device's or a processor's whole speed, and keeps the order.

    Args:
        places: Requests at a time.

    Attributes:
        taken: Places that are taken.
        mean_s: Mean seconds of the latest calls.
        computed_s: Seconds of all calls.
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self.taken = 0
        self.mean_s = 1.0
        self.computed_s = 0.0
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="compute")

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place for a block.

        Raises:
            Full: If there is none.
        """
        if self.taken >= self.places:
            raise Full(max(1, math.ceil(self.taken * self.mean_s)))
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    async def compute(self, work: Callable[[], T]) -> T:
        """Run a function in the thread, in its turn.

        A cancelled call that has not begun is left out.
        """
        return await asyncio.get_running_loop().run_in_executor(self.thread, self._timed, work)

    def _timed(self, work: Callable[[], T]) -> T:
        start = time.monotonic()
        try:
            return work()
        finally:
            seconds = time.monotonic() - start
            self.computed_s += seconds
            self.mean_s += SMOOTHING * (seconds - self.mean_s)

    def close(self) -> None:
        """Wait for what is computed."""
        self.thread.shutdown(wait=True, cancel_futures=True)
