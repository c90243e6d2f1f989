"""Thread pools that return results in the order of their inputs."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int,
    weigh: Callable[[Item], int],
    max_weight: int,
    max_count: int,
) -> Generator[tuple[Item, Result]]:
    """Compute results in threads ahead of their use, and yield them in order.

    Args:
        work: Function of one item; it must not raise.
        items: The items.
        threads: Number of threads; 0 computes each result when it is requested.
        weigh: Memory of an item's result, in any unit.
        max_weight: Largest total weight of the waiting results; one result may always wait.
        max_count: Largest number of waiting results.

    Yields:
        Each item with its result.
    """
    if threads < 1:
        for item in items:
            yield item, work(item)
        return
    waiting: deque[tuple[Item, Future[Result], int]] = deque()
    waiting_weight = 0
    max_count = max(max_count, threads)
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                weight = weigh(item)
                # yield results until there is room for one more
                while waiting and (
                    waiting_weight + weight > max_weight or len(waiting) >= max_count
                ):
                    first, future, first_weight = waiting.popleft()
                    yield first, future.result()
                    waiting_weight -= first_weight
                waiting.append((item, pool.submit(work, item), weight))
                waiting_weight += weight
            while waiting:
                first, future, _ = waiting.popleft()
                yield first, future.result()
        finally:
            for _, future, _ in waiting:
                future.cancel()


class OrderedThreadPool(Generic[Result]):
    """Thread pool that hands each result, in order, to one consumer thread.

    Args:
        consume: Function that receives each result.
        threads: Number of threads that compute results.
        max_weight: Largest total weight of the waiting results; one result may always wait.
    """

    def __init__(self, consume: Callable[[Result], None], threads: int, max_weight: int) -> None:
        self.consume = consume
        self.max_weight = max_weight
        self.max_count = 4 * max(threads, 1)
        self.pool = ThreadPoolExecutor(max(threads, 1))
        self.waiting: deque[tuple[Future[Result], int]] = deque()
        self.waiting_weight = 0
        self.error: BaseException | None = None
        self.changed = threading.Condition()
        self.closed = False
        self.consumer = threading.Thread(target=self._consume_all, daemon=True)
        self.consumer.start()

    def add(self, weight: int, work: Callable[..., Result], *args: object) -> None:
        """Submit work once there is room for its weight.

        Args:
            weight: Weight of the result, in the unit of ``max_weight``.
            work: Function that computes the result.
            args: Its arguments.

        Raises:
            BaseException: The error of an earlier result or of ``consume``.
        """
        with self.changed:
            self.changed.wait_for(lambda: self.error or self._has_room(weight))
            self._raise_error()
            self.waiting.append((self.pool.submit(work, *args), weight))
            self.waiting_weight += weight
            self.changed.notify_all()

    def drain(self) -> None:
        """Wait until every result is consumed.

        Raises:
            BaseException: The error of an earlier result or of ``consume``.
        """
        with self.changed:
            self.changed.wait_for(lambda: self.error or not self.waiting)
            self._raise_error()

    def close(self) -> None:
        """Stop the threads and drop the waiting results."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        self.pool.shutdown(cancel_futures=True)
        self.consumer.join()

    def _has_room(self, weight: int) -> bool:
        """Return True if a result of this weight may wait."""
        if not self.waiting:
            return True
        fits = self.waiting_weight + weight <= self.max_weight
        return fits and len(self.waiting) < self.max_count

    def _raise_error(self) -> None:
        """Raise the consumer thread's error in the caller's thread."""
        if self.error is not None:
            raise self.error

    def _consume_all(self) -> None:
        """Consume results in order until the pool closes or one of them fails."""
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.closed or self.waiting)
                if self.closed:
                    return
                future, weight = self.waiting[0]
            try:
                self.consume(future.result())
            except BaseException as error:  # raised again in the caller's next add or drain
                with self.changed:
                    self.error = error
                    self.changed.notify_all()
                return
            with self.changed:
                self.waiting.popleft()
                self.waiting_weight -= weight
                self.changed.notify_all()
