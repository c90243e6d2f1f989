"""CSV tables of the copy-detection study."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.tables import write_table
from eval.metrics.retrieval import ranks
from eval.studies.lookup_job import Query
from images.transforms import RandomChain, edit_generator

RETRIEVAL = [
    "batch",
    "image_index",
    "attack",
    "attack_param",
    "retrieved_distances",
    "retrieved_indices",
    "rank",
    "r@1",
    "r@10",
    "r@100",
    "ap",
]
"""Columns of ``retr_df.csv``."""

DETECTION = ["batch", "image_index", "attack", "retrieved_distances", "retrieved_ids"]
"""Columns of ``icd_df.csv``."""

RECALL_DEPTHS = (1, 10, 100)


def write_retrieval(
    target: Path,
    labels: list[tuple[str, str]],
    truth: NDArray[np.int64],
    distances: NDArray[Any],
    ids: NDArray[Any],
    batch: int,
) -> None:
    """Write ``retr_df.csv``: one row for each image and edit.

    Args:
        target: The file.
        labels: Kind and parameter of each edit.
        truth: (N,) id of the entry that each image shows.
        distances: (N, edits, k) of the neighbors.
        ids: (N, edits, k) of the neighbors.
        batch: Images of one batch, for the column ``batch``.
    """
    rows = []
    for image, entry in enumerate(truth):
        image_ranks = ranks(ids[image], np.full(len(labels), entry))
        for edit, (kind, parameter) in enumerate(labels):
            rank = int(image_ranks[edit])
            hit = rank >= 0
            row = [
                image // batch,
                entry,
                kind,
                parameter,
                *_neighbor_lists(distances[image, edit], ids[image, edit]),
                rank if hit else ids.shape[-1],
                *(int(hit and rank < depth) for depth in RECALL_DEPTHS),
                1 / (rank + 1) if hit else 0.0,
            ]
            rows.append(dict(zip(RETRIEVAL, row, strict=True)))
    write_table(target, RETRIEVAL, rows)


def write_detection(
    target: Path,
    queries: Sequence[Query],
    distances: NDArray[Any],
    ids: NDArray[Any],
    seed: int,
    batch: int,
) -> None:
    """Write ``icd_df.csv``: one row for each query after its chain.

    Args:
        target: The file.
        queries: N queries.
        distances: (N, k) of the neighbors.
        ids: (N, k) of the neighbors.
        seed: Seed of the random chains.
        batch: Images of one batch, for the column ``batch``.
    """
    rows = []
    for number, query in enumerate(queries):
        chain = RandomChain().draw(edit_generator(seed, query.original))
        neighbors = _neighbor_lists(distances[number], ids[number])
        row = [number // batch, query.truth, "+".join(chain), *neighbors]
        rows.append(dict(zip(DETECTION, row, strict=True)))
    write_table(target, DETECTION, rows)


def _neighbor_lists(distances: NDArray[Any], ids: NDArray[Any]) -> list[str]:
    """Format distances (k,) and ids (k,) as JSON lists.

    Distances are rounded to six places.
    """
    rounded = distances.astype(np.float64).round(6)
    return [json.dumps(rounded.tolist()), json.dumps(ids.tolist())]
