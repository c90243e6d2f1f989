"""Where a stranger's URL may lead: the public internet, never this machine or its network."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

NAT64 = IPv6Network("64:ff9b::/96")
"""IPv4 hosts as IPv6-only networks see them: as public as the IPv4 address in the last 32 bits."""

UNICAST = IPv6Network("2000::/3")
"""All that is assigned for hosts of the public IPv6 internet."""

CLOSED_6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
"""Teredo and other protocols, examples, 6to4: tunnels may end anywhere."""

CLOSED_4 = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))
"""Protocols, the relay of 6to4, and a cloud's service for its own machines."""


def is_public(address: str) -> bool:
    """Tell whether an IP address is that of a host on the public internet.

    Raises:
        ValueError: If it is no IP address.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        elif found in NAT64:
            found = IPv4Address(int(found) & 0xFFFFFFFF)
        else:
            closed = any(found in network for network in CLOSED_6)
            return found.is_global and found in UNICAST and not closed
    closed = found.is_multicast or found.is_reserved or any(found in each for each in CLOSED_4)
    return found.is_global and not closed


def resolves_to_private(host: str, port: int | None = None) -> bool:
    """Tell whether any address of a host is not public.

    Raises:
        OSError: If the host has no address.
    """
    return any_private(socket.getaddrinfo(host, port or 443, type=socket.SOCK_STREAM))


def any_private(found: Iterable[tuple[Any, ...]]) -> bool:
    """Tell the same of what ``getaddrinfo`` returned."""
    return any(not is_public(str(entry[4][0])) for entry in found)


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine by its name or address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
