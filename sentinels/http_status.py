"""Errors of a service's HTTP statuses."""

from __future__ import annotations

import httpx2

from engine.retries import TRANSIENT_STATUSES, TransientFault, parse_retry_after
from sentinels.service import KeyRefused, ServiceError

RETRIED_STATUSES = TRANSIENT_STATUSES | {409, 529}
"""HTTP statuses after which a request is repeated."""


class RetryableStatus(Exception):
    """Signal an HTTP status after which a request is repeated."""

    def __init__(self, fault: TransientFault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def raise_for_status(response: httpx2.Response, content: bytes) -> None:
    """Raise the error of a failed request; return for a status below 300.

    Raises:
        RetryableStatus: If the request may succeed later.
        KeyRefused: If the service rejects the API key.
        ServiceError: For any other status.
    """
    if response.status_code < 300:
        return
    excerpt = content[:300].decode(errors="replace")
    words = f"status {response.status_code}: {excerpt}"
    if response.status_code in RETRIED_STATUSES:
        raise RetryableStatus(
            TransientFault(words, parse_retry_after(response.headers.get("retry-after")))
        )
    if response.status_code == 401:
        msg = f"{words}; check the API key"
        raise KeyRefused(msg)
    advice = "; check the API key" if response.status_code == 403 else ""
    raise ServiceError(words + advice)
