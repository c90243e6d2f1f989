"""Settings of ``python -m rid protect``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ProtectConfig:
    """How photos are protected.

    Attributes:
        weights: Generator: a folder, a registry name, a Hub id or a .ckpt file.
        fit: resize computes the perturbation on the photo scaled to the generator's side and carries it back; tile computes
            it at the photo's own size in overlapping windows; crop scales and center-crops the photo itself, as RID's
            programs do.
        format: png, lossless, or jpeg (quality 95, full color resolution), which weakens the protection.
        strip_metadata: Leave out EXIF, other notes and the color profile; colors are brought to sRGB.
        compile: Compile the network first; worth it for large jobs.
    """

    weights: str = "checkpoints/tiny/rid"
    fit: Literal["resize", "tile", "crop"] = "resize"
    format: Literal["png", "jpeg"] = "png"
    strip_metadata: bool = False
    compile: bool = False
