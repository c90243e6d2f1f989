"""A benchmark's row in a process of its own, and that process's peak memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any


def peak_megabytes() -> float:
    """Largest resident size so far, in MB.

    Linux carries ``ru_maxrss`` over from the process that started this one; what /proc says is this one's own.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_row(benchmark: str, *arguments: str) -> dict[str, Any]:
    """Run one row of a benchmark, which prints its figures as JSON in its last line."""
    command = [sys.executable, "-m", f"benchmarks.{benchmark}", *arguments]
    return json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    )
