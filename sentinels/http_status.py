"""Errors of a service's HTTP statuses."""

from __future__ import annotations

import re

import httpx2

from engine.retries import TRANSIENT_STATUSES, TransientFault, parse_retry_after
from sentinels.service import KeyRefused, ServiceError

RETRIED_STATUSES = TRANSIENT_STATUSES | {409, 529}
"""HTTP statuses after which a request is repeated."""

KEY_STATUSES = frozenset({401, 403})
"""HTTP statuses of a rejected API key, after which no request can succeed."""

MODERATED = re.compile(r"flagged|moderation|content.policy", re.IGNORECASE)
"""Words of a service that refuses one input with status 403, as OpenRouter does."""

MAX_EXCERPT = 300
"""Characters of a failed request's answer that a message quotes."""


class RetryableStatus(Exception):
    """Signal an HTTP status after which a request is repeated."""

    def __init__(self, fault: TransientFault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def raise_for_status(response: httpx2.Response, text: str) -> None:
    """Raise the error of a failed request; return for a status below 300.

    Args:
        response: The answer.
        text: Its body, without secrets.

    Raises:
        RetryableStatus: If the request may succeed later.
        KeyRefused: If the service rejects the API key or its rights, whatever the request.
        ServiceError: For any other status.
    """
    if response.status_code < 300:
        return
    words = f"status {response.status_code}: {' '.join(text.split())[:MAX_EXCERPT]}"
    if response.status_code in RETRIED_STATUSES:
        raise RetryableStatus(
            TransientFault(words, parse_retry_after(response.headers.get("retry-after")))
        )
    if response.status_code in KEY_STATUSES and not MODERATED.search(text):
        msg = f"{words}; check the API key and its rights, then repeat the command to go on"
        raise KeyRefused(msg)
    raise ServiceError(words)
