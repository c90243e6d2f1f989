"""Small face detector and embedder for images of one person each.

One convolutional trunk predicts face score, box and embedding from the whole image.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from checkpoints.card import Purpose
from checkpoints.saved import SavedModel


class Faces(NamedTuple):
    """Largest face of each of B images.

    Attributes:
        detected: (B,) bool; boxes and embeddings are undefined where false.
        score: (B,) in [0, 1].
        boxes: (B, 4): center x, center y, width and height, relative to the image's sides.
        embeddings: (B, D) of unit length.
    """

    detected: Tensor
    score: Tensor
    boxes: Tensor
    embeddings: Tensor


class FaceNet(SavedModel, tags=["face-recognition"]):
    """Face detector and embedder in one network.

    Args:
        image_size: Side of the resized images, in pixels.
        channels: Width of each stage; each halves the side.
        embedding: Length D of an embedding.
        threshold: Smallest score of a face, in [0, 1].
    """

    PURPOSE = Purpose(
        "Face detector and embedder",
        use="Measuring whether a person is recognizable in images like its training data.",
        limits=(
            "For measurements only, not for recognizing people; invalid on other kinds of images."
        ),
    )

    def __init__(
        self,
        image_size: int = 64,
        channels: tuple[int, ...] = (32, 64, 96, 128),
        embedding: int = 96,
        threshold: float = 0.5,
    ) -> None:
        super().__init__()
        self.image_size = image_size
        self.threshold = threshold
        stages: list[nn.Module] = []
        in_channels = 3
        for width in channels:
            stages += [_Stage(in_channels, width)]
            in_channels = width
        self.trunk = nn.Sequential(*stages)
        side = image_size // 2 ** len(channels)
        self.detect = nn.Linear(in_channels * side * side, 5)
        self.embed = nn.Linear(in_channels * side * side, embedding)

    def features(self, images: Tensor) -> Tensor:
        """Compute flattened trunk features of (B, 3, H, W) images in [0, 1]."""
        if images.shape[-2:] != (self.image_size, self.image_size):
            images = F.interpolate(
                images, (self.image_size, self.image_size), mode="bilinear", antialias=True
            )
        return self.trunk(images * 2 - 1).flatten(1)

    def heads(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute face logit (B,), box (B, 4) and unnormalized embedding (B, D)."""
        features = self.features(images)
        detection = self.detect(features).float()
        return detection[:, 0], detection[:, 1:].sigmoid(), self.embed(features).float()

    def forward(self, images: Tensor) -> Faces:
        """Detect and embed faces in (B, 3, H, W) RGB images in [0, 1]."""
        logit, boxes, embeddings = self.heads(images)
        score = logit.sigmoid()
        return Faces(score >= self.threshold, score, boxes, F.normalize(embeddings, dim=1))

    @torch.no_grad()
    def with_dropout(self, images: Tensor, passes: int, share: float = 0.5) -> Tensor:
        """Compute embeddings with Monte Carlo dropout of the features, from a fixed seed.

        Args:
            images: (B, 3, H, W) in [0, 1].
            passes: Number of dropout masks.
            share: Dropout probability, 0 to below 1.

        Returns:
            (passes, B, D) of unit length.
        """
        features = self.features(images)
        source = torch.Generator().manual_seed(0)
        kept = [
            (torch.rand(features.shape, generator=source) >= share).to(features) / (1 - share)
            for _ in range(passes)
        ]
        return torch.stack(
            [F.normalize(self.embed(features * mask).float(), dim=1) for mask in kept]
        )


class _Stage(nn.Module):
    """Two 3x3 convolutions with a skip connection, then average pooling."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.SiLU(),
        )
        self.second = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.SiLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return F.avg_pool2d(x + self.second(x), 2)
