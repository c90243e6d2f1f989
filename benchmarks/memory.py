"""Peak memory of this process."""

from __future__ import annotations

import resource
from pathlib import Path


def peak_megabytes() -> float:
    """Largest resident size so far, in MB.

    Linux carries ``ru_maxrss`` over from the process that started this one; what /proc says is this one's own.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
