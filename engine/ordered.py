"""Work that is done in threads and taken in the order in which it was given."""

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
    limit: int,
    most: int,
) -> Generator[tuple[Item, Result]]:
    """Do some work in threads ahead of its use, and yield the results in order.

    Args:
        work: What is done with each item; it must not raise.
        items: The items.
        threads: How many at once; 0 does the work when its turn comes.
        weigh: Memory that an item's result takes, in any unit.
        limit: Results are made ahead while they weigh no more than this together; one is always made.
        most: So many results are made ahead at most.
    """
    if threads < 1:
        yield from ((item, work(item)) for item in items)
        return
    waiting: deque[tuple[Item, Future[Result], int]] = deque()
    held = 0
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                weight = weigh(item)
                while waiting and (held + weight > limit or len(waiting) >= max(most, threads)):
                    first, future, freed = waiting.popleft()
                    yield first, future.result()
                    held -= freed
                waiting.append((item, pool.submit(work, item), weight))
                held += weight
            while waiting:
                first, future, _ = waiting.popleft()
                yield first, future.result()
        finally:
            for _, future, _ in waiting:
                future.cancel()


class OrderedThreadPool(Generic[Result]):
    """Finishes results in threads, and hands them on in order in one more thread, as soon as they are there.

    Args:
        take: Gets each result.
        threads: How many are finished at once.
        limit: What waits weighs no more than this together; one may always wait.
    """

    def __init__(self, take: Callable[[Result], None], threads: int, limit: int) -> None:
        self.take, self.limit, self.most = take, limit, 4 * max(threads, 1)
        self.pool = ThreadPoolExecutor(max(threads, 1))
        self.waiting: deque[tuple[Future[Result], int]] = deque()
        self.held = 0
        self.fault: BaseException | None = None
        self.changed = threading.Condition()
        self.closed = False
        self.taker = threading.Thread(target=self._take_all, daemon=True)
        self.taker.start()

    def add(self, weight: int, work: Callable[..., Result], *args: object) -> None:
        """Begin with one more, when there is room for its weight; raises what ``take`` raised before."""
        with self.changed:
            self.changed.wait_for(lambda: self.fault or self._has_room(weight))
            self._raise()
            self.waiting.append((self.pool.submit(work, *args), weight))
            self.held += weight
            self.changed.notify_all()

    def drain(self) -> None:
        """Wait until everything is taken; raises what ``take`` raised."""
        with self.changed:
            self.changed.wait_for(lambda: self.fault or not self.waiting)
            self._raise()

    def close(self) -> None:
        """End the threads; what waits is given up."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        self.pool.shutdown(cancel_futures=True)
        self.taker.join()

    def _has_room(self, weight: int) -> bool:
        return not self.waiting or (
            self.held + weight <= self.limit and len(self.waiting) < self.most
        )

    def _raise(self) -> None:
        if self.fault is not None:
            raise self.fault

    def _take_all(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.closed or self.waiting)
                if self.closed:
                    return
                future, weight = self.waiting[0]
            try:
                self.take(future.result())
            except BaseException as error:  # raised again where the next one is added
                with self.changed:
                    self.fault = error
                    self.changed.notify_all()
                return
            with self.changed:
                self.waiting.popleft()
                self.held -= weight
                self.changed.notify_all()
