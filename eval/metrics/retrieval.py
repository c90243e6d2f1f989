"""Is the picture that a query shows among its neighbours, and how far up?"""

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
    """Place of the true entry among each query's neighbours, from 0; -1 where it is not among them.

    Args:
        ids: (N, k).
        truth: (N,).
    """
    hits = (ids == truth[:, None]) & (truth[:, None] >= 0)
    return np.where(hits.any(axis=1), hits.argmax(axis=1), -1)


def pairs(
    scores: NDArray[np.float64], ids: NDArray[np.int64], truth: NDArray[np.int64]
) -> tuple[NDArray, NDArray, int]:
    """Query-entry pairs as micro average precision ranks them.

    Args:
        scores: (N, k), larger for surer matches; NaN leaves a neighbour out.
        ids: (N, k); -1 where nothing was found.
        truth: (N,) id of the entry that a query shows; -1 for queries that show none.

    Returns:
        Scores of all pairs, whether they are right, and how many right ones were not found.
    """
    kept = (ids >= 0) & np.isfinite(scores)
    right = kept & (ids == truth[:, None])
    missed = int(((truth >= 0) & ~right.any(axis=1)).sum())
    return scores[kept], right[kept], missed


def micro_average_precision(
    scores: NDArray[np.float64], right: NDArray[np.bool_], missed: int, how: Missed = "never"
) -> float:
    """Area below the precision-recall curve of all pairs of all queries together.

    Args:
        scores: (P,).
        right: (P,).
        missed: True pairs that were not found.
        how: ``never``: they are never recalled (DISC21's official measure, arXiv 2106.09672). ``last``: they come after all others,
            as in active indexing's notebook, which makes it a little larger.

    Raises:
        ValueError: If there is no true pair.
    """
    if not right.any() and not missed:
        msg = "micro average precision needs at least one query that shows an entry of the index"
        raise ValueError(msg)
    if how == "last":
        least = float(scores.min()) - 1 if len(scores) else 0.0
        scores, right = (
            np.append(scores, [least] * missed),
            np.append(right, [True] * missed).astype(bool),
        )
        return float(average_precision_score(right, scores))
    found = int(right.sum())
    return (
        float(average_precision_score(right, scores)) * found / (found + missed) if found else 0.0
    )


def precision_recall(
    scores: NDArray[np.float64], right: NDArray[np.bool_], missed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Precision, recall (of all true pairs, also those not found) and the score each point stands for."""
    if not right.any():
        return np.array([0.0]), np.array([0.0]), np.array([0.0])
    precision, recall, thresholds = precision_recall_curve(right, scores)
    share = right.sum() / (right.sum() + missed)
    return precision[:-1], recall[:-1] * share, thresholds


class RecallAt(Metric):
    """Share of queries whose true entry is among the first n neighbours.

    Args:
        n: How many neighbours count.
    """

    higher_is_better = True
    full_state_update = False
    found: Tensor
    total: Tensor

    def __init__(self, n: int = 1, **settings: Any) -> None:
        super().__init__(**settings)
        self.n = n
        self.add_state("found", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, ids: Tensor, truth: Tensor) -> None:
        """Neighbours (N, k) and true entries (N,)."""
        self.found += (ids[:, : self.n] == truth[:, None]).any(dim=1).sum()
        self.total += len(truth)

    def compute(self) -> Tensor:
        return self.found / self.total


class MicroAveragePrecision(Metric):
    """:func:`micro_average_precision` over batches and processes.

    Args:
        how: What becomes of true entries that were not found.
    """

    higher_is_better = True
    full_state_update = False
    scores: list[Tensor]
    right: list[Tensor]
    missed: Tensor

    def __init__(self, how: Missed = "never", **settings: Any) -> None:
        super().__init__(**settings)
        self.how = how
        self.add_state("scores", [], dist_reduce_fx="cat")
        self.add_state("right", [], dist_reduce_fx="cat")
        self.add_state("missed", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, scores: Tensor, ids: Tensor, truth: Tensor) -> None:
        """Scores and ids (N, k), and true entries (N,), -1 for queries without one."""
        values, right, missed = pairs(
            scores.double().cpu().numpy(), ids.cpu().numpy(), truth.cpu().numpy()
        )
        self.scores.append(torch.from_numpy(values).to(self.device))
        self.right.append(torch.from_numpy(right).to(self.device))
        self.missed += missed

    def compute(self) -> Tensor:
        scores, right = (
            dim_zero_cat(self.scores).cpu().numpy(),
            dim_zero_cat(self.right).cpu().numpy().astype(bool),
        )
        return torch.tensor(micro_average_precision(scores, right, int(self.missed), self.how))
