"""Sockets and settings of the servers."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from starlette.applications import Starlette

MAX_PORT = 65535

MAX_CONNECTIONS = 1000
"""Connections at a time; further ones get status 503."""

KEEP_ALIVE_S = 75
"""Time that an idle connection stays open: longer than clients keep one, so that none sends into a
connection that closes."""

GRACE_S = 60
"""Longest time after SIGTERM for what is being answered."""


def listen(host: str, port: int) -> socket.socket:
    """Listen on an address, before anything that takes long.

    Args:
        host: The address, or a name of it.
        port: The port; 0 for any that is free.

    Raises:
        ValueError: If there is no such port.
        OSError: If the address is in use, or not this machine's.
    """
    if not 0 <= port <= MAX_PORT:
        msg = f"--port: {port} is not a port; it is a whole number from 0 to {MAX_PORT}"
        raise ValueError(msg)
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family)
    except (OSError, UnicodeError) as error:  # a name may have no encoding
        words = getattr(error, "strerror", None) or str(error)
        msg = f"cannot listen on {host}, port {port}: {words}; choose another --host or --port"
        raise OSError(msg) from error


def url_of(host: str, listening: socket.socket) -> str:
    """URL of a server.

    Args:
        host: Address that was given.
        listening: Its socket, which knows the port.
    """
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listening.getsockname()[1]}/"


def configuration(application: Starlette, host: str, port: int) -> uvicorn.Config:
    """Configure the server of an application."""
    return uvicorn.Config(
        application,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,  # its addresses are personal data
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
