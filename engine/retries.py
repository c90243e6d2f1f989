"""Retries of transient faults, with the waits that servers ask for."""

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
"""HTTP statuses of transient faults."""

MAX_WAIT_S = 120.0
"""Longest wait between two attempts; a server that asks for more is not tried again."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TransientFault:
    """Fault that may not occur again.

    Attributes:
        message: Description of the fault.
        retry_after_s: Wait in seconds that the server asks for; None if it asks for none.
    """

    message: str
    retry_after_s: float | None = None


Classify = Callable[[BaseException], TransientFault | None]
"""Function from an error to its transient fault; None for a permanent error."""


def retry_settings(
    classify: Classify, attempts: int = 5, first_wait: float = 1.0
) -> dict[str, Any]:
    """Create the settings of tenacity's ``Retrying`` or ``AsyncRetrying``.

    Each wait is twice the one before, with 25 % jitter, unless the server asks for another.

    Args:
        classify: Function from an error to its transient fault; None for a permanent error.
        attempts: Largest number of attempts.
        first_wait: First wait, in seconds.
    """

    def fault_of(state: RetryCallState) -> TransientFault | None:
        error = state.outcome.exception() if state.outcome else None
        return classify(error) if error is not None else None

    def retry(state: RetryCallState) -> bool:
        fault = fault_of(state)
        return fault is not None and (fault.retry_after_s or 0) <= MAX_WAIT_S

    def wait(state: RetryCallState) -> float:
        fault = fault_of(state)
        if fault is not None and fault.retry_after_s is not None:
            return fault.retry_after_s
        doubled = first_wait * 2 ** (state.attempt_number - 1)
        return min(doubled * random.uniform(0.75, 1.25), MAX_WAIT_S)

    def warn(state: RetryCallState) -> None:
        fault = fault_of(state)
        message = fault.message if fault else "it failed"
        log.warning("%s; trying again in %.3g s", message, state.upcoming_sleep)

    return {
        "retry": retry,
        "wait": wait,
        "stop": stop_after_attempt(attempts),
        "before_sleep": warn,
        "reraise": True,
    }


def parse_retry_after(retry_after: str | None) -> float | None:
    """Parse a ``Retry-After`` header, a number or a date, to seconds; None without one."""
    if not retry_after:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        remaining = parsedate_to_datetime(retry_after) - datetime.now(UTC)
        return max(0.0, remaining.total_seconds())
    except (ValueError, TypeError):
        return None
