"""What answers say: shares with their intervals, and how well labels were told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.statistics import half_width, proportion_interval

Share = dict[str, float | int]


def share(count: int, of: int) -> Share | None:
    """A share and its 95 % Wilson interval; None of nothing."""
    if of == 0:
        return None
    low, high = proportion_interval(count, of, "wilson")
    return {"share": count / of, "low": low, "high": high, "count": count, "of": of}


def confusion(positive: Sequence[bool], said: Sequence[bool]) -> dict[str, Any]:
    """Figures of yes-or-no answers; those that are undefined are None.

    Args:
        positive: Whether each picture is of the target class.
        said: Whether it was taken for one.

    Returns:
        Accuracy, precision, recall, specificity and false omission (of all pictures taken for negative, the positive share), each with
        its Wilson interval; d' and the criterion c of signal detection, with half an answer added to every cell, so that they are finite.
    """
    from scipy.special import ndtri

    truth, told = np.asarray(positive, dtype=bool), np.asarray(said, dtype=bool)
    hits, misses = int((truth & told).sum()), int((truth & ~told).sum())
    false, right = int((~truth & told).sum()), int((~truth & ~told).sum())
    found = ndtri(
        np.array([(hits + 0.5) / (hits + misses + 1), (false + 0.5) / (false + right + 1)])
    )
    both = hits + misses > 0 and false + right > 0
    return {
        "accuracy": share(hits + right, len(truth)),
        "precision": share(hits, hits + false),
        "recall": share(hits, hits + misses),
        "specificity": share(right, false + right),
        "false_omission": share(misses, misses + right),
        "d_prime": float(found[0] - found[1]) if both else None,
        "criterion": float(-found.mean()) if both else None,
    }


def over_people(values: Sequence[float]) -> dict[str, float]:
    """Mean over participants with its 95 % interval (Student's t), the best and the worst of them."""
    array: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    ends = {"best": float(array.max()), "worst": float(array.min())}
    return {
        "mean": float(array.mean()),
        "half_width": half_width(array),
        **ends,
        "people": len(array),
    }
