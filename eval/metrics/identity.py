"""Identity score matching (ISM) and face detection failure rate (FDFR)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric

from models.faces.backends import FaceBackend
from models.faces.face_net import Faces


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


def mean_similarity(faces: Faces, center: Tensor) -> float:
    """Mean of :func:`similarities` over all images; one without a detected face counts as 0."""
    return float(similarities(faces, center).sum() / len(faces.detected))


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
