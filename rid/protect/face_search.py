"""Search for all faces of an image."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

import torch
from torch import Tensor

from images.io import to_rgb, to_uint8
from rid.protect.layout import Box
from rid.protect.windows import unit_range

DETECTOR = "yunet"
"""Face detector of the mode ``faces``, unless another is named."""

FindFaces = Callable[[Tensor], list[Box]]
"""Finds the faces of an image, (3, H, W) float in [0, 1] or uint8; boxes are in pixels."""


def choose_mode(mode: str, detector: str | None) -> tuple[str, str | None]:
    """Resolve the resize mode ``auto``, and the face detector.

    Args:
        mode: A resize mode, or ``auto``: ``faces`` if a detector is named or on this machine, else
            ``resize``. Nothing is downloaded for ``auto``.
        detector: Name of the face detector; None takes :data:`DETECTOR`.

    Returns:
        The mode, and the name of its detector, None if it needs none.
    """
    if mode == "auto":
        mode = "faces" if detector is not None or detector_is_here() else "resize"
    return mode, (detector or DETECTOR) if mode == "faces" else None


def detector_is_here() -> bool:
    """Return True if :data:`DETECTOR` is in the Hub's cache of this machine."""
    from huggingface_hub import try_to_load_from_cache

    from models.faces.backends import YUNET

    return isinstance(try_to_load_from_cache(*YUNET), str)


class FaceSearch:
    """Face detector that finds all faces of an image; safe to call from several threads.

    Args:
        name: Face detector; see :func:`models.faces.backends.face_files`.

    Raises:
        FileNotFoundError: If it cannot be found.
        ValueError: If the files are not those of a face network.
    """

    def __init__(self, name: str) -> None:
        from models.faces.backends import load_faces

        self.name = name
        self.backend = load_faces(name)
        self.lock = Lock()

    def fingerprints(self) -> dict[str, dict[str, str]]:
        """Return name and sha256 of the detector's files, by role."""
        from models.faces.backends import face_fingerprints

        return face_fingerprints(self.name)

    @torch.no_grad()
    def __call__(self, image: Tensor) -> list[Box]:
        """Find the faces of an image.

        Args:
            image: (3, H, W) RGB, float in [0, 1] or uint8 in [0, 255].

        Returns:
            Boxes in pixels. The toy face network finds the largest face only.
        """
        from models.faces.photographs import PhotographFaces

        if isinstance(self.backend, PhotographFaces):
            image_u8 = image if image.dtype == torch.uint8 else to_uint8(image)
            with self.lock:
                return self.backend.boxes(to_rgb(image_u8)[..., ::-1])
        faces = self.backend(unit_range(image).unsqueeze(0))
        if not faces.detected[0]:
            return []
        height, width = image.shape[-2:]
        x, y, wide, high = faces.boxes[0].tolist()
        left, right = (x - wide / 2) * width, (x + wide / 2) * width
        top, bottom = (y - high / 2) * height, (y + high / 2) * height
        return [(left, top, right, bottom)]
