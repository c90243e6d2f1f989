"""Goals of a batch of images in one index, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from indexing.activation import DescriptorObjective
from indexing.empty_copy import Vectors
from indexing.target_indices import TargetIndex
from indexing.targets import Kind, find_targets
from models.embedders import Embedder


@dataclass(frozen=True)
class IndexResult:
    """Result of activation for one image and one index.

    Attributes:
        found: A search finds the entry of the original first when it gets the released image.
        original_found: The same for the unchanged original.
        distance_before: Squared distance of the original's descriptor to the target.
        distance_after: The released image's distance, likewise.
    """

    found: bool
    original_found: bool
    distance_before: float
    distance_after: float

    @property
    def nearer(self) -> bool:
        """Return True if the image is found, and nearer to its target than the original."""
        return self.found and self.distance_after < self.distance_before


@dataclass(frozen=True)
class IndexGoals:
    """Goals of B images in one index.

    Attributes:
        index: The index.
        features: Descriptors of the originals, (B, D).
        targets: Targets of the descriptors, (B, D).
        original_found: For each original, whether a search finds its entry first.
    """

    index: TargetIndex
    features: Vectors
    targets: Vectors
    original_found: list[bool]

    @classmethod
    def of(cls, index: TargetIndex, features: Vectors, kind: Kind) -> Self:
        """Set the goals of images with these descriptors; see :func:`find_targets` for ``kind``."""
        targets = find_targets(index.trained, features, kind).vectors
        return cls(index, features, targets, index.lookup.finds(features, features))

    def rows(self, rows: Sequence[int]) -> IndexGoals:
        """Return the goals of some of the images."""
        found = [self.original_found[row] for row in rows]
        return replace(
            self, features=self.features[rows], targets=self.targets[rows], original_found=found
        )

    def halfway(self) -> IndexGoals:
        """Move the targets half of the way back to the originals' descriptors."""
        return replace(self, targets=((self.targets + self.features) / 2).astype(np.float32))

    def objective(self) -> DescriptorObjective:
        """Return the targets as an objective of the optimization."""
        extractor = self.index.extractor
        return DescriptorObjective(
            extractor.embed_images, extractor.preprocess, torch.from_numpy(self.targets)
        )

    def results(self, features: Vectors) -> list[IndexResult]:
        """Compare the descriptors of all images' released forms, (B, D), with the goals."""
        found = self.index.lookup.finds(self.features, features)
        before = np.square(self.features - self.targets).sum(axis=1).tolist()
        after = np.square(features - self.targets).sum(axis=1).tolist()
        return [
            IndexResult(*values)
            for values in zip(found, self.original_found, before, after, strict=True)
        ]


def results_of(goals: Sequence[IndexGoals], images: Sequence[Tensor]) -> list[list[IndexResult]]:
    """Describe released images, and compare them with the goals in every index.

    Args:
        goals: Goals of the images.
        images: (3, H, W) RGB in [0, 1] each.

    Returns:
        For each image, one result for each index.
    """
    described = describe([goal.index.extractor for goal in goals], images)
    by_index = [goal.results(features) for goal, features in zip(goals, described, strict=True)]
    return [list(results) for results in zip(*by_index, strict=True)]


def describe(extractors: Sequence[Embedder], images: Sequence[Tensor]) -> list[Vectors]:
    """Compute the descriptors of images by several extractors, each used once.

    Args:
        extractors: The networks; the same one may be given several times.
        images: (3, H, W) RGB in [0, 1] each.

    Returns:
        For each extractor, (B, D) float32.
    """
    known: dict[int, Vectors] = {}
    for extractor in extractors:
        if id(extractor) not in known:
            known[id(extractor)] = descriptors(extractor, images)
    return [known[id(extractor)] for extractor in extractors]


@torch.no_grad()
def descriptors(extractor: Embedder, images: Sequence[Tensor]) -> Vectors:
    """Compute descriptors of images of any sizes.

    Args:
        extractor: The network.
        images: (3, H, W) RGB in [0, 1] each.

    Returns:
        (B, D) float32.
    """
    views = [extractor.preprocess.from_tensors(image.unsqueeze(0)) for image in images]
    return extractor.embed_images(torch.cat(views)).cpu().numpy()
