"""A decoded image with all that its file says about it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from images.marks import Mark
from images.metadata import Metadata

if TYPE_CHECKING:
    from torch import Tensor

WHOLE = slice(None)


@dataclass(frozen=True)
class Photo:
    """A decoded image, upright.

    Attributes:
        rgb: (H, W, 3) uint8, as a viewer shows it: in the colours of ``icc``.
        alpha: (H, W) uint8 where the file had transparency.
        icc: The RGB colour profile that the values are in; sRGB if None.
        metadata: What else the file says.
        notes: What was converted, reduced or dropped on the way, in sentences for people.
    """

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None = None
    icc: bytes | None = None
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()

    def tensor(self, rows: slice = WHOLE, columns: slice = WHOLE) -> Tensor:
        """Values of the image or of a part of it, (3, H, W) float32 in [0, 1]; 12 bytes a pixel."""
        import torch

        part = torch.from_numpy(self.rgb[rows, columns].copy())
        return part.permute(2, 0, 1).float().div_(255)

    def marked(self, mark: Mark) -> Photo:
        """The image with one more mark, which is saved with it."""
        return replace(self, metadata=replace(self.metadata, marks=(*self.metadata.marks, mark)))
