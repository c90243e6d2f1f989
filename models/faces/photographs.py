"""What face backends for real photographs share: pictures to 8-bit BGR, small ones enlarged, the largest face of each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from images.io import to_uint8
from models.faces.face_net import Faces

LEAST_SIDE = 320
"""Smaller pictures are enlarged to this before the search: detectors are trained on such, and miss faces of a few pixels."""


class PhotographFaces(ABC):
    """Finds and embeds the largest face of each picture."""

    @abstractmethod
    def largest(self, bgr: NDArray[np.uint8]) -> tuple[float, Any, Any] | None:
        """Score, (left, top, right, bottom) in pixels and embedding, possibly empty, of the largest face; None without one."""

    def __call__(self, images: Tensor) -> Faces:
        """See :class:`models.faces.face_net.Faces`; pictures are (B, 3, H, W) RGB in [0, 1]."""
        seen = [self._one(np.ascontiguousarray(levels.permute(1, 2, 0).numpy()[..., ::-1])) for levels in to_uint8(images).cpu()]
        width = max((len(embedding) for _, _, embedding in seen), default=0)
        embeddings = torch.stack([F.pad(torch.from_numpy(embedding), (0, width - len(embedding))) for _, _, embedding in seen])
        score, boxes = (
            torch.tensor([score for score, _, _ in seen]),
            torch.tensor(np.stack([box for _, box, _ in seen])),
        )
        return Faces(*(part.to(images.device) for part in (score > 0, score, boxes, F.normalize(embeddings, dim=1))))

    def _one(self, bgr: NDArray[np.uint8]) -> tuple[float, NDArray[np.float32], NDArray[np.float32]]:
        """Score, box in shares of the sides, and embedding; score 0 where there is no face."""
        scale = max(1.0, LEAST_SIDE / min(bgr.shape[:2]))
        if scale > 1:
            bgr = np.asarray(
                cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC),
                dtype=np.uint8,
            )
        found = self.largest(bgr)
        if found is None:
            return 0.0, np.zeros(4, np.float32), np.zeros(0, np.float32)
        score, (left, top, right, bottom), embedding = found
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
