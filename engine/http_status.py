"""Errors of services over HTTP, by status, and the API key that services ask for."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from engine.addresses import is_loopback
from engine.retries import TRANSIENT_STATUSES, TransientFault, parse_retry_after
from engine.stopping import EndsJob

RETRIED_STATUSES = TRANSIENT_STATUSES | {409, 529}
"""HTTP statuses after which a request is repeated."""

KEY_STATUSES = frozenset({401, 403})
"""HTTP statuses of a rejected API key, after which no request can succeed."""

MODERATED = re.compile(r"flagged|moderation|content.policy", re.IGNORECASE)
"""Words of a service that refuses one input with status 403, as OpenRouter does."""

MAX_EXCERPT = 300
"""Characters of a failed request's answer that a message quotes."""


class ServiceError(ValueError):
    """Signal a request that failed for good; repeating it does not help."""


class RunEnds(ServiceError, EndsJob):
    """Signal that no further request of the run can succeed."""


class KeyRefused(RunEnds):
    """Signal a rejected API key."""


class RetryableStatus(Exception):
    """Signal an HTTP status after which a request is repeated."""

    def __init__(self, fault: TransientFault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def read_api_key(base_url: str, variable: str) -> str:
    """Read a service's API key from the environment; empty for a service on this machine.

    Args:
        base_url: URL of the service.
        variable: Name of the environment variable.

    Raises:
        ValueError: If there is no key, or it would travel unencrypted.
    """
    key = os.environ.get(variable, "")
    parts = urlsplit(base_url)
    local = is_loopback(parts.hostname or "")
    if not key and not local:
        msg = f"no API key: set the environment variable {variable}"
        raise ValueError(msg)
    if key and parts.scheme == "http" and not local:
        msg = f"{base_url}: the API key would travel unencrypted; use https"
        raise ValueError(msg)
    return key


def redact(text: str, key: str) -> str:
    """Replace an API key in a text."""
    return text.replace(key, "[API key]") if key else text


def raise_for_status(status: int, retry_after: str | None, text: str) -> None:
    """Raise the error of a failed request; return for a status below 300.

    Args:
        status: HTTP status of the answer.
        retry_after: Its header ``Retry-After``.
        text: Its body, without secrets.

    Raises:
        RetryableStatus: If the request may succeed later.
        KeyRefused: If the service rejects the API key or its rights, whatever the request.
        ServiceError: For any other status.
    """
    if status < 300:
        return
    words = f"status {status}: {' '.join(text.split())[:MAX_EXCERPT]}"
    if status in RETRIED_STATUSES:
        raise RetryableStatus(TransientFault(words, parse_retry_after(retry_after)))
    if status in KEY_STATUSES and not MODERATED.search(text):
        msg = f"{words}; check the API key and its rights, then repeat the command to go on"
        raise KeyRefused(msg)
    raise ServiceError(words)
