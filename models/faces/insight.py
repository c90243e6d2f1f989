"""InsightFace's face detectors and ArcFace embedders (optional).

The library is MIT licensed; its models are for research only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.faces.photographs import PhotographFaces

INSTALL = "pip install -r requirements-insightface.txt"


def insightface_folder(name: str) -> Path:
    """Find the folder of a model pack, without downloading.

    Args:
        name: Folder, or name of a pack that InsightFace's command has downloaded.

    Raises:
        FileNotFoundError: If the pack is missing.
    """
    folder = Path.home() / ".insightface" / "models" / name
    if Path(name).is_dir():
        folder = Path(name).resolve()
    if not list(folder.glob("*.onnx")):
        msg = (
            f"no InsightFace models in {folder}: get them once with: "
            f"insightface-cli model.download {name} (for research only)"
        )
        raise FileNotFoundError(msg)
    return folder


class InsightFaces(PhotographFaces):
    """Face backend of InsightFace.

    Args:
        folder: Folder of a model pack, such as buffalo_l.
        threshold: Smallest score of a face, in [0, 1].

    Raises:
        ValueError: If the library is not installed, or cannot read the models.
    """

    def __init__(self, folder: Path, threshold: float = 0.5) -> None:
        try:
            from insightface.app import FaceAnalysis
        except ImportError as error:
            msg = f"--faces insightface needs the library: {INSTALL}"
            raise ValueError(msg) from error
        try:
            self.app: Any = FaceAnalysis(
                name=str(folder), allowed_modules=["detection", "recognition"]
            )
            self.app.prepare(ctx_id=0, det_thresh=threshold, det_size=(640, 640))
        except Exception as error:  # ONNX Runtime raises kinds of its own, the library assertions
            msg = (
                f"{folder}: InsightFace cannot read these models ({type(error).__name__}); "
                "get complete copies"
            )
            raise ValueError(msg) from error

    def find(self, bgr: NDArray[np.uint8]) -> list[tuple[float, float, float, float]]:
        boxes = [face.bbox for face in self.app.get(bgr)]
        return [(float(box[0]), float(box[1]), float(box[2]), float(box[3])) for box in boxes]

    def largest(self, bgr: NDArray[np.uint8]) -> tuple[float, Any, Any] | None:
        faces = self.app.get(bgr)
        if not faces:
            return None
        face = max(faces, key=lambda one: (one.bbox[2] - one.bbox[0]) * (one.bbox[3] - one.bbox[1]))
        return float(face.det_score), face.bbox, face.embedding
