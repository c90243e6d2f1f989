"""``python -m benchmarks.startup [CHECKOUT]``: processor time until a command answers, against ``import torch``.

Each row is the least of three runs, interpreter included; with a second checkout, such as one of an older version, its times
stand beside ours.
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
    *(
        "rid protect",
        "rid fit",
        "detectors scan",
        "detectors fit",
        "indexing search",
        "sentinels embed",
        "datamodules shard",
    ),
    *("checkpoints list", "eval personalize", "eval rag", "eval metrics", "tiny train"),
)
"""Verbs of which help is asked for; older versions have them, too."""

JOBS = {
    "rid protect": "rid protect PHOTOS -o OUT/p",
    "detectors scan": "detectors scan PHOTOS -o OUT/s.csv --weights checkpoints/tiny/detector",
    "indexing search": "indexing search PHOTOS -o OUT/m.csv --index checkpoints/tiny/index",
    "sentinels embed": "sentinels embed PHOTOS -o OUT/v --model checkpoints/tiny/embedder",
}
"""Three photos each."""


def seconds(words: Sequence[str], folder: Path) -> float:
    """Processor time of a Python process and those that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        capture_output=True,
        env=environment | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def least(words: Sequence[str], folder: Path) -> float:
    """The least time of several runs."""
    return min(seconds(words, folder) for _ in range(RUNS))


def of_job(line: str, photos: Path, folder: Path) -> float:
    """The least time of a job, which begins anew each time."""
    times = []
    for _ in range(RUNS):
        with TemporaryDirectory() as output:
            words = [
                word.replace("PHOTOS", str(photos)).replace("OUT", output) for word in line.split()
            ]
            times.append(seconds(["-m", *words], folder))
    return min(times)


def rows(folder: Path, photos: Path) -> dict[str, float]:
    """All times of one checkout."""
    found = {"`import torch`": least(["-c", "import torch"], folder)}
    found |= {f"`{verb} --help`": least(["-m", *verb.split(), "--help"], folder) for verb in HELPS}
    found |= {
        f"`{name}`, three photos": of_job(line, photos, folder) for name, line in JOBS.items()
    }
    return found


def main(arguments: list[str]) -> None:
    """Print the table."""
    with TemporaryDirectory() as place:
        for number in range(3):
            Image.effect_noise((160, 160), 40 + number).convert("RGB").save(
                Path(place) / f"{number}.png"
            )
        ours = rows(ROOT, Path(place))
        ours["`rid --version`"] = least(["-m", "rid", "--version"], ROOT)
        before = rows(Path(arguments[0]), Path(place)) if arguments else {}
    torch = ours["`import torch`"]
    print(
        "| | before, s | s | against `import torch` |"
        if before
        else "| | s | against `import torch` |"
    )
    print("|---|---|---|---|" if before else "|---|---|---|")
    for name, time in ours.items():
        cells = [
            name,
            *([f"{before[name]:.2f}" if name in before else "none"] if before else []),
            f"{time:.2f}",
            f"{time / torch:.2f}",
        ]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main(sys.argv[1:])
