"""OCR of printed text by PaddleOCR's networks, through the optional library rapidocr.

The networks come with the library's wheel. Nothing is downloaded, and no image leaves the machine.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.manifest import fingerprint
from images.transforms.protocol import RGBImage

INSTALL = "pip install -r requirements-ocr.txt"

DETECTOR = "PP-OCRv6_det_small.onnx"
RECOGNIZER = "PP-OCRv6_rec_small.onnx"
"""Files of the networks in the library."""


@dataclass(frozen=True)
class TextLine:
    """A line of text in an image.

    Attributes:
        text: The characters.
        corners: (4, 2) float32, x and y in pixels, clockwise from the top left of the text.
        score: Confidence, in [0, 1].
    """

    text: str
    corners: NDArray[np.float32]
    score: float


def has_ocr() -> bool:
    """Return True if the library and its runtime are installed."""
    return find_spec("rapidocr") is not None and find_spec("onnxruntime") is not None


class OCR:
    """Reader of the lines of text in an image.

    Args:
        min_score: Least confidence of a line, in [0, 1].

    Raises:
        FileNotFoundError: If the library is not installed, or lacks its networks.
    """

    def __init__(self, min_score: float = 0.5) -> None:
        folder = _model_folder()
        from rapidocr import RapidOCR

        # Networks that are named by their path are not looked for elsewhere.
        parameters: dict[str, Any] = {
            "Global.log_level": "error",
            "Global.text_score": min_score,
            "Global.use_cls": False,
            "Det.model_path": str(folder / DETECTOR),
            "Rec.model_path": str(folder / RECOGNIZER),
        }
        self._read: Any = RapidOCR(params=parameters)
        self._lock = threading.Lock()

    def lines(self, rgb: RGBImage) -> list[TextLine]:
        """Find and read the text in an (H, W, 3) uint8 image, from top to bottom."""
        with self._lock:
            found = self._read(np.ascontiguousarray(rgb[..., ::-1]))
        if found.boxes is None:
            return []
        return [
            TextLine(text, np.asarray(corners, np.float32), float(score))
            for text, corners, score in zip(found.txts, found.boxes, found.scores, strict=True)
        ]

    def read(self, rgb: RGBImage) -> str:
        """Read the text in an (H, W, 3) uint8 image, its lines joined by blanks."""
        return " ".join(line.text for line in self.lines(rgb))


def identify_ocr() -> dict[str, Any]:
    """Identify the networks by their sha256.

    Raises:
        FileNotFoundError: If they are not installed.
    """
    folder = _model_folder()
    files = [fingerprint(name, folder / name)["sha256"] for name in (DETECTOR, RECOGNIZER)]
    return {"name": "ocr", "sha256": files[0] | files[1]}


def _model_folder() -> Path:
    """Return the folder of the networks in the installed library."""
    spec = find_spec("rapidocr")
    if not has_ocr() or spec is None or spec.origin is None:
        msg = f"OCR needs rapidocr and onnxruntime: {INSTALL}"
        raise FileNotFoundError(msg)
    folder = Path(spec.origin).parent / "models"
    for name in (DETECTOR, RECOGNIZER):
        if not (folder / name).is_file():
            msg = f"{folder / name}: no such file; install the tested rapidocr again: {INSTALL}"
            raise FileNotFoundError(msg)
    return folder
