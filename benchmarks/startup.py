"""Processor time until a command answers, against ``import torch``.

Run ``python -m benchmarks.startup [CHECKOUT]``.

Each row is the fastest of three runs, interpreter included. The times of a second checkout, such as
an older version, are printed beside ours.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

ROOT = Path(__file__).parents[1]
RUNS = 3

HELPS = (
    "rid protect",
    "rid fit",
    "detectors scan",
    "detectors fit",
    "indexing search",
    "sentinels embed",
    "datamodules shard",
    "checkpoints list",
    "eval personalize",
    "eval rag",
    "eval metrics",
    "tiny train",
)
"""Verbs whose ``--help`` is measured; older versions have them, too."""

JOBS = {
    "rid protect": "rid protect PHOTOS -o OUT/p",
    "detectors scan": "detectors scan PHOTOS -o OUT/s.csv --weights checkpoints/tiny/detector",
    "indexing search": "indexing search PHOTOS -o OUT/m.csv --index checkpoints/tiny/index",
    "sentinels embed": "sentinels embed PHOTOS -o OUT/v --weights checkpoints/tiny/embedder",
}
"""Commands on three images each."""


def seconds(arguments: Sequence[str], folder: Path) -> float:
    """Measure the processor time of a Python process and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        env=environment | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def fastest(arguments: Sequence[str], folder: Path) -> float:
    """Measure the fastest of several runs."""
    return min(seconds(arguments, folder) for _ in range(RUNS))


def fastest_job(command: str, images: Path, folder: Path) -> float:
    """Measure the fastest of several runs of a job.

    Each run has a new output folder.

    Args:
        command: Command with ``PHOTOS`` and ``OUT`` for its folders.
        images: Folder of the images.
        folder: Checkout to run in.
    """
    times = []
    for _ in range(RUNS):
        with TemporaryDirectory() as output:
            arguments = ["-m"]
            for word in command.split():
                arguments.append(word.replace("PHOTOS", str(images)).replace("OUT", output))
            times.append(seconds(arguments, folder))
    return min(times)


def measure(folder: Path, images: Path) -> dict[str, float]:
    """Measure all rows of a checkout."""
    times = {"`import torch`": fastest(["-c", "import torch"], folder)}
    for verb in HELPS:
        times[f"`{verb} --help`"] = fastest(["-m", *verb.split(), "--help"], folder)
    for name, command in JOBS.items():
        times[f"`{name}`, three photos"] = fastest_job(command, images, folder)
    return times


def print_table(ours: dict[str, float], before: dict[str, float]) -> None:
    """Print all rows, beside those of another checkout if given."""
    heads = ["before, s"] if before else []
    heads = ["", *heads, "s", "against `import torch`"]
    print(f"| {' | '.join(heads)} |")
    print("|---" * len(heads) + "|")
    for name, time in ours.items():
        cells = [name]
        if before:
            cells.append(f"{before[name]:.2f}" if name in before else "none")
        cells += [f"{time:.2f}", f"{time / ours['`import torch`']:.2f}"]
        print(f"| {' | '.join(cells)} |")


def main(arguments: list[str]) -> None:
    """Measure, and print the table."""
    with TemporaryDirectory() as name:
        images = Path(name)
        for number in range(3):
            noise = Image.effect_noise((160, 160), 40 + number).convert("RGB")
            noise.save(images / f"{number}.png")
        ours = measure(ROOT, images)
        ours["`rid --version`"] = fastest(["-m", "rid", "--version"], ROOT)
        before = measure(Path(arguments[0]), images) if arguments else {}
    print_table(ours, before)


if __name__ == "__main__":
    main(sys.argv[1:])
