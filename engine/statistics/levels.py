"""Multiple comparisons, and the least p-values that few people or keys can reach."""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial

import numpy as np


def holm(p: Sequence[float]) -> list[float]:
    """Adjust p-values for multiple comparisons (Holm 1979).

    The method bounds the probability of any false rejection.

    Unit: one comparison.
    Assumes: nothing about the dependence between comparisons.
    Fails: if some comparisons of the report are left out. With few people it can never reject; see
    :func:`least_people`.

    Args:
        p: P-values of all comparisons of a report, in [0, 1].

    Returns:
        Adjusted p-values in the same order, at most 1.
    """
    order = np.argsort(p, kind="stable")
    stepped = np.asarray(p, dtype=np.float64)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return [float(value) for value in adjusted]


def holm_of_known(p: Sequence[float | None]) -> list[float | None]:
    """Adjust the p-values that are known by :func:`holm`; None stays None and does not count."""
    adjusted = iter(holm([value for value in p if value is not None]))
    return [None if value is None else next(adjusted) for value in p]


def least_p_of_people(people: int, draws: int = 9999) -> float:
    """Return the least two-sided p of a sign-flip test of ``people`` people.

    If ``draws`` sign patterns are drawn instead of all, p is at least 2 / (draws + 1).
    """
    return 1.0 if people < 2 else max(2 / 2**people, 2 / (draws + 1))


def least_people(level: float, comparisons: int = 1) -> int:
    """Return the fewest people whose sign-flip test can reach a level after Holm.

    Raises:
        ValueError: If the level is not between 0 and 1, or there is no comparison.
    """
    if not 0 < level < 1 or comparisons < 1:
        msg = "level must lie between 0 and 1, and comparisons must be at least 1; "
        msg += f"got level {level}, comparisons {comparisons}"
        raise ValueError(msg)
    return int(np.ceil(1 - np.log2(level / comparisons) - 1e-9))


def least_keys(level: float) -> int:
    """Return the fewest keys whose pairing test can reach a level.

    n keys have n! pairings, so p is at least 1 / n!.

    Raises:
        ValueError: If the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        msg = f"level must lie between 0 and 1, got {level}"
        raise ValueError(msg)
    keys = 2
    while 1 / factorial(keys) > level:
        keys += 1
    return keys
