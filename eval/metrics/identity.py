"""Identity score matching (ISM) and face detection failure rate (FDFR)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric

from checkpoints.folders import model_folder
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


class IdentityPreservation(Metric):
    """ISM and FDFR of Anti-DreamBooth (arXiv 2303.15433).

    ISM is the cosine between a generated face and the mean of the unit embeddings of real images.
    The usual ISM averages over images with a face and so ignores the strongest protection;
    ``ism_all`` counts an image without a face as 0. Images may be of one or many persons.

    Args:
        faces: Face detector and embedder.
        kwargs: Settings of torchmetrics, such as ``sync_on_compute``.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False
    similarity: Tensor
    detected: Tensor
    total: Tensor

    def __init__(self, faces: FaceBackend, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.faces = faces
        self.add_state("similarity", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("detected", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, generated: Tensor, reference: Tensor) -> None:
        """Add images of one person.

        Args:
            generated: (n, 3, H, W) in [0, 1].
            reference: Real images of the person, (m, 3, H, W) in [0, 1].

        Raises:
            ValueError: If no reference image shows a face.
        """
        faces = self.faces(generated)
        self.similarity += similarities(faces, mean_embedding(self.faces(reference))).sum()
        self.detected += faces.detected.sum()
        self.total += len(faces.detected)

    def compute(self) -> dict[str, Tensor]:
        """Compute ``ism``, ``ism_all`` and ``fdfr``.

        ``ism`` is NaN if no image has a face. All are NaN before the first update.
        """
        return {
            "ism": self.similarity / self.detected,
            "ism_all": self.similarity / self.total,
            "fdfr": 1 - self.detected / self.total,
        }


def similarities(faces: Faces, center: Tensor) -> Tensor:
    """Cosine of every detected face with a unit embedding.

    NaN if the backend detects faces without embedding them.

    Args:
        faces: Detected faces of n images.
        center: (D,), of unit length; empty if the backend only detects.

    Returns:
        (number of detected faces,); at least one NaN if the backend only detects.
    """
    if not len(center):
        count = max(int(faces.detected.sum()), 1)
        return torch.full((count,), float("nan"), device=faces.detected.device)
    if not faces.detected.any():
        return center.new_zeros(0)
    return faces.embeddings[faces.detected] @ center


def mean_embedding(faces: Faces) -> Tensor:
    """Unit-length mean of the embeddings of the detected faces, (D,).

    Raises:
        ValueError: If no face was detected.
    """
    if not faces.detected.any():
        msg = (
            f"no face found in any of {len(faces.detected)} reference images; "
            "use clear portraits of the person"
        )
        raise ValueError(msg)
    return F.normalize(faces.embeddings[faces.detected].mean(dim=0), dim=0)
