"""Stop on SIGTERM: at once, or for jobs between batches."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from engine.devices import Process


class Stopped(BaseException):
    """SIGTERM was received.

    It is no Exception, so that no handler of a single image's errors catches it.
    """


class EndsJob(Exception):
    """Error that would fail every other input, too.

    It ends the job; the same command resumes it.
    """


class Stopping:
    """Flag of a job that SIGTERM sets."""

    def __init__(self) -> None:
        self.requested = False
        self.process: Process | None = None

    def stop(self) -> NoReturn:
        """End the job.

        Raises:
            Stopped: Always.
        """
        raise Stopped

    def check(self) -> None:
        """Stop the job if SIGTERM was received; for steps that take minutes."""
        if self.requested:
            self.stop()


@contextmanager
def stop_on_sigterm() -> Iterator[Stopping]:
    """Record SIGTERM in a block instead of stopping at once.

    A second SIGTERM ends the process.
    """
    stopping = Stopping()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return

    def record(number: int, frame: Any) -> None:
        stopping.requested = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    earlier_handler = signal.signal(signal.SIGTERM, record)
    try:
        yield stopping
    finally:
        signal.signal(signal.SIGTERM, earlier_handler)
