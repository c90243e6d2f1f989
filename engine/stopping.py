"""Stopping a job between batches when the system asks for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine.devices import Process

CODE = 128 + signal.SIGTERM
"""Exit code of a command that SIGTERM stopped."""


class Stopping:
    """Whether a job was asked to stop."""

    def __init__(self) -> None:
        self.asked = False
        self.process: Process | None = None

    def stop(self) -> None:
        """End the job.

        Raises:
            SystemExit: Always, with code 143.
        """
        raise SystemExit(CODE)

    def check(self) -> None:
        """End the job if it was asked to stop; for steps that take minutes."""
        if self.asked:
            self.stop()


@contextmanager
def stop_on_sigterm() -> Iterator[Stopping]:
    """Note SIGTERM in a block instead of dying of it; a second one ends the process at once."""
    stopping = Stopping()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return

    def note(number: int, frame: Any) -> None:
        stopping.asked = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield stopping
    finally:
        signal.signal(signal.SIGTERM, before)
