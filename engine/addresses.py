"""Checks that untrusted URLs lead to the public internet, not to private networks."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

NAT64 = IPv6Network("64:ff9b::/96")
"""IPv6 addresses of IPv4 hosts (RFC 6052); the last 32 bits are the IPv4 address."""

UNICAST = IPv6Network("2000::/3")
"""IPv6 range assigned to hosts of the public internet."""

BLOCKED_IPV6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
"""Teredo and other protocols, documentation, and 6to4, whose tunnels may end anywhere."""

BLOCKED_IPV4 = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))
"""Protocol assignments, the 6to4 relay, and a cloud provider's internal service."""


def is_public(address: str) -> bool:
    """Return True if an IP address belongs to the public internet.

    Raises:
        ValueError: If the text is no IP address.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip in NAT64:
            ip = IPv4Address(int(ip) & 0xFFFFFFFF)
        else:
            blocked = any(ip in network for network in BLOCKED_IPV6)
            return ip.is_global and ip in UNICAST and not blocked
    blocked = any(ip in network for network in BLOCKED_IPV4)
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or blocked)


def resolves_to_private(host: str, port: int | None = None) -> bool:
    """Return True if any address of a host is not public.

    Raises:
        OSError: If the host has no address.
    """
    return any_private(socket.getaddrinfo(host, port or 443, type=socket.SOCK_STREAM))


def any_private(entries: Iterable[tuple[Any, ...]]) -> bool:
    """Return True if any entry of ``getaddrinfo``'s result is not public."""
    return any(not is_public(str(entry[4][0])) for entry in entries)


def is_loopback(host: str) -> bool:
    """Return True if a host name or address is that of this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
