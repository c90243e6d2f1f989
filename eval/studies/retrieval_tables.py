"""CSV tables of the copy-detection study."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

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
]
RETRIEVAL += ["rank", "r@1", "r@10", "r@100", "ap"]
DETECTION = ["batch", "image_index", "attack", "retrieved_distances", "retrieved_ids"]


def write_retrieval(
    target: Path,
    labels: list[tuple[str, str]],
    truth: NDArray[np.int64],
    distances: NDArray,
    ids: NDArray,
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
    for picture, own in enumerate(truth):
        places = ranks(ids[picture], np.full(len(labels), own))
        for place, (kind, parameter) in enumerate(labels):
            rank, found = int(places[place]), places[place] >= 0
            hits = [int(found and rank < n) for n in (1, 10, 100)]
            near = [
                json.dumps(values[picture, place].tolist())
                for values in (distances.astype(np.float64).round(6), ids)
            ]
            ap = 1 / (rank + 1) if found else 0.0
            rows.append(
                [
                    picture // batch,
                    own,
                    kind,
                    parameter,
                    *near,
                    rank if found else ids.shape[-1],
                    *hits,
                    ap,
                ]
            )
    write_table(target, RETRIEVAL, (dict(zip(RETRIEVAL, row, strict=True)) for row in rows))


def write_detection(
    target: Path, queries: Sequence[Query], distances: NDArray, ids: NDArray, seed: int, batch: int
) -> None:
    """Write ``icd_df.csv``: one row for each query, edited by its random chain.

    Args:
        target: The file.
        queries: N queries.
        distances: (N, k) of the neighbors.
        ids: (N, k) of the neighbors.
        seed: Of the random chains.
        batch: Images of one batch, for the column ``batch``.
    """
    rows = []
    for place, query in enumerate(queries):
        names = RandomChain().draw(edit_generator(seed, query.original))
        near = [
            json.dumps(values[place].tolist())
            for values in (distances.astype(np.float64).round(6), ids)
        ]
        rows.append([place // batch, query.truth, "+".join(names), *near])
    write_table(target, DETECTION, (dict(zip(DETECTION, row, strict=True)) for row in rows))
