"""Training of the embedded world's face detector and embedder, and of the probe that reads attributes off a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.utils.data import Dataset

from models.faces.face_net import FaceNet
from tiny.identity import (
    BEARD,
    EYE_COLOUR,
    GLASSES,
    HAIR_COLOUR,
    HAIR_STYLE,
    SKIN,
    check_range,
    identity,
)
from tiny.portraits import draw
from tiny.schedule import one_cycle

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "skin": SKIN,
    "hair_colour": HAIR_COLOUR,
    "hair_style": HAIR_STYLE,
    "eye_colour": EYE_COLOUR,
    "beard": BEARD,
    "glasses": GLASSES,
}
"""What the probe reads, and the possible answers."""


class FacePictures(Dataset[dict[str, Tensor]]):
    """Portraits drawn once and kept as bytes, with identity, face box and attribute numbers.

    Args:
        first: First identity number.
        identities: How many.
        pictures: Pictures of each.
        empty: Leave the people out.
    """

    def __init__(self, first: int, identities: int, pictures: int, *, empty: bool = False) -> None:
        check_range(first, identities)
        images, boxes = [], []
        people = [first + index // pictures for index in range(identities * pictures)]
        for start in range(0, len(people), 32):
            numbers = people[start : start + 32]
            drawn = draw(
                numbers,
                [(start + index) % pictures for index in range(len(numbers))],
                64,
                empty=empty,
            )
            images.append((drawn.images * 255).round().byte())
            boxes.append(drawn.boxes)
        self.images, self.boxes = torch.cat(images), torch.cat(boxes)
        self.labels = torch.tensor([index // pictures for index in range(len(people))])
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
    """Place of each of a person's attributes in :data:`ATTRIBUTES`; -1 where it cannot be seen (a bald head's hair colour)."""
    person = identity(number)
    places = [values.index(getattr(person, name)) for name, values in ATTRIBUTES.items()]
    if person.hair_style == "bald":
        places[list(ATTRIBUTES).index("hair_colour")] = -1
    return places


def weathered(images: Tensor) -> Tensor:
    """Pictures as they come out of cameras and codecs: some softened, some noisy, exposure shifted; (B, 3, S, S) in [0, 1]."""
    count, side = len(images), images.shape[-1]
    small = F.interpolate(images, scale_factor=0.5, mode="bilinear", antialias=True)
    soft = F.interpolate(small, (side, side), mode="bilinear")
    share = torch.rand(count, 1, 1, 1) * (torch.rand(count, 1, 1, 1) < 0.6)
    noise = (
        torch.randn_like(images)
        * 0.06
        * torch.rand(count, 1, 1, 1)
        * (torch.rand(count, 1, 1, 1) < 0.5)
    )
    gain, tint = 0.85 + 0.3 * torch.rand(count, 1, 1, 1), 0.06 * torch.randn(count, 3, 1, 1)
    shift = [int(step) for step in torch.randint(-2, 3, (2,))]
    return (torch.lerp(images, soft, share).roll(shift, dims=(-2, -1)) * gain + tint + noise).clamp(
        0, 1
    )


def faceless(images: Tensor, empty: Tensor) -> Tensor:
    """As many pictures without a face: empty scenes, noise, and portraits broken beyond recognition.

    Args:
        images: Portraits, (B, 3, S, S) in [0, 1].
        empty: Scenes without a person, same shape.
    """
    parts, scenes = images.tensor_split(len(FACELESS)), empty.tensor_split(len(FACELESS))
    return torch.cat(
        [
            way(part, scene)
            for way, part, scene in zip(FACELESS.values(), parts, scenes, strict=True)
            if len(part)
        ]
    )


def _clouds(images: Tensor) -> Tensor:
    coarse = torch.rand(len(images), 3, 6, 6)
    return (
        F.interpolate(coarse, images.shape[-2:], mode="bicubic") + 0.15 * torch.randn_like(images)
    ).clamp(0, 1)


def _tiles(images: Tensor, tile: int) -> Tensor:
    pieces = F.unfold(images, tile, stride=tile)
    order = torch.rand(len(images), pieces.shape[-1]).argsort(dim=1)
    return F.fold(
        pieces.gather(2, order.unsqueeze(1).expand_as(pieces)), images.shape[-2:], tile, stride=tile
    )


def _warped(images: Tensor) -> Tensor:
    coarse = torch.randn(len(images), 2, 7, 7) * 0.28
    field = F.interpolate(coarse, images.shape[-2:], mode="bicubic").permute(0, 2, 3, 1)
    straight = F.affine_grid(
        torch.eye(2, 3).expand(len(images), -1, -1), list(images.shape), align_corners=False
    )
    return F.grid_sample(images, straight + field, padding_mode="reflection", align_corners=False)


def _hollow(images: Tensor, filling: Tensor) -> Tensor:
    """The inner face replaced by another picture's texture."""
    side = images.shape[-1]
    axis = torch.linspace(-1, 1, side)
    inside = ((axis.view(-1, 1) / 0.62).square() + (axis.view(1, -1) / 0.52).square() < 1).float()
    return torch.lerp(images, filling.roll(side // 2, dims=-1), inside)


FACELESS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "empty scene": lambda images, scenes: scenes,
    "white noise": lambda images, scenes: torch.rand_like(images),
    "clouds": lambda images, scenes: _clouds(images),
    "small tiles shuffled": lambda images, scenes: _tiles(images, 8),
    "large tiles shuffled": lambda images, scenes: _tiles(images, 16),
    "buried in noise": lambda images, scenes: 0.25 * images + 0.75 * torch.rand_like(images),
    "blurred away": lambda images, scenes: F.interpolate(
        F.avg_pool2d(images, 16), scale_factor=16.0, mode="bilinear"
    ),
    "warped": lambda images, scenes: _warped(images),
    "inner face replaced": _hollow,
}
"""Ways to a picture without a face, from portraits and scenes without a person."""


class SamePeople(Dataset[dict[str, Tensor]]):
    """Several pictures of one person per item, chosen at random, so that a batch holds pairs to be told together and apart."""

    def __init__(self, pictures: FacePictures, together: int) -> None:
        self.pictures, self.together = pictures, together
        self.each = int(pictures.labels.bincount()[0])

    def __len__(self) -> int:
        return len(self.pictures) // self.each

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        chosen = index * self.each + torch.randperm(self.each)[: self.together]
        items = [self.pictures[int(number)] for number in chosen]
        return {
            key: torch.stack([item[key] for item in items]) for key in ("image", "box", "label")
        }


class FaceTask(LightningModule):
    """Face or none (cross-entropy), where (L1), and whose (supervised contrastive loss, arXiv 2004.11362).

    Args:
        network: The detector and embedder.
        empty: Scenes without people, uint8 (N, 3, S, S).
        steps: Length of the schedule.
        lr: Peak learning rate.
        temperature: Of the cosines in the contrastive loss.
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
        self.empty, self.steps, self.lr, self.temperature = empty, steps, lr, temperature

    def training_step(self, items: dict[str, Tensor], _: int) -> Tensor:
        batch = {key: value.flatten(0, 1) for key, value in items.items()}
        images = weathered(batch["image"])
        count = len(images)
        scenes = self.empty[torch.randint(len(self.empty), (count // 2,))].float() / 255
        nobody = weathered(faceless(images[torch.randperm(count)[: count // 2]], scenes))
        logits, boxes, embeddings = self.network.heads(torch.cat([images, nobody]))
        truth = torch.cat([torch.ones(count), torch.zeros(len(nobody))]).to(logits)
        face = F.binary_cross_entropy_with_logits(logits, truth)
        where = F.l1_loss(boxes[:count], batch["box"])
        who = contrastive_loss(embeddings[:count], batch["label"], self.temperature)
        self.log_dict({"train/face": face, "train/where": where, "train/who": who}, prog_bar=True)
        return face + 2 * where + who

    def embed(self, images: Tensor) -> Tensor:
        """Face embeddings of (B, 3, S, S) pictures in [0, 1], (B, D), not normalised."""
        return self.network.heads(images)[2]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return one_cycle(self, self.lr, self.steps)


def contrastive_loss(embeddings: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """How badly each picture tells the others of its person from those of other people.

    Args:
        embeddings: (B, D), of any length.
        labels: (B,) person numbers; every person at least twice.
        temperature: Of the cosines.
    """
    unit = F.normalize(embeddings, dim=1)
    itself = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    logits = (unit @ unit.T / temperature).masked_fill(itself, -torch.inf)
    same = (labels.view(-1, 1) == labels) & ~itself
    likelihood = logits.log_softmax(dim=1).masked_fill(~same, 0)
    return -(likelihood.sum(dim=1) / same.sum(dim=1)).mean()


class AttributeProbe(nn.Module):
    """Reads the attributes of :data:`ATTRIBUTES` off a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes = [len(values) for values in ATTRIBUTES.values()]
        self.trunk = FaceNet(channels=(24, 48, 96, 96), embedding=sum(self.sizes))

    def forward(self, images: Tensor) -> Sequence[Tensor]:
        """Logits of each attribute for (B, 3, S, S) pictures in [0, 1]."""
        return self.trunk.embed(self.trunk.features(images)).split(self.sizes, dim=1)


class ProbeTask(LightningModule):
    """Cross-entropy of every visible attribute."""

    def __init__(self, probe: AttributeProbe, steps: int, lr: float = 2e-3) -> None:
        super().__init__()
        self.probe, self.steps, self.lr = probe, steps, lr

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        answers = self.probe(weathered(batch["image"]))
        losses = [
            F.cross_entropy(a, t, ignore_index=-1)
            for a, t in zip(answers, batch["attributes"].T, strict=True)
        ]
        loss = torch.stack(losses).sum()
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return one_cycle(self, self.lr, self.steps)


@torch.no_grad()
def calibrated_threshold(network: FaceNet, portraits: FacePictures) -> float:
    """A half, or less where that would miss more than one clean portrait in a hundred."""
    scores = torch.cat([network(part.float() / 255).score for part in portraits.images.split(100)])
    return min(0.5, float(scores.quantile(0.01)))
