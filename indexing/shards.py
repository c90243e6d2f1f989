"""Sharded indices: several files, filled by parallel processes.

A search uses all files, through faiss's ``IndexShards``.
"""

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
class ShardTask:
    """One file of an index and the rows to fill it with.

    Attributes:
        file: File to write.
        trained: File of the trained, empty index.
        features: Folders of all descriptors, in order.
        start: First row of this file, counted across all folders.
        stop: One above its last row.
        chunk: Rows read at once.
        threads: Threads of faiss.
    """

    file: Path
    trained: Path
    features: Sequence[Path]
    start: int
    stop: int
    chunk: int
    threads: int


def fill_shards(
    trained: Path,
    features: Sequence[Path],
    rows: int,
    files: Sequence[Path],
    processes: int,
    chunk: int,
) -> None:
    """Fill several files with equal numbers of consecutive rows.

    Ids are consecutive across the files.

    Args:
        trained: File of the trained, empty index.
        features: Folders of descriptors.
        rows: Total number of descriptors.
        files: Files to write.
        processes: Files filled in parallel; each is held in memory meanwhile.
        chunk: Rows read at once, by each process.

    Raises:
        ValueError: If a descriptor is not finite, or a process was killed.
    """
    # consecutive rows of each file
    threads = max(1, torch.get_num_threads() // processes)
    tasks = []
    for number, file in enumerate(files):
        start = rows * number // len(files)
        stop = rows * (number + 1) // len(files)
        tasks.append(ShardTask(file, trained, features, start, stop, chunk, threads))
    # in this process
    if processes == 1:
        for task in progress(tasks, unit="shard"):
            fill_shard(task)
        return
    # in parallel processes
    try:
        with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
            futures = [pool.submit(fill_shard, task) for task in tasks]
            for future in progress(as_completed(futures), total=len(futures), unit="shard"):
                future.result()
    except BrokenProcessPool as error:
        msg = (
            "a process that filled a shard was killed, most likely for lack of memory; give more "
            "shards, or fewer processes"
        )
        raise ValueError(msg) from error


def fill_shard(task: ShardTask) -> None:
    """Fill and write one file."""
    faiss.omp_set_num_threads(task.threads)
    index = read_faiss(task.trained)
    offset = 0
    for folder in task.features:
        store = VectorStore.open(folder, verify=False)  # verified before the processes started
        begin = max(task.start - offset, 0)
        end = min(task.stop - offset, len(store))
        for start in range(begin, end, task.chunk):
            with faiss_errors(f"{task.file} takes no such entries"):
                index.add(store.rows(start, min(start + task.chunk, end)))
        offset += len(store)
    write_faiss(index, task.file)
