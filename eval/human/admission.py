"""How many people may begin a study from one address: one client cannot take every place."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable

PER_ADDRESS = 20
"""Participants from one address within an hour."""

HOUR = 3600.0

REMEMBERED = 10_000
"""Addresses that are remembered; in memory only, since an address is personal data."""


Clock = Callable[[], float]


class Admission:
    """Counts who began within the last hour, by network address.

    Args:
        limit: Participants from one address within an hour; 0 for any number.
        clock: Gives the time in seconds.
    """

    def __init__(self, limit: int = PER_ADDRESS, clock: Clock = time.monotonic) -> None:
        self.limit, self.clock = limit, clock
        self.begun: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, address: str) -> int:
        """Tell how many minutes an address has to wait; 0 if it may begin now."""
        begun = self.begun.get(network(address))
        now = self.clock()
        while begun and begun[0] <= now - HOUR:
            begun.popleft()
        if not self.limit or not begun or len(begun) < self.limit:
            return 0
        return math.ceil((begun[0] + HOUR - now) / 60)

    def admit(self, address: str) -> None:
        """Count a participant who began."""
        self.begun.setdefault(network(address), deque()).append(self.clock())
        self.begun.move_to_end(network(address))
        while len(self.begun) > REMEMBERED:
            self.begun.popitem(last=False)


def network(address: str) -> str:
    """Name what counts as one address: one of IPv4, or the /64 a customer has of IPv6."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
