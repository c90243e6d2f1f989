"""Stopping when the system asks for it: at once, or for jobs between batches."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from engine.devices import Process


class Stopped(BaseException):
    """SIGTERM was received; no error, so that no fence around a single image catches it."""


class EndsJob(Exception):
    """An error that every other input would meet, too; the job ends, and the same command goes on with it."""


class Stopping:
    """Whether a job was asked to stop."""

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
        """End the job if it was asked to stop; for steps that take minutes."""
        if self.requested:
            self.stop()


@contextmanager
def stop_on_sigterm() -> Iterator[Stopping]:
    """Note SIGTERM in a block instead of stopping at once; a second one ends the process."""
    stopping = Stopping()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return

    def note(number: int, frame: Any) -> None:
        stopping.requested = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield stopping
    finally:
        signal.signal(signal.SIGTERM, before)
