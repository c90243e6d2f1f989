"""Trying again what failed in passing, as long as a server asks to wait."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from tenacity import RetryCallState, stop_after_attempt

TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses that another try may not meet."""

MAX_WAIT_S = 120.0
"""Seconds; a server that asks for more is given up at once."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TransientFault:
    """A fault that another try may not meet.

    Attributes:
        words: What it is.
        after: Seconds to wait, as the server asked; None if it did not say.
    """

    message: str
    retry_after_s: float | None = None


Classify = Callable[[BaseException], TransientFault | None]
"""Tells what is passing of an error; None of one that lasts."""


def retry_settings(passing: Classify, attempts: int = 5, first: float = 1.0) -> dict[str, Any]:
    """Make the settings of tenacity's ``Retrying`` or ``AsyncRetrying``.

    Waits double, or are what the server asks for.

    Args:
        passing: Tells what is passing of an error; None for one that lasts.
        attempts: Tries in all.
        first: Seconds of the first wait.
    """

    def found(state: RetryCallState) -> TransientFault | None:
        error = state.outcome.exception() if state.outcome else None
        return passing(error) if error is not None else None

    def again(state: RetryCallState) -> bool:
        fault = found(state)
        return fault is not None and (fault.retry_after_s or 0) <= MAX_WAIT_S

    def wait(state: RetryCallState) -> float:
        fault = found(state)
        if fault is not None and fault.retry_after_s is not None:
            return fault.retry_after_s
        return min(first * 2 ** (state.attempt_number - 1) * random.uniform(0.75, 1.25), MAX_WAIT_S)

    def tell(state: RetryCallState) -> None:
        fault = found(state)
        log.warning(
            "%s; trying again in %.3g s",
            fault.message if fault else "it failed",
            state.upcoming_sleep,
        )

    return {
        "retry": again,
        "wait": wait,
        "stop": stop_after_attempt(attempts),
        "before_sleep": tell,
        "reraise": True,
    }


def parse_retry_after(retry_after: str | None) -> float | None:
    """Read the seconds a ``Retry-After`` header asks for, a number or a date; None for none."""
    if not retry_after:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
