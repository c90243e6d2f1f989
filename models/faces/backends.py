"""Face detectors and embedders, opened by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from checkpoints.folders import model_folder
from engine.files import file_digest
from models.faces.face_net import FaceNet, Faces
from models.faces.insight import InsightFaces, insightface_folder
from models.faces.opencv import OpenCVFaces

FaceBackend = Callable[[Tensor], Faces]
"""Detects and embeds the main face in each of (B, 3, H, W) images in [0, 1]."""


YUNET = ("opencv/face_detection_yunet", "face_detection_yunet_2023mar.onnx")
INSIGHTFACE = "insightface"
SFACE = ("opencv/face_recognition_sface", "face_recognition_sface_2021dec.onnx")


def face_files(name: str) -> dict[str, Path]:
    """Find the weight files of a face backend, by role.

    Args:
        name: One of

            - ``opencv``: OpenCV's two models from the Hub.
            - ``insightface`` or ``insightface:PACK``: InsightFace's buffalo_l or another pack, by
              name or folder.
            - A folder or Hub id of one of this project's face networks (``config.json``,
              ``model.safetensors``).
            - A folder or Hub id of ONNX files whose names contain ``yunet`` and, for ISM,
              ``sface``.

    Raises:
        FileNotFoundError: If they cannot be found.
        ValueError: If the folder holds neither kind, or several detectors.
    """
    if name == "opencv":
        files = {}
        for role, (hub, file) in (("detector", YUNET), ("recognizer", SFACE)):
            files[role] = model_folder(hub, file, patterns=[file]) / file
        return files
    if name.partition(":")[0] == INSIGHTFACE:
        pack = insightface_folder(name.partition(":")[2] or "buffalo_l")
        return {file.stem: file for file in sorted(pack.glob("*.onnx"))}
    folder = model_folder(name)
    if (folder / "config.json").is_file():
        complete = model_folder(name, "config.json", "model.safetensors")
        return {"network": complete / "model.safetensors"}
    return _onnx_files(folder)


def face_fingerprints(name: str) -> dict[str, dict[str, str]]:
    """Return name and sha256 of each weight file of a face backend, by role."""
    return {
        role: {"name": name, "sha256": file_digest(file)} for role, file in face_files(name).items()
    }


def _onnx_files(folder: Path) -> dict[str, Path]:
    """Find YuNet and, optionally, SFace in a folder.

    Raises:
        ValueError: If there is not one detector, or more than one recognizer.
    """
    detectors = sorted(folder.glob("*yunet*.onnx"))
    recognizers = sorted(folder.glob("*sface*.onnx"))
    if len(detectors) != 1 or len(recognizers) > 1:
        msg = (
            f"{folder}: expected a face network (config.json), "
            "or one yunet and at most one sface .onnx file"
        )
        raise ValueError(msg)
    files = {"detector": detectors[0]}
    if recognizers:
        files["recognizer"] = recognizers[0]
    return files


def load_faces(name: str) -> FaceBackend:
    """Open a face detector and embedder.

    Args:
        name: See :func:`face_files`.

    Raises:
        FileNotFoundError: If it cannot be found.
        ValueError: If the files are not those of a face network.
    """
    files = face_files(name)
    if name.partition(":")[0] == INSIGHTFACE:
        return InsightFaces(next(iter(files.values())).parent)
    if "detector" in files:
        return OpenCVFaces(files["detector"], files.get("recognizer"))
    return load_face_net(files["network"].parent)


def load_face_net(folder: Path) -> FaceNet:
    """Open one of this project's face networks.

    Raises:
        FileNotFoundError: If it cannot be found.
        ValueError: If the files are not those of a face network.
    """
    return FaceNet.from_pretrained(folder).requires_grad_(False)
