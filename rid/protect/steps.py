"""Steps of the protection of one photo, shared by the job and :class:`Protector`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from images.io import clamp_to_budget, to_rgb
from images.marks import Mark
from images.photo import Photo


def refuse_changed(photo: Photo, location: str) -> None:
    """Refuse a photo that this project has changed before.

    Args:
        photo: The decoded photo.
        location: Its name in the message.

    Raises:
        ValueError: If the photo has a mark.
    """
    if photo.metadata.marks:
        mark = photo.metadata.marks[-1]
        msg = (
            f"{location}: changed by this project before ({mark.job}); the changes would add up "
            "beyond the budget. Give the original photo"
        )
        raise ValueError(msg)


def protect_photo(photo: Photo, perturbation: Tensor, mark: Mark) -> Photo:
    """Add a perturbation to a photo, and a mark of its origin.

    The mark names weights, source and budget.

    Args:
        photo: The decoded photo.
        perturbation: (3, H, W), for values in [0, 1]; overwritten.
        mark: The mark; its ``levels`` bound the change.

    Raises:
        ValueError: If no value changes.
    """
    protected = add_perturbation(photo, perturbation, mark.levels or 0.0)
    if np.array_equal(protected, photo.rgb):
        msg = (
            "the weights do not change this photo, so it would not be protected; use trained "
            "weights"
        )
        raise ValueError(msg)
    return replace(photo, rgb=protected).marked(mark)


def add_perturbation(photo: Photo, perturbation: Tensor, budget: float) -> NDArray[np.uint8]:
    """Add a perturbation to a photo, within the budget after rounding.

    Args:
        photo: The decoded photo.
        perturbation: (3, H, W), for values in [0, 1]; overwritten.
        budget: Largest change of a saved value, in gray levels of 255.

    Returns:
        (H, W, 3) uint8.
    """
    clean_u8 = torch.from_numpy(photo.rgb).permute(2, 0, 1)
    for channel in range(clean_u8.shape[0]):
        perturbation[channel] += clean_u8[channel].float() / 255
    protected = clamp_to_budget(perturbation, clean_u8, budget)
    return to_rgb(protected)
