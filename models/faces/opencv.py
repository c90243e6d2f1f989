"""OpenCV's face detector (YuNet) and recognizer (SFace).

Both are small networks for photographs, under permissive licenses.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.faces.photographs import MIN_SIDE, PhotographFaces


class OpenCVFaces(PhotographFaces):
    """Face backend of OpenCV: YuNet, alignment by five landmarks, SFace.

    Args:
        detector: ONNX file of YuNet (MIT; Hub: ``opencv/face_detection_yunet``).
        recognizer: ONNX file of SFace (Apache-2.0; Hub: ``opencv/face_recognition_sface``). Without
            it, faces are only detected: embeddings are (B, 0), and ISM is NaN.
        threshold: Smallest score of a face, in [0, 1].

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If OpenCV cannot read a file.
    """

    def __init__(
        self, detector: Path, recognizer: Path | None = None, threshold: float = 0.9
    ) -> None:
        for file in (detector, recognizer):
            if file is not None and not file.is_file():
                msg = f"{file}: no such face model; see python -m eval metrics for where to get it"
                raise FileNotFoundError(msg)
        # OpenCV warns of settings of its own that nobody here has made
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        try:
            self.detector = cv2.FaceDetectorYN.create(
                str(detector), "", (MIN_SIDE, MIN_SIDE), threshold
            )
            self.recognizer: Any = None
            if recognizer:
                self.recognizer = cv2.FaceRecognizerSF.create(str(recognizer), "")
        except cv2.error as error:
            msg = (
                f"OpenCV cannot read the face models {detector} and {recognizer}: "
                "get complete copies"
            )
            raise ValueError(msg) from error

    def find(self, bgr: NDArray[np.uint8]) -> list[tuple[float, float, float, float]]:
        found = []
        for left, top, wide, high in (row[:4].tolist() for row in self._detect(bgr)):
            found.append((left, top, left + wide, top + high))
        return found

    def _detect(self, bgr: NDArray[np.uint8]) -> Any:
        """Return a row for each face: box, landmarks, score."""
        self.detector.setInputSize((bgr.shape[1], bgr.shape[0]))
        faces = self.detector.detect(bgr)[1]
        return [] if faces is None else faces

    def largest(self, bgr: NDArray[np.uint8]) -> tuple[float, Any, Any] | None:
        faces = self._detect(bgr)
        if not len(faces):
            return None
        face = max(faces, key=lambda row: row[2] * row[3])
        left, top, wide, high = face[:4]
        embedding = []
        if self.recognizer is not None:
            embedding = self.recognizer.feature(self.recognizer.alignCrop(bgr, face))
        return float(face[-1]), (left, top, left + wide, top + high), embedding
