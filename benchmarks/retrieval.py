"""Speed of exact search: a mapped store against batch files.

Run ``python -m benchmarks.retrieval``.

The 100,000 unit vectors have length 512. Queries are searched one at a time and a hundred at once.
The baseline reads files of 2,048 vectors with ``torch.load`` for each query and keeps a running top
20, as the published program does. It leaves out the model that the program opens for each query.
Both must find the same images.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.search import ExactIndex, rankings
from models.store import VectorStore

COUNT = 100_000
LENGTH = 512
BATCH = 2048
TOP_K = 20
QUERIES = 100


def search_files(folder: Path, query: torch.Tensor) -> list[str]:
    """Search all batch files with a running top k."""
    scores = torch.empty(0)
    names: list[str] = []
    for file in sorted(folder.glob("*.pt"), key=lambda path: int(path.stem)):
        part = torch.load(file, weights_only=True)
        scores = torch.cat([scores, part["vectors"] @ query])
        names = names + part["paths"]
        order = scores.argsort(descending=True)[:TOP_K]
        scores = scores[order]
        names = [names[index] for index in order]
    return names


def fastest(work: Callable[[], object], repeats: int) -> float:
    """Measure the fastest of several runs, in seconds."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def write_files(folder: Path, vectors: NDArray[np.float32], names: list[str]) -> None:
    """Write the baseline's batch files and our store.

    Args:
        folder: Folder to write to.
        vectors: (N, D) unit vectors.
        names: N names.
    """
    for start in range(0, COUNT, BATCH):
        part = {
            "vectors": torch.from_numpy(vectors[start : start + BATCH].copy()),
            "paths": names[start : start + BATCH],
        }
        torch.save(part, folder / f"{start}.pt")
    VectorStore(vectors, names, {"name": "benchmark"}).write(folder / "store")


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((COUNT, LENGTH), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    sources = rng.integers(COUNT, size=QUERIES)
    queries = vectors[sources] + 0.05 * rng.standard_normal((QUERIES, LENGTH), dtype=np.float32)
    names = [f"{number:06d}.jpg" for number in range(COUNT)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder, vectors, names)
        store = VectorStore.open(folder / "store")
        index = ExactIndex([(store.names, store.matrix)])
        # both must find the same images, and those that brute force finds
        ours = []
        for ranking in rankings(index, queries, TOP_K):
            ours.append([name for name, _ in ranking])
        published = [search_files(folder, torch.from_numpy(query)) for query in queries[:5]]
        assert published == ours[:5], "the two ways disagree"
        for query, found in zip(queries, ours, strict=True):
            order = np.argsort(-(vectors @ query), kind="stable")[:TOP_K]
            assert found == [names[number] for number in order], "not what brute force finds"
        # time
        slow = fastest(lambda: search_files(folder, torch.from_numpy(queries[0])), 5)
        one = fastest(lambda: rankings(index, queries[:1], TOP_K), 10)
        many = fastest(lambda: rankings(index, queries, TOP_K), 5) / len(queries)
    print("| | ms a query | ratio |\n|---|---|---|")
    rows = {
        "batch files read for each query": slow,
        "ours, one query": one,
        "ours, a hundred at once": many,
    }
    for label, seconds in rows.items():
        print(f"| {label} | {1000 * seconds:.2f} | {slow / seconds:.1f} |")


if __name__ == "__main__":
    main()
