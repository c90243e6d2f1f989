"""Does a person come through in generated pictures? Identity score matching and face detection failure rate."""

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
"""Looks for the main face in each of (B, 3, H, W) pictures in [0, 1]."""


YUNET = ("opencv/face_detection_yunet", "face_detection_yunet_2023mar.onnx")
INSIGHTFACE = "insightface"
SFACE = ("opencv/face_recognition_sface", "face_recognition_sface_2021dec.onnx")


def face_files(name: str) -> dict[str, Path]:
    """Where a face backend's weights are, by role.

    Args:
        name: ``opencv`` for OpenCV's two models from the Hub; ``insightface`` or ``insightface:PACK`` for InsightFace's buffalo_l
            or another pack, by name or folder; or a folder or Hub id with one of this project's face networks
            (``config.json``, ``model.safetensors``), or with ONNX files whose names hold ``yunet`` and, for ISM, ``sface``.

    Raises:
        FileNotFoundError: If they cannot be had.
        ValueError: If the folder holds neither kind, or several detectors.
    """
    if name == "opencv":
        parts = {"detector": YUNET, "recognizer": SFACE}
        return {
            role: model_folder(hub, file, patterns=[file]) / file
            for role, (hub, file) in parts.items()
        }
    if name.partition(":")[0] == INSIGHTFACE:
        return {
            file.stem: file
            for file in sorted(
                insightface_folder(name.partition(":")[2] or "buffalo_l").glob("*.onnx")
            )
        }
    folder = model_folder(name)
    if (folder / "config.json").is_file():
        return {
            "network": model_folder(name, "config.json", "model.safetensors") / "model.safetensors"
        }
    found = {
        role: sorted(folder.glob(f"*{part}*.onnx"))
        for role, part in (("detector", "yunet"), ("recognizer", "sface"))
    }
    if len(found["detector"]) != 1 or len(found["recognizer"]) > 1:
        msg = f"{folder}: expected a face network (config.json), or one yunet and at most one sface .onnx file"
        raise ValueError(msg)
    return {role: files[0] for role, files in found.items() if files}


def load_faces(name: str) -> FaceBackend:
    """Open a face detector and embedder; see :func:`face_files` for what a name may be.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If the files are not such a network's.
    """
    files = face_files(name)
    if name.partition(":")[0] == INSIGHTFACE:
        return InsightFaces(next(iter(files.values())).parent)
    if "detector" in files:
        return OpenCVFaces(files["detector"], files.get("recognizer"))
    return load_face_net(files["network"].parent)


def load_face_net(folder: Path) -> FaceNet:
    """Open one of this project's own face networks; errors as in :func:`load_faces`."""
    return FaceNet.from_pretrained(folder).requires_grad_(False)


class IdentityPreservation(Metric):
    """ISM and FDFR of Anti-DreamBooth (arXiv 2303.15433) over pictures of one or many persons.

    ISM is the cosine between a generated face and the mean of the unit embeddings of real pictures. The usual ISM averages
    over pictures with a face and so forgets the strongest protection; ``ism_all`` counts a picture without a face as 0.

    Args:
        faces: Detector and embedder.
        kwargs: torchmetrics' own, such as ``sync_on_compute``.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False
    similarity: Tensor
    found: Tensor
    total: Tensor

    def __init__(self, faces: FaceBackend, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.faces = faces
        self.add_state("similarity", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("found", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, generated: Tensor, reference: Tensor) -> None:
        """Count pictures of one person.

        Args:
            generated: (n, 3, H, W) in [0, 1].
            reference: Real pictures of the person, (m, 3, H, W) in [0, 1].

        Raises:
            ValueError: If no reference picture shows a face.
        """
        seen = self.faces(generated)
        self.similarity += similarities(seen, mean_embedding(self.faces(reference))).sum()
        self.found += seen.detected.sum()
        self.total += len(seen.detected)

    def compute(self) -> dict[str, Tensor]:
        """``ism`` (NaN if no picture has a face), ``ism_all`` and ``fdfr``; all NaN before the first update."""
        return {
            "ism": self.similarity / self.found,
            "ism_all": self.similarity / self.total,
            "fdfr": 1 - self.found / self.total,
        }


def similarities(seen: Faces, centre: Tensor) -> Tensor:
    """Cosine of every face found with a unit embedding; not a number where the backend only detects."""
    if not len(centre):
        return torch.full(
            (max(int(seen.detected.sum()), 1),), float("nan"), device=seen.detected.device
        )
    if not seen.detected.any():
        return centre.new_zeros(0)
    return seen.embeddings[seen.detected] @ centre


def mean_embedding(faces: Faces) -> Tensor:
    """Unit-length mean of the embeddings of the pictures in which a face was found, (D,).

    Raises:
        ValueError: If there is none.
    """
    if not faces.detected.any():
        msg = f"no face found in any of {len(faces.detected)} reference pictures; use clear portraits of the person"
        raise ValueError(msg)
    return F.normalize(faces.embeddings[faces.detected].mean(dim=0), dim=0)
