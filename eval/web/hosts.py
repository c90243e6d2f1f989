"""Host names and headers of the servers."""

from __future__ import annotations

from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from engine.pages.shell import SERVED_POLICY

LOOPBACK = ("127.0.0.1", "localhost", "::1")

HEADERS = {
    "Content-Security-Policy": SERVED_POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every answer."""


def trusted_hosts(host: str) -> Middleware:
    """Refuse other host names of a server on this machine, by which another site could reach it.

    Args:
        host: Address that the server listens on.
    """
    hosts = [*LOOPBACK, "[::1]"] if host in LOOPBACK else ["*"]
    return Middleware(TrustedHostMiddleware, allowed_hosts=hosts)
