"""Decoded image with metadata."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from images.marks import Mark
from images.metadata import Metadata

if TYPE_CHECKING:
    from torch import Tensor

ALL = slice(None)

OPAQUE = 255
"""Alpha of opaque pixels."""

ON_WHITE = "judged as seen on white: it has transparent parts"
"""Note of images whose transparent parts were put on white."""


@dataclass(frozen=True)
class Photo:
    """Decoded image file, upright, with its metadata.

    Attributes:
        rgb: (H, W, 3) uint8, in the color space of ``icc``.
        alpha: (H, W) uint8; None for opaque images.
        icc: RGB color profile of the values; None for sRGB.
        metadata: EXIF, XMP, IPTC, resolution, texts and marks.
        notes: Messages about conversions and losses during decoding.
    """

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None = None
    icc: bytes | None = None
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()

    def tensor(self, rows: slice = ALL, columns: slice = ALL) -> Tensor:
        """Convert the image, or a part of it, to (3, H, W) float32 in [0, 1].

        Args:
            rows: Rows of the part.
            columns: Columns of the part.
        """
        import torch

        part = torch.from_numpy(self.rgb[rows, columns].copy())
        return part.permute(2, 0, 1).float().div_(255)

    def opacity(self) -> Tensor | None:
        """Convert the alpha to (1, H, W) float32 in [0, 1]; None if all pixels are opaque."""
        import torch

        if self.alpha is None or self.alpha.min(initial=OPAQUE) == OPAQUE:
            return None
        return torch.from_numpy(self.alpha.copy())[None].float().div_(OPAQUE)

    def on_white(self) -> Photo:
        """Return the image as it is seen on a white page, without its transparency.

        Whatever judges an image takes this view of it: nobody sees the colors under transparent
        parts. A note says so. Opaque images stay as they are, to the bit.
        """
        if self.alpha is None:
            return self
        if self.alpha.min(initial=OPAQUE) == OPAQUE:
            return replace(self, alpha=None)
        seen = np.empty_like(self.rgb)
        alpha = self.alpha.astype(np.uint16)
        white = OPAQUE * (OPAQUE - alpha) + OPAQUE // 2  # with a half, to round
        for channel in range(3):
            seen[..., channel] = (self.rgb[..., channel] * alpha + white) // OPAQUE
        return replace(self, rgb=seen, alpha=None, notes=(*self.notes, ON_WHITE))

    def marked(self, mark: Mark) -> Photo:
        """Return a copy with an additional mark."""
        return replace(self, metadata=replace(self.metadata, marks=(*self.metadata.marks, mark)))
