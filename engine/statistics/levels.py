"""Multiplicity, and the least p-values that so many people or keys can give."""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial

import numpy as np


def holm(p: Sequence[float]) -> list[float]:
    """Adjust the p-values of all comparisons that a page shows, by Holm's method (1979).

    Unit: one comparison.
    Assumes: nothing of how the comparisons depend on each other. Keeps the chance of any false
    rejection.
    Fails: if comparisons were made and not passed. With few people it cannot reject at all; see
    :func:`least_people`.

    Args:
        p: Each from 0 to 1.

    Returns:
        Adjusted p-values in the same order, at most 1.
    """
    order = np.argsort(p, kind="stable")
    stepped = np.asarray(p, dtype=np.float64)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return [float(value) for value in adjusted]


def least_p_of_people(people: int, draws: int = 9999) -> float:
    """Least two-sided p of a sign-flip test over so many people.

    ``draws`` sign patterns bound it, too.
    """
    return 1.0 if people < 2 else max(2 / 2**people, 2 / (draws + 1))


def least_people(level: float, comparisons: int = 1) -> int:
    """Fewest people whose sign-flip test can reach a level, after Holm over so many comparisons.

    Raises:
        ValueError: If the level is not between 0 and 1, or there is no comparison.
    """
    if not 0 < level < 1 or comparisons < 1:
        msg = (
            f"a level is between 0 and 1 and comparisons at least 1, got {level} and {comparisons}"
        )
        raise ValueError(msg)
    return int(np.ceil(1 - np.log2(level / comparisons) - 1e-9))


def least_keys(level: float) -> int:
    """Fewest keys whose pairing test can reach a level: n pairings of n keys give at least 1 / n!.

    Raises:
        ValueError: If the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        msg = f"a level is between 0 and 1, got {level}"
        raise ValueError(msg)
    keys = 2
    while 1 / factorial(keys) > level:
        keys += 1
    return keys
