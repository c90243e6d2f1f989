"""Memory of building and searching an index of a million descriptors.

Run ``python -m benchmarks.large_index``.

A million unit vectors of length 128 are written in parts, as ``python -m indexing extract`` writes
them. Each row of the table is a process of its own, on one thread. The baseline reads the whole
file and inserts it at once.

Memory is a process's anonymous memory, sampled every 10 ms. Pages of a mapped file do not count,
since the system takes them back when it needs them. The bound of our rows is the sum of the
libraries, 128 MB of descriptors at a time, the largest index file twice (it grows by doubling), and
a quarter of a kilobyte for each name. All rows must find the same entries.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np

from benchmarks.rows import run_row
from indexing.build import build
from indexing.faiss_files import read_faiss, write_faiss
from indexing.index import Index
from indexing.index_facts import TRAINED
from models.store import NAMES
from models.store_files import MATRIX

COUNT = 1_000_000
LENGTH = 128
PART = 50_000
QUERIES = 1_000

FACTORY = "IVF1024,PQ16"
PROBES = 16
SHARDS = 4

MEMORY_MB = 128
"""Descriptors that a build holds at a time."""

NAME_BYTES = 256
"""Bound on the memory of a name."""


def write_descriptors(folder: Path) -> None:
    """Write a million clustered vectors, and perturbed ones as queries."""
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((20_000, LENGTH), dtype=np.float32)
    matrix = np.lib.format.open_memmap(
        folder / MATRIX, mode="w+", dtype=np.float32, shape=(COUNT, LENGTH)
    )
    for start in range(0, COUNT, PART):
        rows = centers[rng.integers(len(centers), size=PART)]
        rows = rows + rng.standard_normal((PART, LENGTH), dtype=np.float32)
        matrix[start : start + PART] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    truth = np.sort(rng.choice(COUNT, QUERIES, replace=False))
    noise = 0.03 * rng.standard_normal((QUERIES, LENGTH), dtype=np.float32)
    np.savez(folder / "queries.npz", truth=truth, queries=matrix[truth] + noise)
    (folder / NAMES).write_text("".join(f"{number:07d}.png\n" for number in range(COUNT)))


def anonymous_megabytes() -> float:
    """Return this process's memory without mapped files, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith("RssAnon:"))
    return int(line.split()[1]) / 1024


class Peak:
    """Context manager that measures peak memory, ``megabytes``, and processor time, ``seconds``."""

    def __enter__(self) -> Peak:
        self.before = anonymous_megabytes()
        self.megabytes = self.before
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        self.start = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.process_time() - self.start
        self.ended.set()
        self.thread.join()

    def _watch(self) -> None:
        """Sample the memory every 10 ms."""
        while not self.ended.wait(0.01):
            self.megabytes = max(self.megabytes, anonymous_megabytes())


def build_at_once(folder: Path) -> None:
    """Build the baseline: read the whole file, with the same trained index."""
    index = read_faiss(folder / "one" / TRAINED)
    index.add(np.load(folder / MATRIX))
    write_faiss(index, folder / "at_once.faiss")


def our_build(name: str, shards: int) -> Callable[[Path], None]:
    """Return our build; ``one`` trains the index that the others use."""

    def way(folder: Path) -> None:
        if name != "one":
            (folder / name).mkdir()
            for file in (TRAINED, "index.json"):
                (folder / name / file).write_bytes((folder / "one" / file).read_bytes())
        build([folder], folder / name, FACTORY, memory_mb=MEMORY_MB, shards=shards)

    return way


BUILDS = {
    "ours, one file, training included": our_build("one", 1),
    "ours, 4 files in turn": our_build("four", SHARDS),
    "the whole file at once": build_at_once,
}
SEARCHES = {
    "in memory": ("one", False),
    "from disk": ("one", True),
    "from disk, 4 files": ("four", True),
}
"""Index folder, and whether its files are mapped."""


def measure(name: str, folder: Path) -> dict[str, float]:
    """Measure a row."""
    faiss.omp_set_num_threads(1)
    if name in BUILDS:
        with Peak() as peak:
            BUILDS[name](folder)
        return {"seconds": peak.seconds, "megabytes": peak.megabytes, "before": peak.before}
    return measure_search(name, folder)


def measure_search(name: str, folder: Path) -> dict[str, float]:
    """Measure a row of single searches, and write the entries found."""
    saved = np.load(folder / "queries.npz")
    queries = saved["queries"]
    truth = saved["truth"]
    index_name, mapped = SEARCHES[name]
    with Peak() as peak:
        index = Index.open(folder / index_name, mapped)
        start = time.process_time()
        results = [index.search(query[None], 10, f"nprobe={PROBES}")[1] for query in queries]
        ids = np.concatenate(results)
        seconds = time.process_time() - start
    np.save(folder / f"found {name}.npy", ids)
    return {
        "seconds": seconds,
        "megabytes": peak.megabytes,
        "before": peak.before,
        "recall_1": float((ids[:, 0] == truth).mean()),
        "recall_10": float((ids == truth[:, None]).any(axis=1).mean()),
    }


def bound(before: float, index: Path, mapped: bool = False, building: bool = False) -> float:
    """Compute the memory bound of a row, in MB.

    Args:
        before: Memory of the libraries, in MB.
        index: Folder of the index.
        mapped: The index is mapped, not read.
        building: The row builds the index.
    """
    largest = max(file.stat().st_size for file in index.glob("index*.faiss")) / 2**20
    names = COUNT * NAME_BYTES / 2**20
    if building:
        return before + names + MEMORY_MB + 2 * largest
    return before + names + (0 if mapped else largest)


def print_builds(folder: Path) -> None:
    """Print the table of builds."""
    print("| built | processor seconds | peak MB | bound MB |\n|---|---|---|---|")
    for name in BUILDS:
        row = run_row("large_index", name, str(folder))
        index = folder / ("four" if "4" in name else "one")
        limit = bound(row["before"], index, building=True)
        cells = [
            name,
            f"{row['seconds']:.0f}",
            f"{row['megabytes']:.0f}",
            f"{limit:.0f}" if name.startswith("ours") else "",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


def print_searches(folder: Path) -> None:
    """Print the table of searches, and compare the entries found."""
    print(
        "| searched, one query at a time | ms a query | recall at 1 | at 10 | peak MB | bound MB |"
    )
    print("|---|---|---|---|---|---|")
    for name, (index, mapped) in SEARCHES.items():
        row = run_row("large_index", name, str(folder))
        cells = [
            name,
            f"{1000 * row['seconds'] / QUERIES:.2f}",
            f"{row['recall_1']:.3f}",
            f"{row['recall_10']:.3f}",
            f"{row['megabytes']:.0f}",
            f"{bound(row['before'], folder / index, mapped):.0f}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)
    first, *others = [np.load(folder / f"found {name}.npy") for name in SEARCHES]
    assert all(np.array_equal(first, other) for other in others), "the rows disagree"


def main(arguments: list[str]) -> None:
    """Print the tables, or one row's figures as JSON."""
    if arguments:
        print(json.dumps(measure(arguments[0], Path(arguments[1]))))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_descriptors(folder)
        size = (folder / MATRIX).stat().st_size / 2**20
        print(f"{COUNT} descriptors, {size:.0f} MB; {FACTORY}\n")
        print_builds(folder)
        print()
        print_searches(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
