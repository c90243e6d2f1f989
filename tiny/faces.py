"""Training of the toy face detector and embedder."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.utils.data import Dataset

from models.faces.face_net import FaceNet
from tiny.faceless import faceless
from tiny.identity import (
    BEARD,
    EYE_COLORS,
    GLASSES,
    HAIR_COLORS,
    HAIR_STYLE,
    SKIN,
    check_range,
    identity,
)
from tiny.portraits import draw
from tiny.schedule import one_cycle

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "skin": SKIN,
    "hair_colour": HAIR_COLORS,
    "hair_style": HAIR_STYLE,
    "eye_colour": EYE_COLORS,
    "beard": BEARD,
    "glasses": GLASSES,
}
"""Attributes that the probe predicts, with their values."""


class FaceImages(Dataset[dict[str, Tensor]]):
    """Portraits with identities, face boxes and attributes, drawn once and stored as bytes.

    Args:
        first: First identity number.
        identities: Number of identities.
        pictures: Images of each identity.
        empty: Draw scenes without people.
    """

    def __init__(self, first: int, identities: int, pictures: int, *, empty: bool = False) -> None:
        check_range(first, identities)
        count = identities * pictures
        # Draw the images in batches.
        images = []
        boxes = []
        for start in range(0, count, 32):
            indices = range(start, min(start + 32, count))
            people = [first + index // pictures for index in indices]
            numbers = [index % pictures for index in indices]
            portraits = draw(people, numbers, 64, empty=empty)
            images.append((portraits.images * 255).round().byte())
            boxes.append(portraits.boxes)
        self.images = torch.cat(images)
        self.boxes = torch.cat(boxes)
        # Label them.
        self.labels = torch.tensor([index // pictures for index in range(count)])
        per_person = [attribute_numbers(number) for number in range(first, first + identities)]
        self.attributes = torch.tensor(per_person)[self.labels]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {
            "image": self.images[index].float() / 255,
            "box": self.boxes[index],
            "label": self.labels[index],
            "attributes": self.attributes[index],
        }


def attribute_numbers(number: int) -> list[int]:
    """Return the index of each attribute's value in :data:`ATTRIBUTES`.

    The hair color of a bald head is invisible: -1.
    """
    person = identity(number)
    indices = [values.index(getattr(person, name)) for name, values in ATTRIBUTES.items()]
    if person.hair_style == "bald":
        indices[list(ATTRIBUTES).index("hair_colour")] = -1
    return indices


def degrade(images: Tensor) -> Tensor:
    """Degrade images as cameras and codecs do: random blur, noise, shift and exposure.

    Args:
        images: (B, 3, S, S) in [0, 1].

    Returns:
        Degraded images of the same shape and range.
    """
    count = len(images)
    side = images.shape[-1]
    small = F.interpolate(images, scale_factor=0.5, mode="bilinear", antialias=True)
    soft = F.interpolate(small, (side, side), mode="bilinear")
    share = torch.rand(count, 1, 1, 1) * (torch.rand(count, 1, 1, 1) < 0.6)
    noise = torch.randn_like(images) * 0.06
    noise = noise * torch.rand(count, 1, 1, 1) * (torch.rand(count, 1, 1, 1) < 0.5)
    gain = 0.85 + 0.3 * torch.rand(count, 1, 1, 1)
    tint = 0.06 * torch.randn(count, 3, 1, 1)
    shift = [int(step) for step in torch.randint(-2, 3, (2,))]
    blurred = torch.lerp(images, soft, share).roll(shift, dims=(-2, -1))
    return (blurred * gain + tint + noise).clamp(0, 1)


class PersonGroups(Dataset[dict[str, Tensor]]):
    """Groups of random images of one person, so that batches hold positive pairs.

    Args:
        faces: Portraits, equally many of each person.
        group_size: Images in an item.
    """

    def __init__(self, faces: FaceImages, group_size: int) -> None:
        self.faces = faces
        self.group_size = group_size
        self.images_per_person = int(faces.labels.bincount()[0])

    def __len__(self) -> int:
        return len(self.faces) // self.images_per_person

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        order = torch.randperm(self.images_per_person)[: self.group_size]
        items = [self.faces[int(number)] for number in index * self.images_per_person + order]
        group = {}
        for key in ("image", "box", "label"):
            group[key] = torch.stack([item[key] for item in items])
        return group


class FaceTask(LightningModule):
    """Train detection (cross-entropy), box (L1) and embedding of faces.

    The embedding's loss is the supervised contrastive one (arXiv 2004.11362).

    Args:
        network: Detector and embedder.
        empty: Scenes without people, uint8 (N, 3, S, S).
        steps: Length of the one-cycle schedule, in optimizer steps.
        lr: Peak learning rate.
        temperature: Temperature of the cosines in the contrastive loss.
    """

    def __init__(
        self,
        network: FaceNet,
        empty: Tensor,
        steps: int,
        lr: float = 2e-3,
        temperature: float = 0.1,
    ) -> None:
        super().__init__()
        self.network = network
        self.empty = empty
        self.steps = steps
        self.lr = lr
        self.temperature = temperature

    def training_step(self, items: dict[str, Tensor], _: int) -> Tensor:
        # Degraded portraits, and half as many images without a face.
        batch = {key: value.flatten(0, 1) for key, value in items.items()}
        images = degrade(batch["image"])
        count = len(images)
        scenes = self.empty[torch.randint(len(self.empty), (count // 2,))].float() / 255
        negatives = degrade(faceless(images[torch.randperm(count)[: count // 2]], scenes))
        # Three losses.
        logits, boxes, embeddings = self.network.heads(torch.cat([images, negatives]))
        labels = torch.cat([torch.ones(count), torch.zeros(len(negatives))]).to(logits)
        detection = F.binary_cross_entropy_with_logits(logits, labels)
        box = F.l1_loss(boxes[:count], batch["box"])
        identity_loss = contrastive_loss(embeddings[:count], batch["label"], self.temperature)
        losses = {"train/face": detection, "train/box": box, "train/identity": identity_loss}
        self.log_dict(losses, prog_bar=True)
        return detection + 2 * box + identity_loss

    def embed(self, images: Tensor) -> Tensor:
        """Embed faces (B, 3, S, S) in [0, 1]; return (B, D), not normalized."""
        return self.network.heads(images)[2]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return one_cycle(self, self.lr, self.steps)


def contrastive_loss(embeddings: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Compute the supervised contrastive loss (arXiv 2004.11362).

    Args:
        embeddings: (B, D), of any length.
        labels: Person numbers, (B,); every person at least twice.
        temperature: Temperature of the cosines.
    """
    unit = F.normalize(embeddings, dim=1)
    diagonal = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    logits = (unit @ unit.T / temperature).masked_fill(diagonal, -torch.inf)
    same = (labels.view(-1, 1) == labels) & ~diagonal
    likelihood = logits.log_softmax(dim=1).masked_fill(~same, 0)
    return -(likelihood.sum(dim=1) / same.sum(dim=1)).mean()


@torch.no_grad()
def calibrated_threshold(network: FaceNet, portraits: FaceImages) -> float:
    """Return the threshold that misses at most 1 % of clean portraits, at most 0.5."""
    scores = torch.cat([network(part.float() / 255).score for part in portraits.images.split(100)])
    return min(0.5, float(scores.quantile(0.01)))
