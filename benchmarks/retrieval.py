"""Searching 100,000 vectors: the store's, memory-mapped once, against reading batch files again for every query.

``python -m benchmarks.retrieval``: 100,000 unit vectors of 512 numbers, one query at a time and a hundred at once. The straightforward
way reads files of 2,048 vectors with ``torch.load`` and keeps a running top 20, as the published program does, without the model that it
opens anew for each query. Both must find the same pictures.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from models.search import ExactIndex, rankings
from models.store import VectorStore

COUNT, LENGTH, BATCH, TOP_K = 100_000, 512, 2048, 20


def by_batches(folder: Path, query: torch.Tensor) -> list[str]:
    """Every file read, a running best kept."""
    scores, names = torch.empty(0), list[str]()
    for file in sorted(folder.glob("*.pt"), key=lambda path: int(path.stem)):
        part = torch.load(file, weights_only=True)
        scores = torch.cat([scores, part["vectors"] @ query])
        names = names + part["paths"]
        order = scores.argsort(descending=True)[:TOP_K]
        scores, names = scores[order], [names[place] for place in order]
    return names


def timed(work: object, repeats: int) -> float:
    """The fastest of several runs, in seconds."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        work()  # type: ignore[operator]
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((COUNT, LENGTH), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = vectors[rng.integers(COUNT, size=100)] + 0.05 * rng.standard_normal(
        (100, LENGTH), dtype=np.float32
    )
    names = [f"{number:06d}.jpg" for number in range(COUNT)]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for start in range(0, COUNT, BATCH):
            part = {
                "vectors": torch.from_numpy(vectors[start : start + BATCH].copy()),
                "paths": names[start : start + BATCH],
            }
            torch.save(part, folder / f"{start}.pt")
        VectorStore(vectors, names, {"name": "benchmark"}).write(folder / "store")
        store = VectorStore.open(folder / "store")
        index = ExactIndex([(store.names, store.matrix)])
        plain = [by_batches(folder, torch.from_numpy(query)) for query in queries[:5]]
        ours = [[name for name, _ in ranking] for ranking in rankings(index, queries, TOP_K)]
        brute = [
            [names[i] for i in np.argsort(-(vectors @ query), kind="stable")[:TOP_K]]
            for query in queries
        ]
        assert plain == ours[:5], "the two ways disagree"
        assert brute == ours, "not what brute force finds"
        slow = timed(lambda: by_batches(folder, torch.from_numpy(queries[0])), 5)
        one = timed(lambda: rankings(index, queries[:1], TOP_K), 10)
        many = timed(lambda: rankings(index, queries, TOP_K), 5) / len(queries)
    print("| | ms a query | ratio |\n|---|---|---|")
    for label, seconds in (
        ("batch files read for each query", slow),
        ("ours, one query", one),
        ("ours, a hundred at once", many),
    ):
        print(f"| {label} | {1000 * seconds:.2f} | {slow / seconds:.1f} |")


if __name__ == "__main__":
    main()
