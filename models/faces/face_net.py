"""A small face detector and embedder for pictures of one person each.

One convolutional trunk looks at the whole picture and says whether there is a face, where, and whose.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from checkpoints.card import Purpose
from checkpoints.saved import SavedModel


class Faces(NamedTuple):
    """What was seen in B pictures.

    ``detected`` (B,) bool; ``score`` (B,) in [0, 1]; ``boxes`` (B, 4) as centre x, centre y, width and height in shares of the
    side; ``embeddings`` (B, D) of unit length. Where ``detected`` is false the last two mean nothing.
    """

    detected: Tensor
    score: Tensor
    boxes: Tensor
    embeddings: Tensor


class FaceNet(SavedModel, tags=["face-recognition"]):
    """Detector and embedder in one pass.

    Args:
        image_size: Side the pictures are resized to.
        channels: Width of each stage; each halves the side.
        embedding: Length D of an embedding.
        threshold: Least score that counts as a face, in [0, 1].
    """

    PURPOSE = Purpose(
        "Face detector and embedder",
        use="Measuring whether a person comes through in pictures, beside the data it was trained on.",
        limits="Not for recognising people: it was made for measurements, and says nothing of pictures unlike those it was trained on.",
    )

    def __init__(
        self,
        image_size: int = 64,
        channels: tuple[int, ...] = (32, 64, 96, 128),
        embedding: int = 96,
        threshold: float = 0.5,
    ) -> None:
        super().__init__()
        self.image_size, self.threshold = image_size, threshold
        stages: list[nn.Module] = []
        before = 3
        for width in channels:
            stages += [_Stage(before, width)]
            before = width
        self.trunk = nn.Sequential(*stages)
        side = image_size // 2 ** len(channels)
        self.detect = nn.Linear(before * side * side, 5)
        self.embed = nn.Linear(before * side * side, embedding)

    def features(self, images: Tensor) -> Tensor:
        """Flattened trunk output for (B, 3, H, W) pictures in [0, 1] of any size."""
        if images.shape[-2:] != (self.image_size, self.image_size):
            images = F.interpolate(images, (self.image_size, self.image_size), mode="bilinear", antialias=True)
        return self.trunk(images * 2 - 1).flatten(1)

    def heads(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Face logit (B,), box (B, 4) and unnormalised embedding (B, D)."""
        features = self.features(images)
        seen = self.detect(features).float()
        return seen[:, 0], seen[:, 1:].sigmoid(), self.embed(features).float()

    def forward(self, images: Tensor) -> Faces:
        """See :class:`Faces`; pictures are (B, 3, H, W) RGB in [0, 1]."""
        logit, boxes, embeddings = self.heads(images)
        score = logit.sigmoid()
        return Faces(score >= self.threshold, score, boxes, F.normalize(embeddings, dim=1))

    @torch.no_grad()
    def with_dropout(self, images: Tensor, passes: int, share: float = 0.5) -> Tensor:
        """Stochastic embeddings (passes, B, D), features dropped before the embedding; the same ones for the same pictures."""
        features = self.features(images)
        source = torch.Generator().manual_seed(0)
        kept = [(torch.rand(features.shape, generator=source) >= share).to(features) / (1 - share) for _ in range(passes)]
        return torch.stack([F.normalize(self.embed(features * mask).float(), dim=1) for mask in kept])


class _Stage(nn.Module):
    """Two 3x3 convolutions with a skip, then halving."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.SiLU())
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.SiLU())

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return F.avg_pool2d(x + self.second(x), 2)
