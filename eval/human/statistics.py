"""Statistics of people's answers.

They are shares with intervals over people and images, and signal detection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.statistics import (
    Interval,
    bootstrap_interval,
    crossed_interval,
    crossed_share_interval,
    crossed_table,
    proportion_interval,
    share_interval,
)

Share = dict[str, float | int | None]
Truth = Sequence[bool] | NDArray[np.bool_]


@dataclass(frozen=True)
class Crossing:
    """Person and image of each answer.

    Attributes:
        people: (n,) person of each answer.
        images: (n,) image or item of each answer.
    """

    people: Sequence[object]
    images: Sequence[object]

    def table(self, values: Truth) -> NDArray[np.float64]:
        """Sums of values by person and image, (P, I)."""
        return crossed_table(self.people, self.images, np.asarray(values, dtype=np.float64))


def share(counted: Truth, of: Truth, crossing: Crossing | None = None) -> Share | None:
    """Share of answers that count, with its 95 % interval.

    Args:
        counted: (n,) True for answers that count.
        of: (n,) True for answers among which they count.
        crossing: Person and image of each answer. The interval is then a two-way bootstrap over
            people and images; it is None for one person or one image. If ``crossing`` is None,
            each entry is a distinct image, and the interval is Clopper and Pearson's.

    Returns:
        Share, ends of its interval, and numbers; None if ``of`` is never True.
    """
    among = np.asarray(of, dtype=bool)
    hits = np.asarray(counted, dtype=bool) & among
    count = int(hits.sum())
    total = int(among.sum())
    if total == 0:
        return None
    units: dict[str, int]
    interval: Interval | None
    if crossing is None:
        interval = proportion_interval(count, total)
        units = {"images": total}
    else:
        table = crossing.table(among)
        interval = crossed_share_interval(crossing.table(hits), table)
        units = {
            "people": int(table.any(axis=1).sum()),
            "images": int(table.any(axis=0).sum()),
        }
    low, high = interval or (None, None)
    return {"share": count / total, "low": low, "high": high, "count": count, "of": total} | units


def confusion(truth: Truth, answers: Truth, crossing: Crossing | None = None) -> dict[str, Any]:
    """Figures of yes-or-no answers; undefined ones are None.

    Args:
        truth: (n,) True if the image is of the target class.
        answers: (n,) True if the image was taken for one of the target class.
        crossing: Person and image of each answer; see :func:`share`.

    Returns:
        Accuracy, precision, recall, specificity and false omission, each with its interval. False
        omission is the share of positives among all images taken for negative. The sensitivity d'
        with its interval and the criterion c come from signal detection; half an answer is added
        to every cell, so that they are finite.
    """
    actual = np.asarray(truth, dtype=bool)
    predicted = np.asarray(answers, dtype=bool)
    right = actual == predicted
    every = np.ones(len(actual), dtype=bool)
    sensitivity: dict[str, Any] = dict.fromkeys(("d_prime", "d_prime_interval", "criterion"))
    if actual.any() and not actual.all():
        cells = _signal_cells(actual, predicted)
        d_prime, criterion = signal_detection(cells.sum(axis=1, keepdims=True))
        sensitivity = {
            "d_prime": float(d_prime[0]),
            "d_prime_interval": _d_prime_interval(cells, crossing),
            "criterion": float(criterion[0]),
        }
    return {
        "accuracy": share(right, every, crossing),
        "precision": share(actual, predicted, crossing),
        "recall": share(predicted, actual, crossing),
        "specificity": share(~predicted, ~actual, crossing),
        "false_omission": share(actual, ~predicted, crossing),
        **sensitivity,
    }


def _signal_cells(truth: NDArray[np.bool_], answers: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Masks of hits, positives, false alarms and negatives, (4, n)."""
    return np.stack([truth & answers, truth, ~truth & answers, ~truth]).astype(np.float64)


def signal_detection(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sensitivity d' and criterion c of signal detection, (2, k).

    Half an answer is added to every cell.

    Args:
        counts: (4, k) numbers of hits, positives, false alarms and negatives.
    """
    from scipy.special import ndtri

    hits, positives, false_alarms, negatives = counts
    z = ndtri([(hits + 0.5) / (positives + 1), (false_alarms + 0.5) / (negatives + 1)])
    return np.stack([z[0] - z[1], -z.mean(axis=0)])


def _d_prime_interval(cells: NDArray[np.float64], crossing: Crossing | None) -> Interval | None:
    """Interval of d' over people and images, or over distinct images.

    Args:
        cells: (4, n) result of :func:`_signal_cells`.
        crossing: Person and image of each answer; None if each answer is a distinct image.
    """
    if crossing is not None:
        tables = np.stack([crossing.table(cell) for cell in cells])
        return crossed_interval(lambda totals: signal_detection(totals)[0], tables)

    def of_rows(rows: NDArray[np.int64], axis: int = -1) -> NDArray[np.float64]:
        counts = cells[:, np.atleast_2d(rows)].sum(axis=-1)
        d_prime = signal_detection(counts)[0]
        return d_prime if rows.ndim > 1 else d_prime[0]

    return bootstrap_interval(of_rows, cells.shape[1], resamples=1000, seed=0)


def over_people(values: Sequence[float]) -> dict[str, float | int | None]:
    """Mean, 95 % interval, best and worst of people's shares.

    The interval is over people, for fixed images.
    """
    array: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    low, high = share_interval(array) or (None, None)
    return {
        "mean": float(array.mean()),
        "low": low,
        "high": high,
        "best": float(array.max()),
        "worst": float(array.min()),
        "people": len(array),
    }
