"""Download of images from untrusted URLs.

The size is bounded, and private addresses are refused.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2

from engine.addresses import any_private, is_public

MAX_REDIRECTS = 3


async def fetch(url: str, trusted: str, limit: int, timeout: float) -> bytes:
    """Download an image file.

    Args:
        url: An http or https URL.
        trusted: URL of the service that the user chose; its host and port may be private.
        limit: Largest size in bytes.
        timeout: Seconds per request.

    Returns:
        The content of the file, undecoded.

    Raises:
        ValueError: If the URL leads to a private address, to no image or to too many bytes.
        httpx2.HTTPError: If the network fails.
    """
    async with httpx2.AsyncClient(timeout=timeout, follow_redirects=False) as http:
        for _ in range(MAX_REDIRECTS + 1):
            is_trusted = _origin(url) == _origin(trusted)
            if not is_trusted:
                await _refuse_private(url)
            async with http.stream("GET", url) as response:
                if not is_trusted:
                    _refuse_peer(response)
                if response.is_redirect:
                    url = urljoin(url, response.headers.get("location", ""))
                    continue
                content = await read_bounded(response, limit)
                media_type = response.headers.get("content-type", "")
                if response.status_code >= 500:
                    response.raise_for_status()
                if response.status_code != 200 or media_type.startswith("text/"):
                    msg = (
                        f"no image at {_without_query(url)}: status {response.status_code}, "
                        f"{media_type or 'no content type'}"
                    )
                    raise ValueError(msg)
                return content
    msg = f"more than {MAX_REDIRECTS} redirects from {_without_query(url)}"
    raise ValueError(msg)


async def read_bounded(response: httpx2.Response, limit: int) -> bytes:
    """Read a response's body of at most ``limit`` bytes.

    Raises:
        ValueError: If the body is longer.
    """
    content = bytearray()
    async for part in response.aiter_bytes():
        content += part
        if len(content) > limit:
            msg = f"the answer has more than {limit >> 20} MiB and was not read"
            raise ValueError(msg)
    return bytes(content)


async def _refuse_private(url: str) -> None:
    """Raise ValueError if a URL's host resolves to a private address."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        msg = f"{_without_query(url)}: only http and https URLs are followed"
        raise ValueError(msg)
    addresses = await asyncio.get_running_loop().getaddrinfo(
        parts.hostname, parts.port or 443, type=socket.SOCK_STREAM
    )
    if any_private(addresses):
        msg = f"{_without_query(url)} leads to a private address and was not followed"
        raise ValueError(msg)


def _refuse_peer(response: httpx2.Response) -> None:
    """Raise ValueError if the connected address is private.

    The host may have resolved to another address since the check of the URL.
    """
    stream: Any = response.extensions.get("network_stream")
    address = stream.get_extra_info("server_addr") if stream else None
    if address and not is_public(str(address[0])):
        msg = "a URL led to a private address and was not followed"
        raise ValueError(msg)


def _origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port of a URL."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port


def _without_query(url: str) -> str:
    """Remove a URL's query, which may hold secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{parts.path}"
