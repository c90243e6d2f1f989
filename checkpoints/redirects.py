"""Where weights may be fetched from: redirections never lead into the network of this machine."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from huggingface_hub import constants

from engine.addresses import leads_inside


class LeadsInside(ValueError):
    """A server redirects into the network of this machine."""


def refuse_inside(address: str, origin: str) -> None:
    """Refuse an address inside this machine or its network, unless what a person named is there itself.

    Args:
        address: Where a server wants to send us.
        origin: The address that a person or the registry named.

    Raises:
        LeadsInside: If it is inside.
    """
    host, named = urlsplit(address).hostname or "", urlsplit(origin).hostname or ""
    if host != named and _inside(host) and not _inside(named):
        msg = f"{named} redirects to {host}, which is inside this machine's own network; it was not followed"
        raise LeadsInside(msg)


def keep_outside() -> None:
    """Have the Hub's client follow no redirection that :func:`refuse_inside` refuses."""
    from huggingface_hub import get_session

    hooks: list[Any] = get_session().event_hooks["request"]
    if _before_request not in hooks:
        hooks.append(_before_request)


def _before_request(request: Any) -> None:
    refuse_inside(str(request.url), constants.ENDPOINT)


@lru_cache(maxsize=256)
def _inside(host: str) -> bool:
    try:
        return leads_inside(host)
    except OSError:  # a proxy may know it; otherwise the connection fails, too
        return False
