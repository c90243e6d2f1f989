"""Model of memory, disk and latency of sharded IVF-PQ, checked against measurements.

Run ``python -m benchmarks.index_model 0.2 0.4 1`` for indices of so many million entries, or
``1 4 16`` on an idle machine. Each size is a process of its own, on one thread.

The model, for N entries in C cells, of which P are searched, codes of M bytes, D dimensions and
S files:

* bytes of all files: N (M + 8) for codes and ids, 4 C D for cells and 1,024 D for code tables, the
  latter two once in each file
* milliseconds of a query: coarse C D + overhead P S + scan M N P / C

The three constants are fitted on all sizes but the last, which they predict: it is their test. The
fit needs sizes that differ in entries a cell.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.rows import run_row
from indexing.faiss_files import joined, make_index, read_faiss, write_faiss

D = 128
M = 16
PART = 50_000
QUERIES = 300
TRAINING = 100_000
PROBES = (1, 16, 64, 256)
SHARDS = 4


Row = tuple[float, dict[str, Any]]
"""Millions of entries, and figures of :func:`measure`."""


@dataclass(frozen=True)
class Size:
    """An index of the model."""

    entries: int
    cells: int
    shards: int = SHARDS

    def bytes(self) -> int:
        """Predict the bytes of all files."""
        tables = self.shards * (4 * self.cells * D + 1024 * D)
        return self.entries * (M + 8) + tables

    def terms(self, probes: int) -> NDArray[np.float64]:
        """Return what the three constants of the latency are multiplied by."""
        scanned = M * self.entries * probes / self.cells
        return np.array([self.shards * self.cells * D, probes * self.shards, scanned])


def of_millions(millions: float) -> Size:
    """Return the index of a benchmark: more cells for more entries.

    The sizes that are fitted need different numbers of entries a cell. Otherwise nothing tells the
    overhead of a cell from the scan of its codes.
    """
    return Size(round(millions * 1e6), 1024 if millions < 1 else 4096)


def vectors(rng: np.random.Generator, centers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Draw unit vectors around centers."""
    rows = centers[rng.integers(len(centers), size=PART)]
    rows = rows + rng.standard_normal((PART, D), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def measure(millions: float) -> dict[str, Any]:
    """Build a sharded index and time single queries."""
    faiss.omp_set_num_threads(1)
    size = of_millions(millions)
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((20_000, D), dtype=np.float32)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trained = make_index(f"IVF{size.cells},PQ{M}", D, "l2")
        start = time.process_time()
        trained.train(np.concatenate([vectors(rng, centers) for _ in range(TRAINING // PART)]))
        training = time.process_time() - start
        files = []
        start = time.process_time()
        for shard in range(size.shards):
            part = faiss.clone_index(trained)
            for _ in range(size.entries // size.shards // PART or 1):
                part.add(vectors(rng, centers)[: size.entries // size.shards])
            files.append(folder / f"{shard}.faiss")
            write_faiss(part, files[-1])
            del part
        adding = time.process_time() - start
        index = joined([read_faiss(file) for file in files])
        queries = vectors(rng, centers)[:QUERIES]
        times = {}
        for probes in PROBES:
            faiss.ParameterSpace().set_index_parameters(index, f"nprobe={probes}")
            start = time.process_time()
            for query in queries:
                index.search(query[None], 10)
            times[str(probes)] = 1000 * (time.process_time() - start) / QUERIES
        return {
            "entries": index.ntotal,
            "bytes": sum(file.stat().st_size for file in files),
            "training_seconds": training,
            "adding_seconds": adding,
            "milliseconds": times,
        }


def fitted(rows: Sequence[Row]) -> NDArray[np.float64]:
    """Fit the constants, none below 0, to several sizes with least relative errors."""
    from scipy.optimize import nnls

    terms = []
    for millions, figures in rows:
        for probes, measured in figures["milliseconds"].items():
            terms.append(of_millions(millions).terms(int(probes)) / measured)
    scale = np.max(terms, axis=0)
    constants: NDArray[np.float64] = nnls(np.stack(terms) / scale, np.ones(len(terms)))[0]
    return constants / scale


def print_model(rows: Sequence[Row]) -> None:
    """Print measurements, predictions, the constants and the plans."""
    constants = fitted(rows[:-1])
    probes = " | ".join(f"ms, {count} cells | model" for count in PROBES)
    print(f"| million entries | cells | MB | model | {probes} |")
    print(f"|---|---|---|---|{'---|---|' * len(PROBES)}")
    for millions, figures in rows:
        size = of_millions(millions)
        cells = [f"{millions:g}", f"{size.cells:,}"]
        cells += [f"{figures['bytes'] / 2**20:.1f}", f"{size.bytes() / 2**20:.1f}"]
        for count, measured in figures["milliseconds"].items():
            cells += [f"{measured:.2f}", f"{size.terms(int(count)) @ constants:.2f}"]
        print(f"| {' | '.join(cells)} |")
    coarse, overhead, scan = constants * 1e6
    print(f"\n{coarse:.3f} ns a cell and dimension, ", end="")
    print(f"{overhead:.0f} ns a cell searched in a file, {scan:.3f} ns a byte of code")
    for title, size, count in PLANS:
        milliseconds = size.terms(count) @ constants
        print(
            f"{title}: {size.bytes() / 2**30:.1f} GB, {milliseconds:.1f} ms a query of one thread"
        )


def main(arguments: list[str]) -> None:
    """Print the table, or one size's figures as JSON."""
    if arguments[0] == "row":
        print(json.dumps(measure(float(arguments[1]))))
        return
    rows = []
    for millions in sorted(map(float, arguments)):
        rows.append((millions, run_row("index_model", "row", str(millions))))
        print(rows[-1], file=sys.stderr)
    print_model(rows)


PLANS = (
    ("1 billion, 65,536 cells, 64 searched, 64 files", Size(10**9, 65_536, 64), 64),
    ("one of 8 machines of it", Size(125 * 10**6, 65_536, 8), 64),
)
"""Indices that are predicted: name, size, and cells searched."""


if __name__ == "__main__":
    main(sys.argv[1:])
