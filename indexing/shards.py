"""One index in several files, by faiss's own means: processes fill them side by side, a search goes through all (``IndexShards``)."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import faiss
import torch

from engine.progress import progress
from indexing.faiss_files import read_faiss, write_faiss
from models.search import faiss_errors
from models.store import VectorStore


@dataclass(frozen=True)
class Share:
    """What one file of an index gets.

    Attributes:
        file: The file to write.
        trained: The trained, empty index.
        features: Folders of all descriptors, in order.
        start: First row of this file, counted through all folders.
        stop: One after its last.
        chunk: Rows read at a time.
        threads: Of faiss.
    """

    file: Path
    trained: Path
    features: Sequence[Path]
    start: int
    stop: int
    chunk: int
    threads: int


def fill_shards(trained: Path, features: Sequence[Path], rows: int, files: Sequence[Path], processes: int, chunk: int) -> None:
    """Insert descriptors into several files, each with an equal share of consecutive rows; ids go on from file to file.

    Args:
        trained: The trained, empty index.
        features: Folders of descriptors.
        rows: How many there are in all.
        files: To write.
        processes: How many files are filled at a time; each is in memory while it is.
        chunk: Rows read at a time, by each.

    Raises:
        ValueError: If a descriptor is not finite, or a process was ended from outside.
    """
    ends = [rows * (place + 1) // len(files) for place in range(len(files))]
    threads = max(1, torch.get_num_threads() // processes)
    shares = [
        Share(file, trained, features, start, stop, chunk, threads) for file, start, stop in zip(files, [0, *ends], ends, strict=False)
    ]
    if processes == 1:
        for share in progress(shares, unit="shard"):
            fill(share)
        return
    try:
        with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
            waiting = [pool.submit(fill, share) for share in shares]
            for done in progress(as_completed(waiting), total=len(waiting), unit="shard"):
                done.result()
    except BrokenProcessPool as error:
        msg = "a process that filled a shard was ended from outside, mostly for want of memory; give more shards, or fewer processes"
        raise ValueError(msg) from error


def fill(share: Share) -> None:
    """Fill one file."""
    faiss.omp_set_num_threads(share.threads)
    index, first = read_faiss(share.trained), 0
    for folder in share.features:
        part = VectorStore.open(folder, verify=False)  # verified before the processes were started
        begin, end = max(share.start - first, 0), min(share.stop - first, len(part))
        for start in range(begin, end, share.chunk):
            with faiss_errors(f"{share.file} takes no such entries"):
                index.add(part.rows(start, min(start + share.chunk, end)))
        first += len(part)
    write_faiss(index, share.file)
