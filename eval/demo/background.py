"""Long work in a thread, which the page can watch and cancel."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event
from typing import TypeVar

T = TypeVar("T")

TICK_S = 1.0
"""Time between two looks at the work."""


class Cancelled(Exception):
    """The visitor does not want the result any more."""


def in_steps(work: Callable[[Callable[[], None]], T]) -> Generator[int, None, T]:
    """Run work in a thread.

    Closing the generator ends the work at its next step.

    Args:
        work: Function of another that it calls after each step.

    Yields:
        The number of steps so far, from time to time; 0 before the work begins, since Gradio can
        close a generator only after its first value.

    Returns:
        The result of the work.
    """
    cancelled, steps = Event(), 0
    yield steps

    def step(*_: object) -> None:
        nonlocal steps
        steps += 1
        if cancelled.is_set():
            raise Cancelled

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work, step)
        try:
            while not future.done():
                wait([future], TICK_S)
                yield steps
            return future.result()
        finally:
            cancelled.set()
