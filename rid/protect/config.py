"""Settings of ``python -m rid protect``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RENAMED = {"fit": "resize_mode"}
"""Former names of settings."""


@dataclass(frozen=True)
class ProtectConfig:
    """Settings of photo protection.

    Attributes:
        weights: Generator: a folder, a registry name, a Hub id or a .ckpt file.
        resize_mode: resize computes the perturbation at the generator's resolution and resizes it
            to the photo; faces does so once more for the area around each face, against attackers
            who crop; tile computes it at the photo's resolution in overlapping windows; crop
            resizes and center-crops the photo itself, as RID's programs do; auto is faces if a face
            detector is given or on this machine, else resize.
        face_detector: Face detector of the mode faces: yunet, opencv, insightface, or a folder; by
            default yunet.
        strength: Factor of the perturbation and its bound, above 0 and at most 1. Less is less
            visible and protects less.
        format: png (lossless) or jpeg (quality 95, 4:4:4 chroma), which weakens the protection.
        strip_metadata: Drop EXIF, other metadata and the color profile, and convert colors to sRGB.
        compile: Compile the network first; worthwhile for large jobs.
    """

    weights: str = "checkpoints/tiny/rid"
    resize_mode: Literal["auto", "resize", "faces", "tile", "crop"] = "auto"
    face_detector: str | None = None
    strength: float = 1.0
    format: Literal["png", "jpeg"] = "png"
    strip_metadata: bool = False
    compile: bool = False
