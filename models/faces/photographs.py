"""Base class of face backends for photographs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from images.io import to_rgb, to_uint8
from models.faces.face_net import Faces

MIN_SIDE = 320
"""Shortest side of an image for detection, in pixels; smaller images are enlarged."""

SEARCHED_SIDE = 1600
"""Longest side of an image in which all faces are searched, in pixels."""


class PhotographFaces(ABC):
    """Detector and embedder of the largest face of each image."""

    @abstractmethod
    def largest(self, bgr: NDArray[np.uint8]) -> tuple[float, Any, Any] | None:
        """Detect and embed the largest face of an (H, W, 3) BGR uint8 image.

        Returns:
            Score, (left, top, right, bottom) in pixels, and embedding, which may be empty; None
            without a face.
        """

    @abstractmethod
    def find(self, bgr: NDArray[np.uint8]) -> list[tuple[float, float, float, float]]:
        """Find all faces of an (H, W, 3) BGR uint8 image.

        Returns:
            (left, top, right, bottom) of each, in pixels.
        """

    def boxes(self, bgr: NDArray[np.uint8]) -> list[tuple[float, float, float, float]]:
        """Find all faces of an (H, W, 3) BGR uint8 image of any size.

        Large images are searched at a longer side of :data:`SEARCHED_SIDE` pixels, where faces
        below a hundredth of it are not found.

        Returns:
            (left, top, right, bottom) of each, in pixels.
        """
        height, width = bgr.shape[:2]
        scale = max(1.0, MIN_SIDE / min(height, width))
        scale = min(scale, SEARCHED_SIDE / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        method = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
        resized = cv2.resize(np.ascontiguousarray(bgr), size, interpolation=method)
        found = []
        for left, top, right, bottom in self.find(np.asarray(resized, dtype=np.uint8)):
            found.append((left / scale, top / scale, right / scale, bottom / scale))
        return found

    def __call__(self, images: Tensor) -> Faces:
        """Detect and embed faces in (B, 3, H, W) RGB images in [0, 1]."""
        # Process image by image, as 8-bit BGR.
        faces = []
        for image_u8 in to_uint8(images).cpu():
            bgr = to_rgb(image_u8)[..., ::-1]
            faces.append(self._one(np.ascontiguousarray(bgr)))
        # Pad missing embeddings with zeros.
        width = max((len(embedding) for _, _, embedding in faces), default=0)
        padded = []
        for _, _, embedding in faces:
            padded.append(F.pad(torch.from_numpy(embedding), (0, width - len(embedding))))
        embeddings = F.normalize(torch.stack(padded), dim=1)
        score = torch.tensor([score for score, _, _ in faces])
        boxes = torch.tensor(np.stack([box for _, box, _ in faces]))
        parts = (score > 0, score, boxes, embeddings)
        return Faces(*(part.to(images.device) for part in parts))

    def _one(
        self, bgr: NDArray[np.uint8]
    ) -> tuple[float, NDArray[np.float32], NDArray[np.float32]]:
        """Return score, relative box and embedding of an image; score 0 without a face."""
        scale = max(1.0, MIN_SIDE / min(bgr.shape[:2]))
        if scale > 1:
            bgr = np.asarray(
                cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC),
                dtype=np.uint8,
            )
        face = self.largest(bgr)
        if face is None:
            return 0.0, np.zeros(4, np.float32), np.zeros(0, np.float32)
        score, (left, top, right, bottom), embedding = face
        height, width = bgr.shape[:2]
        box = np.array(
            [
                (left + right) / 2 / width,
                (top + bottom) / 2 / height,
                (right - left) / width,
                (bottom - top) / height,
            ]
        )
        return score, box.astype(np.float32), np.asarray(embedding, np.float32).reshape(-1)
