"""Fetching a picture from an URL that a stranger's answer named: bounded, and never from the private network."""

from __future__ import annotations

import asyncio
import socket
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2

from engine.addresses import any_private, is_public

HOPS = 3
"""Redirects that are followed."""


async def fetch(url: str, trusted: str, limit: int, timeout: float) -> bytes:
    """Fetch the bytes behind an URL.

    Args:
        url: http or https.
        trusted: URL of the service the user chose: pictures may come from its own host and port, wherever that is.
        limit: Most bytes.
        timeout: Seconds a request.

    Raises:
        ValueError: If it leads to a private address, to no picture, or to too many bytes.
        httpx2.HTTPError: If the network fails.
    """
    async with httpx2.AsyncClient(timeout=timeout, follow_redirects=False) as http:
        for _ in range(HOPS + 1):
            own = _origin(url) == _origin(trusted)
            if not own:
                await _refuse_private(url)
            async with http.stream("GET", url) as response:
                if not own:
                    _refuse_peer(response)
                if response.is_redirect:
                    url = urljoin(url, response.headers.get("location", ""))
                    continue
                content = await read_bounded(response, limit)
                kind = response.headers.get("content-type", "")
                if response.status_code >= 500:
                    response.raise_for_status()
                if response.status_code != 200 or kind.startswith("text/"):
                    msg = f"no picture at {_shown(url)}: status {response.status_code}, {kind or 'of no kind'}"
                    raise ValueError(msg)
                return content
    msg = f"more than {HOPS} redirects from {_shown(url)}"
    raise ValueError(msg)


async def read_bounded(response: httpx2.Response, limit: int) -> bytes:
    """Read a response's body.

    Raises:
        ValueError: If it is longer than so many bytes.
    """
    content = bytearray()
    async for part in response.aiter_bytes():
        content += part
        if len(content) > limit:
            msg = f"an answer of more than {limit >> 20} MiB was not read to its end"
            raise ValueError(msg)
    return bytes(content)


async def _refuse_private(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        msg = f"{_shown(url)}: only http and https URLs are followed"
        raise ValueError(msg)
    found = await asyncio.get_running_loop().getaddrinfo(
        parts.hostname, parts.port or 443, type=socket.SOCK_STREAM
    )
    if any_private(found):
        msg = f"{_shown(url)} leads to a private address and was not followed"
        raise ValueError(msg)


def _refuse_peer(response: httpx2.Response) -> None:
    """Refuse the same of the address that was connected to: a name may lead elsewhere a moment later."""
    stream: Any = response.extensions.get("network_stream")
    address = stream.get_extra_info("server_addr") if stream else None
    if address and not is_public(str(address[0])):
        msg = "an URL led to a private address and was not followed"
        raise ValueError(msg)


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port


def _shown(url: str) -> str:
    """Leave out an URL's query, which may hold secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{parts.path}"
