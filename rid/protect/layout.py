"""Areas of a photo that the generator sees: the whole photo, and the faces in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rid.protect.windows import ResizeMode, Windows, unit_range

Box = tuple[float, float, float, float]
"""Left, top, right and bottom of a face, in pixels."""

FACE_CROP = 1.5
"""Side of a face's area, as a multiple of the longer side of the face's box."""

MIN_GAIN = 1.25
"""A face's area is left out if the whole photo's shorter side is less than this many times its."""

RAMP = 0.1
"""Width of a face area's soft border, as a fraction of its side."""


@dataclass(frozen=True)
class Area:
    """Part of a photo at the generator's scale.

    Attributes:
        top: First row on the photo.
        left: First column on the photo.
        windows: Layout of the generator's windows.
        scaled: The scaled part, (3, *windows.scaled): float in [0, 1], or uint8 in [0, 255], which
            saves memory where nothing is scaled.
    """

    top: int
    left: int
    windows: Windows
    scaled: Tensor


@dataclass(frozen=True)
class Layout:
    """Areas of one photo; the first is the whole photo.

    Attributes:
        areas: The areas.
        faces: Number of faces found; None if none were looked for.
    """

    areas: list[Area]
    faces: int | None = None

    @classmethod
    def cover(
        cls,
        image: Tensor,
        side: int,
        resize_mode: ResizeMode,
        boxes: Sequence[Box] | None = None,
    ) -> Layout:
        """Cover an image, and each face in it, with windows.

        Args:
            image: (3, H, W), float in [0, 1] or uint8 in [0, 255].
            side: Side of a window in pixels.
            resize_mode: Layout of the whole image's windows.
            boxes: Faces that get an area of their own.

        Raises:
            ValueError: If the image needs too many windows.
        """
        height, width = image.shape[-2:]
        areas = [_area(image, 0, 0, side, resize_mode)]
        for box in boxes or ():
            top, left, length = face_square(box, (height, width))
            if min(height, width) >= MIN_GAIN * length:
                part = image[:, top : top + length, left : left + length]
                areas.append(_area(part, top, left, side, "resize"))
        return cls(areas, None if boxes is None else len(boxes))

    def assemble(self, perturbations: Sequence[Tensor]) -> Tensor:
        """Combine the areas' perturbations into one of the photo.

        A face's perturbation takes the place of the whole photo's within its area, with a soft
        border. Averages never exceed the bound.

        Args:
            perturbations: One for each area, (3, *windows.scaled).

        Returns:
            (3, H, W).
        """
        whole = self.areas[0].windows.enlarge(perturbations[0])
        for area, perturbation in zip(self.areas[1:], perturbations[1:], strict=True):
            height, width = area.windows.size
            rows = slice(area.top, area.top + height)
            columns = slice(area.left, area.left + width)
            weight = soft_border(height, width)
            region = whole[:, rows, columns]
            region += weight * (area.windows.enlarge(perturbation) - region)
        return whole


def face_square(box: Box, size: tuple[int, int]) -> tuple[int, int, int]:
    """Return top, left and side of the square around a face, within the photo.

    Args:
        box: The face.
        size: Height and width of the photo, in pixels.
    """
    left, top, right, bottom = box
    length = min(round(FACE_CROP * max(right - left, bottom - top)), *size)
    length = max(length, 1)
    starts = []
    for center, limit in zip(((top + bottom) / 2, (left + right) / 2), size, strict=True):
        starts.append(min(max(round(center - length / 2), 0), limit - length))
    return starts[0], starts[1], length


def soft_border(height: int, width: int) -> Tensor:
    """Weights that rise from the border to 1 inside, (height, width) in (0, 1]."""
    profiles = []
    for length in (height, width):
        ramp = torch.arange(1, length + 1, dtype=torch.float32)
        profile = torch.minimum(ramp, ramp.flip(0)) / max(1.0, RAMP * length)
        profiles.append(profile.clamp(max=1))
    return profiles[0].outer(profiles[1])


def _area(part: Tensor, top: int, left: int, side: int, resize_mode: ResizeMode) -> Area:
    windows = Windows.cover((part.shape[-2], part.shape[-1]), side, resize_mode)
    if windows.scaled == windows.size:
        return Area(top, left, windows, part)
    return Area(top, left, windows, windows.scale(unit_range(part)))
