"""OpenCV's face detector (YuNet) and recogniser (SFace): small networks under permissive licences, for real photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from datamodules.images import to_levels
from eval.metrics.face_net import Faces

LEAST_SIDE = 320
"""Smaller pictures are enlarged to this before the search: YuNet was trained on such, and misses faces of a few pixels."""


class OpenCVFaces:
    """Finds the largest face of each picture with YuNet, aligns it by its five landmarks and embeds it with SFace.

    Args:
        detector: ONNX file of YuNet (MIT; Hub: ``opencv/face_detection_yunet``).
        recognizer: ONNX file of SFace (Apache-2.0; Hub: ``opencv/face_recognition_sface``). Without one, faces are only
            detected: embeddings have no columns, and ISM is not a number.
        threshold: Least score that counts as a face.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If OpenCV cannot read one.
    """

    def __init__(self, detector: Path, recognizer: Path | None = None, threshold: float = 0.9) -> None:
        for file in (detector, recognizer):
            if file is not None and not file.is_file():
                msg = f"{file}: no such face model; see python -m eval metrics for where to get it"
                raise FileNotFoundError(msg)
        try:
            self.detector = cv2.FaceDetectorYN.create(str(detector), "", (LEAST_SIDE, LEAST_SIDE), threshold)
            self.recognizer: Any = cv2.FaceRecognizerSF.create(str(recognizer), "") if recognizer else None
        except cv2.error as error:
            msg = f"OpenCV cannot read the face models {detector} and {recognizer}: get complete copies"
            raise ValueError(msg) from error

    def __call__(self, images: Tensor) -> Faces:
        """See :class:`eval.metrics.face_net.Faces`; pictures are (B, 3, H, W) RGB in [0, 1]."""
        seen = [self._one(np.ascontiguousarray(levels.permute(1, 2, 0).numpy()[..., ::-1])) for levels in to_levels(images).cpu()]
        width = max((len(embedding) for _, _, embedding in seen), default=0)
        embeddings = torch.stack([F.pad(torch.from_numpy(embedding), (0, width - len(embedding))) for _, _, embedding in seen])
        score, boxes = torch.tensor([score for score, _, _ in seen]), torch.tensor(np.stack([box for _, box, _ in seen]))
        return Faces(*(part.to(images.device) for part in (score > 0, score, boxes, F.normalize(embeddings, dim=1))))

    def _one(self, bgr: NDArray[np.uint8]) -> tuple[float, NDArray[np.float32], NDArray[np.float32]]:
        """Score, box in shares of the sides, and embedding; score 0 where there is no face."""
        scale = max(1.0, LEAST_SIDE / min(bgr.shape[:2]))
        if scale > 1:
            bgr = np.asarray(cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
        height, width = bgr.shape[:2]
        self.detector.setInputSize((width, height))
        found = self.detector.detect(bgr)[1]
        if found is None:
            return 0.0, np.zeros(4, np.float32), np.zeros(0, np.float32)
        face = max(found, key=lambda row: row[2] * row[3])
        left, top, wide, high = face[:4]
        box = np.array([(left + wide / 2) / width, (top + high / 2) / height, wide / width, high / height], np.float32)
        if self.recognizer is None:
            return float(face[-1]), box, np.zeros(0, np.float32)
        aligned = self.recognizer.alignCrop(bgr, face)
        return float(face[-1]), box, np.asarray(self.recognizer.feature(aligned), np.float32).reshape(-1)
