"""Statistics of answers.

Shares with intervals over people and images, and how well labels were told apart.
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
    """Who answered about what.

    Attributes:
        people: (n,) person of each answer.
        images: (n,) image, or pair, that each answer is about.
    """

    people: Sequence[object]
    images: Sequence[object]

    def table(self, values: Truth) -> NDArray[np.float64]:
        """Sums of values by person and image, (P, I)."""
        return crossed_table(self.people, self.images, np.asarray(values, dtype=np.float64))


def share(counted: Truth, of: Truth, crossing: Crossing | None = None) -> Share | None:
    """Share of some answers among others, with its 95 % interval; None of nothing.

    Args:
        counted: (n,) answers that count.
        of: (n,) answers among which they count.
        crossing: Who answered about what: the interval is a two-way bootstrap over people and
            images, None for one of either. Without it each entry is a distinct image, and the
            interval is Clopper and Pearson's.
    """
    among = np.asarray(of, dtype=bool)
    hits = np.asarray(counted, dtype=bool) & among
    count, total = int(hits.sum()), int(among.sum())
    if total == 0:
        return None
    units: dict[str, int]
    found: Interval | None
    if crossing is None:
        found, units = proportion_interval(count, total), {"images": total}
    else:
        table = crossing.table(among)
        found = crossed_share_interval(crossing.table(hits), table)
        units = {
            "people": int(table.any(axis=1).sum()),
            "images": int(table.any(axis=0).sum()),
        }
    low, high = found or (None, None)
    return {"share": count / total, "low": low, "high": high, "count": count, "of": total} | units


def confusion(positive: Truth, said: Truth, crossing: Crossing | None = None) -> dict[str, Any]:
    """Figures of yes-or-no answers; those that are undefined are None.

    Args:
        positive: True where the image is of the target class, (n,).
        said: True where it was taken for one, (n,).
        crossing: Who answered about what; see :func:`share`.

    Returns:
        Accuracy, precision, recall, specificity and false omission (of all images taken for
        negative, the positive share), each with its interval; d' with its interval, and the
        criterion c of signal detection, with half an answer added to every cell, so that they are
        finite.
    """
    truth, told = np.asarray(positive, dtype=bool), np.asarray(said, dtype=bool)
    right, every = truth == told, np.ones(len(truth), dtype=bool)
    hits, false = int((truth & told).sum()), int((~truth & told).sum())
    both = bool(truth.any() and not truth.all())
    counts = np.array([[hits], [truth.sum()], [false], [(~truth).sum()]], dtype=np.float64)
    place = signal_detection(counts) if both else None
    return {
        "accuracy": share(right, every, crossing),
        "precision": share(truth, told, crossing),
        "recall": share(told, truth, crossing),
        "specificity": share(~told, ~truth, crossing),
        "false_omission": share(truth, ~told, crossing),
        "d_prime": None if place is None else float(place[0, 0]),
        "d_prime_interval": _d_prime_interval(truth, told, crossing) if both else None,
        "criterion": None if place is None else float(place[1, 0]),
    }


def signal_detection(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sensitivity d' and criterion c, (2, k), of k times hits, positives, false alarms and negatives, (4, k)."""
    from scipy.special import ndtri

    hits, positives, false, negatives = counts
    found = ndtri([(hits + 0.5) / (positives + 1), (false + 0.5) / (negatives + 1)])
    return np.stack([found[0] - found[1], -found.mean(axis=0)])


def _d_prime_interval(
    truth: NDArray[np.bool_], told: NDArray[np.bool_], crossing: Crossing | None
) -> Interval | None:
    """Interval of d' over people and images, or over distinct images."""
    cells = np.stack([truth & told, truth, ~truth & told, ~truth]).astype(np.float64)
    if crossing is not None:
        tables = np.stack([crossing.table(cell) for cell in cells])
        return crossed_interval(lambda totals: signal_detection(totals)[0], tables)

    def of_rows(rows: NDArray[np.int64], axis: int = -1) -> NDArray[np.float64]:
        counts = cells[:, np.atleast_2d(rows)].sum(axis=-1)
        found = signal_detection(counts)[0]
        return found if rows.ndim > 1 else found[0]

    return bootstrap_interval(of_rows, len(truth), resamples=1000, seed=0)


def over_people(values: Sequence[float]) -> dict[str, float | int | None]:
    """Mean of people's shares with its 95 % interval over people, the images being fixed.

    The best and the worst of them.
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
