"""Limit of participants who begin a study from one network address."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable

MAX_PER_ADDRESS = 20
"""Participants from one address within an hour."""

HOUR_S = 3600.0

MAX_ADDRESSES = 10_000
"""Addresses that are remembered, in memory only, since an address is personal data."""


Clock = Callable[[], float]


class Admission:
    """Counts participants who began within the last hour, by network address.

    Args:
        limit: Participants from one address within an hour; 0 for any number.
        clock: Returns the time in seconds.
    """

    def __init__(self, limit: int = MAX_PER_ADDRESS, clock: Clock = time.monotonic) -> None:
        self.limit = limit
        self.clock = clock
        self.begin_times: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, address: str) -> int:
        """Minutes until an address may begin; 0 for now."""
        times = self.begin_times.get(network(address))
        now = self.clock()
        while times and times[0] <= now - HOUR_S:
            times.popleft()
        if not self.limit or not times or len(times) < self.limit:
            return 0
        return math.ceil((times[0] + HOUR_S - now) / 60)

    def admit(self, address: str) -> None:
        """Count a participant who began."""
        self.begin_times.setdefault(network(address), deque()).append(self.clock())
        self.begin_times.move_to_end(network(address))
        while len(self.begin_times) > MAX_ADDRESSES:
            self.begin_times.popitem(last=False)


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
