"""Limits of downloads: no redirect into a private network, no endless wait."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from huggingface_hub import constants

from engine.addresses import resolves_to_private
from engine.retries import MAX_WAIT_S, TRANSIENT_STATUSES, parse_retry_after


class PrivateRedirect(ValueError):
    """Redirect of a server into the private network of this machine."""


def refuse_private_redirect(address: str, origin: str) -> None:
    """Refuse a redirect from the public internet into a private network.

    Args:
        address: Target of the redirect.
        origin: Address that the user or the registry gave.

    Raises:
        PrivateRedirect: If the target is private and the origin is not.
    """
    host = urlsplit(address).hostname or ""
    origin_host = urlsplit(origin).hostname or ""
    if host != origin_host and _is_private(host) and not _is_private(origin_host):
        where = f"{host}, which is inside this machine's own network"
        msg = f"{origin_host} redirects to {where}; it was not followed"
        raise PrivateRedirect(msg)


def guard_client() -> None:
    """Make the Hub's client refuse private redirects and overlong waits."""
    from huggingface_hub import get_session

    hooks: dict[str, list[Any]] = get_session().event_hooks
    for when, hook in (("request", _before_request), ("response", _after_response)):
        if hook not in hooks[when]:
            hooks[when].append(hook)


def _before_request(request: Any) -> None:
    """Refuse a private redirect before it is followed."""
    refuse_private_redirect(str(request.url), constants.ENDPOINT)


def _after_response(response: Any) -> None:
    """Raise the error of a response that asks for an overlong wait."""
    wait = parse_retry_after(response.headers.get("Retry-After")) or 0
    if response.status_code in TRANSIENT_STATUSES and wait > MAX_WAIT_S:
        from huggingface_hub.utils import hf_raise_for_status

        response.read()
        hf_raise_for_status(response)


@lru_cache(maxsize=256)
def _is_private(host: str) -> bool:
    """Return True if a host has a private address; unknown hosts pass."""
    try:
        return resolves_to_private(host)
    except OSError:  # a proxy may know the host; otherwise the connection fails
        return False
