"""Benchmark rows as separate processes, with their peak memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any


def peak_megabytes() -> float:
    """Return this process's largest resident size so far, in MB.

    /proc is asked first, since ``ru_maxrss`` on Linux starts with the parent process's size.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_row(benchmark: str, *arguments: str) -> dict[str, Any]:
    """Run one row of a benchmark in a process of its own.

    The process prints its figures as JSON in its last line.
    """
    command = [sys.executable, "-m", f"benchmarks.{benchmark}", *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(finished.stdout.splitlines()[-1])
