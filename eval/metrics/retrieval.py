"""Retrieval metrics: ranks, recall, and micro average precision."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

Missed = Literal["never", "last"]


def ranks(ids: NDArray[np.int64], truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rank of the true entry among each query's neighbors, from 0.

    Args:
        ids: (N, k) ids of the neighbors.
        truth: (N,) id of the true entry.

    Returns:
        (N,); -1 if the true entry is not among the neighbors.
    """
    hits = (ids == truth[:, None]) & (truth[:, None] >= 0)
    return np.where(hits.any(axis=1), hits.argmax(axis=1), -1)


def pairs(
    scores: NDArray[np.float64], ids: NDArray[np.int64], truth: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[Any], int]:
    """List all query-entry pairs, as micro average precision ranks them.

    Args:
        scores: (N, k), larger for better matches; NaN leaves a neighbor out.
        ids: (N, k) ids of the neighbors; -1 if there is no neighbor.
        truth: (N,) id of the entry that a query shows; -1 for queries without one.

    Returns:
        Scores of all pairs (P,), their correctness (P,), and the number of true entries missed.
    """
    valid = (ids >= 0) & np.isfinite(scores)
    correct = valid & (ids == truth[:, None])
    missed = int(((truth >= 0) & ~correct.any(axis=1)).sum())
    return scores[valid], correct[valid], missed


def micro_average_precision(
    scores: NDArray[np.float64], right: NDArray[np.bool_], missed: int, how: Missed = "never"
) -> float:
    """Area below the precision-recall curve of all pairs.

    Args:
        scores: (P,) scores of the pairs.
        right: (P,) correctness of the pairs.
        missed: Number of true pairs that were not retrieved.
        how: ``never``: missed pairs are never recalled (official measure of DISC21, arXiv
            2106.09672). ``last``: they come after all others, as in active indexing's notebook,
            which gives a slightly larger value.

    Raises:
        ValueError: If there is no true pair.
    """
    if not right.any() and not missed:
        msg = "micro average precision needs at least one query that shows an entry of the index"
        raise ValueError(msg)
    if how == "last":
        least = float(scores.min()) - 1 if len(scores) else 0.0
        scores = np.append(scores, [least] * missed)
        right = np.append(right, [True] * missed).astype(bool)
        return float(average_precision_score(right, scores))
    retrieved = int(right.sum())
    if not retrieved:
        return 0.0
    return float(average_precision_score(right, scores)) * retrieved / (retrieved + missed)


def precision_recall(
    scores: NDArray[np.float64], right: NDArray[np.bool_], missed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Precision-recall curve of all pairs; missed pairs count in the recall.

    Args:
        scores: (P,) scores of the pairs.
        right: (P,) correctness of the pairs.
        missed: Number of true pairs that were not retrieved.

    Returns:
        Precision, recall and score of each point of the curve.
    """
    if not right.any():
        return np.array([0.0]), np.array([0.0]), np.array([0.0])
    precision, recall, thresholds = precision_recall_curve(right, scores)
    share = right.sum() / (right.sum() + missed)
    return precision[:-1], recall[:-1] * share, thresholds


class RecallAt(Metric):
    """Share of queries with a hit among n neighbors.

    Args:
        n: Number of neighbors, at least 1.
        settings: Settings of torchmetrics, such as ``sync_on_compute``.
    """

    higher_is_better = True
    full_state_update = False
    hits: Tensor
    total: Tensor

    def __init__(self, n: int = 1, **settings: Any) -> None:
        super().__init__(**settings)
        self.n = n
        self.add_state("hits", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, ids: Tensor, truth: Tensor) -> None:
        """Add neighbors (N, k) and true entries (N,)."""
        self.hits += (ids[:, : self.n] == truth[:, None]).any(dim=1).sum()
        self.total += len(truth)

    def compute(self) -> Tensor:
        return self.hits / self.total


class MicroAveragePrecision(Metric):
    """:func:`micro_average_precision` over batches and processes.

    Args:
        how: Treatment of missed true entries, see :func:`micro_average_precision`.
        settings: Settings of torchmetrics, such as ``sync_on_compute``.
    """

    higher_is_better = True
    full_state_update = False
    scores: list[Tensor]
    correct: list[Tensor]
    missed: Tensor

    def __init__(self, how: Missed = "never", **settings: Any) -> None:
        super().__init__(**settings)
        self.how = how
        self.add_state("scores", [], dist_reduce_fx="cat")
        self.add_state("correct", [], dist_reduce_fx="cat")
        self.add_state("missed", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, scores: Tensor, ids: Tensor, truth: Tensor) -> None:
        """Add a batch of queries.

        Args:
            scores: (N, k), larger for better matches.
            ids: (N, k) ids of the neighbors.
            truth: (N,) id of the true entry; -1 for queries without one.
        """
        arrays = (scores.double().cpu().numpy(), ids.cpu().numpy(), truth.cpu().numpy())
        values, correct, missed = pairs(*arrays)
        self.scores.append(torch.from_numpy(values).to(self.device))
        self.correct.append(torch.from_numpy(correct).to(self.device))
        self.missed += missed

    def compute(self) -> Tensor:
        scores = dim_zero_cat(self.scores).cpu().numpy()
        correct = dim_zero_cat(self.correct).cpu().numpy().astype(bool)
        return torch.tensor(micro_average_precision(scores, correct, int(self.missed), self.how))
