"""Independent units among rows that share a name."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def clusters(names: NDArray[np.str_]) -> list[NDArray[np.int64]]:
    """Group row indices by name, as the units of a cluster bootstrap."""
    order = np.argsort(names, kind="stable")
    _, starts = np.unique(names[order], return_index=True)
    return np.split(order, starts[1:])


def first_occurrences(values: NDArray[Any]) -> NDArray[np.int64]:
    """Indices of the first of equal values, in their order."""
    return np.sort(np.unique(values, return_index=True)[1])
