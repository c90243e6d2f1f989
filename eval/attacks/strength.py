"""Strength of image-to-image generation: how much of the schedule is run."""

from __future__ import annotations


def check_strength(strength: float, steps: int) -> None:
    """Reject a strength with which no step would be run.

    Args:
        strength: Share of the schedule that is run.
        steps: Denoising steps of the whole schedule.

    Raises:
        ValueError: If the strength is not above 0 and at most 1, or leaves no step.
    """
    if not 0 < strength <= 1 or int(steps * strength) < 1:
        msg = (
            "strength is above 0 and at most 1, and strength x steps at least 1, got "
            f"{strength} and {steps}"
        )
        raise ValueError(msg)
