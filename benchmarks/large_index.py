"""A million descriptors: built, and searched, within a bound of memory.  ``python -m benchmarks.large_index``.

A million unit vectors of 128 numbers are written part by part, as ``python -m indexing extract`` writes them; each row of the table is a
process of its own, on one thread. The straightforward way reads the whole file and inserts it at once. Memory is what the process itself
holds (pages of a mapped file do not count: the system takes them back when it needs them), sampled every 10 ms. The bound of our rows is
known beforehand: the libraries, 128 MB of descriptors at a time, the largest file of the index twice (it grows by doubling), and
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
from indexing.index import TRAINED, Index
from models.store import MATRIX, NAMES

COUNT, LENGTH, PART, QUERIES = 1_000_000, 128, 50_000, 1_000
FACTORY, PROBES, MEMORY, SHARDS = "IVF1024,PQ16", 16, 128, 4
NAME_BYTES = 256


def write_descriptors(folder: Path) -> None:
    """A million vectors around 20,000 centres, and queries: some of them, a little off."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((20_000, LENGTH), dtype=np.float32)
    matrix = np.lib.format.open_memmap(
        folder / MATRIX, mode="w+", dtype=np.float32, shape=(COUNT, LENGTH)
    )
    for start in range(0, COUNT, PART):
        rows = centres[rng.integers(len(centres), size=PART)] + rng.standard_normal(
            (PART, LENGTH), dtype=np.float32
        )
        matrix[start : start + PART] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    chosen = np.sort(rng.choice(COUNT, QUERIES, replace=False))
    np.savez(
        folder / "queries.npz",
        truth=chosen,
        queries=matrix[chosen] + 0.03 * rng.standard_normal((QUERIES, LENGTH), dtype=np.float32),
    )
    (folder / NAMES).write_text("".join(f"{number:07d}.png\n" for number in range(COUNT)))


def own_megabytes() -> float:
    """What this process holds now, mapped files apart."""
    line = next(
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("RssAnon:")
    )
    return int(line.split()[1]) / 1024


class Peak:
    """The most this process holds while the block runs, ``megabytes``, and its processor time, ``seconds``."""

    def __enter__(self) -> Peak:
        self.before = self.megabytes = own_megabytes()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        self.start = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.process_time() - self.start
        self.over.set()
        self.thread.join()

    def _watch(self) -> None:
        while not self.over.wait(0.01):
            self.megabytes = max(self.megabytes, own_megabytes())


def at_once(folder: Path) -> None:
    """The straightforward way, with the same trained index."""
    index = read_faiss(folder / "one" / TRAINED)
    index.add(np.load(folder / MATRIX))
    write_faiss(index, folder / "at_once.faiss")


def ours(name: str, shards: int) -> Callable[[Path], None]:
    """Our build into a folder; the first one trains, the others find it trained."""

    def way(folder: Path) -> None:
        if name != "one":
            (folder / name).mkdir()
            for file in (TRAINED, "index.json"):
                (folder / name / file).write_bytes((folder / "one" / file).read_bytes())
        build([folder], folder / name, FACTORY, memory_mb=MEMORY, shards=shards)

    return way


BUILDS = {
    "ours, one file, training included": ours("one", 1),
    "ours, 4 files in turn": ours("four", SHARDS),
    "the whole file at once": at_once,
}
SEARCHES = {
    "in memory": ("one", False),
    "from disk": ("one", True),
    "from disk, 4 files": ("four", True),
}


def measure(name: str, folder: Path) -> dict[str, float]:
    """One row."""
    faiss.omp_set_num_threads(1)
    if name in BUILDS:
        with Peak() as peak:
            BUILDS[name](folder)
        return {"seconds": peak.seconds, "megabytes": peak.megabytes, "before": peak.before}
    given = np.load(folder / "queries.npz")
    place, mapped = SEARCHES[name]
    with Peak() as peak:
        index = Index.open(folder / place, mapped)
        start = time.process_time()
        ids = np.concatenate(
            [index.search(query[None], 10, f"nprobe={PROBES}")[1] for query in given["queries"]]
        )
        seconds = time.process_time() - start
    np.save(folder / f"found {name}.npy", ids)
    return {
        "seconds": seconds,
        "megabytes": peak.megabytes,
        "before": peak.before,
        "recall_1": float((ids[:, 0] == given["truth"]).mean()),
        "recall_10": float((ids == given["truth"][:, None]).any(axis=1).mean()),
    }


def bound(
    before: float, folder: Path, place: str, mapped: bool = False, building: bool = False
) -> float:
    """The stated bound in MB."""
    largest = max(file.stat().st_size for file in (folder / place).glob("index*.faiss")) / 2**20
    return (
        before
        + COUNT * NAME_BYTES / 2**20
        + (MEMORY + 2 * largest if building else 0 if mapped else largest)
    )


def main(arguments: list[str]) -> None:
    """Print the tables, or one row's figures as JSON."""
    if arguments:
        print(json.dumps(measure(arguments[0], Path(arguments[1]))))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_descriptors(folder)
        size = (folder / MATRIX).stat().st_size / 2**20
        print(
            f"{COUNT} descriptors, {size:.0f} MB; {FACTORY}\n\n| built | processor seconds | peak MB | bound MB |\n|---|---|---|---|"
        )
        for name in BUILDS:
            row = run_row("large_index", name, place)
            most = bound(row["before"], folder, "four" if "4" in name else "one", building=True)
            limit = f"{most:.0f}" if name.startswith("ours") else ""
            print(
                f"| {name} | {row['seconds']:.0f} | {row['megabytes']:.0f} | {limit} |", flush=True
            )
        print(
            "\n| searched, one query at a time | ms a query | recall at 1 | at 10 | peak MB | bound MB |\n|---|---|---|---|---|---|"
        )
        for name, (which, mapped) in SEARCHES.items():
            row = run_row("large_index", name, place)
            limit = f"{bound(row['before'], folder, which, mapped):.0f}"
            cells = [
                f"{1000 * row['seconds'] / QUERIES:.2f}",
                f"{row['recall_1']:.3f}",
                f"{row['recall_10']:.3f}",
            ]
            print(
                f"| {name} | {' | '.join(cells)} | {row['megabytes']:.0f} | {limit} |", flush=True
            )
        found = [np.load(folder / f"found {name}.npy") for name in SEARCHES]
        assert all(np.array_equal(found[0], other) for other in found[1:]), "the ways disagree"


if __name__ == "__main__":
    main(sys.argv[1:])
