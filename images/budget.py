"""Budget of a perturbation, in gray levels of 255."""

from __future__ import annotations


def check_budget(budget: float) -> float:
    """Return a budget that files can hold.

    Below one level, 8-bit files would be equal to the originals.

    Raises:
        ValueError: If it is not from 1 to 255.
    """
    if not 1 <= budget <= 255:
        msg = f"budget is in gray levels and must be from 1 to 255, got {budget}"
        raise ValueError(msg)
    return budget
