"""Limits of fetching weights: no redirection into the network of this machine, no endless wait."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from huggingface_hub import constants

from engine.addresses import resolves_to_private
from engine.retries import MAX_WAIT_S, TRANSIENT_STATUSES, parse_retry_after


class LeadsInside(ValueError):
    """A server redirects into the network of this machine."""


def refuse_inside(address: str, origin: str) -> None:
    """Refuse an address inside this machine or its network, unless the one named is there itself.

    Args:
        address: Where a server wants to send us.
        origin: The address that a person or the registry named.

    Raises:
        LeadsInside: If it is inside.
    """
    host, named = urlsplit(address).hostname or "", urlsplit(origin).hostname or ""
    if host != named and _inside(host) and not _inside(named):
        where = f"{host}, which is inside this machine's own network"
        msg = f"{named} redirects to {where}; it was not followed"
        raise LeadsInside(msg)


def guard_client() -> None:
    """Have the Hub's client follow no redirection inside, and wait for no server too long."""
    from huggingface_hub import get_session

    hooks: dict[str, list[Any]] = get_session().event_hooks
    for when, hook in (("request", _before_request), ("response", _after_response)):
        if hook not in hooks[when]:
            hooks[when].append(hook)


def _before_request(request: Any) -> None:
    refuse_inside(str(request.url), constants.ENDPOINT)


def _after_response(response: Any) -> None:
    wait = parse_retry_after(response.headers.get("Retry-After")) or 0
    if response.status_code in TRANSIENT_STATUSES and wait > MAX_WAIT_S:
        from huggingface_hub.utils import hf_raise_for_status

        response.read()
        hf_raise_for_status(response)


@lru_cache(maxsize=256)
def _inside(host: str) -> bool:
    try:
        return resolves_to_private(host)
    except OSError:  # a proxy may know it; otherwise the connection fails, too
        return False
