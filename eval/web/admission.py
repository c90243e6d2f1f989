"""Limit of how often somebody may come within a time."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import Callable

HOUR_S = 3600.0

MAX_REMEMBERED = 10_000
"""Names that are remembered, in memory only, since an address is personal data."""


Clock = Callable[[], float]


class Admission:
    """Counts who came within the last hour, or another time.

    Args:
        limit: Times that one may come; 0 for any number.
        seconds: The time.
        clock: Returns the time in seconds.
    """

    def __init__(self, limit: int, seconds: float = HOUR_S, clock: Clock = time.monotonic) -> None:
        self.limit = limit
        self.seconds = seconds
        self.clock = clock
        self.times: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, who: str) -> float:
        """Seconds until somebody may come; 0 for now."""
        times = self.times.get(who)
        now = self.clock()
        while times and times[0] <= now - self.seconds:
            times.popleft()
        if not self.limit or not times or len(times) < self.limit:
            return 0.0
        return times[0] + self.seconds - now

    def admit(self, who: str) -> None:
        """Count somebody who came."""
        if not self.limit:
            return
        self.times.setdefault(who, deque()).append(self.clock())
        self.times.move_to_end(who)
        while len(self.times) > MAX_REMEMBERED:
            self.times.popitem(last=False)


def network(address: str) -> str:
    """Network that counts as one address.

    It is an IPv4 address, or an IPv6 /64.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))
