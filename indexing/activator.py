"""Activation of images for trained indices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from checkpoints.folders import project_path
from images.given import ChangedImage, Images, given_images
from images.metrics import compare_images
from images.photo import Photo
from indexing.activation import DescriptorObjective, activate
from indexing.activation_config import ActivationConfig
from indexing.index_facts import read_facts
from indexing.target_indices import TargetIndex, open_target_indices, refuse_exact
from indexing.targets import Kind, find_targets
from models.embedder_config import EmbedderConfig
from models.embedders import Embedder


@dataclass(frozen=True)
class ActivationResult:
    """One activated image.

    Attributes:
        image_u8: The changed image, (3, H, W) uint8.
        distance_before: Squared distance of the original's descriptor to the first index's target.
        distance_after: The changed image's distance, likewise.
    """

    image_u8: Tensor
    distance_before: float
    distance_after: float


@dataclass(frozen=True)
class ActivatedImage(ChangedImage):
    """Activated image.

    Attributes:
        distance_before: Squared distance of the original's descriptor to the first index's target.
        distance_after: The changed image's distance, likewise.
    """

    distance_before: float
    distance_after: float


class Activator:
    """Activation of images for one or more indices.

    :meth:`open` opens indices on disk. :meth:`activate_images` takes files, Pillow images, arrays
    and tensors.

    Args:
        indices: The indices.
        kind: Kind of targets; see :func:`indexing.targets.find_targets`.
        config: Settings of the optimization.
    """

    def __init__(
        self,
        indices: Sequence[TargetIndex],
        kind: Kind,
        config: ActivationConfig,
    ) -> None:
        self.indices = indices
        self.kind = kind
        self.config = config
        self.device = torch.device("cpu")

    @classmethod
    def open(
        cls,
        folders: Path | str | Sequence[Path | str],
        config: ActivationConfig | None = None,
        kind: Kind = "auto",
    ) -> Self:
        """Open indices with the extractors that they record.

        Args:
            folders: Folder of an index, or of several.
            config: Settings of the optimization; the paper's if None.
            kind: Kind of targets; see :func:`indexing.targets.find_targets`.

        Raises:
            FileNotFoundError: If an index or its extractor is missing.
            ValueError: If an index is damaged, records no extractor, or has no targets.
        """
        config = config or ActivationConfig()
        given = [folders] if isinstance(folders, Path | str) else folders
        places = [project_path(folder) for folder in given]
        records = [read_facts(place).get("extractor", {}) for place in places]
        indices = open_target_indices(
            places, [EmbedderConfig.from_record(record) for record in records]
        )
        refuse_exact(indices, places, kind, config)
        return cls(indices, kind, config)

    def activate_images(self, images: Images) -> list[ActivatedImage]:
        """Activate images, one at a time, exactly as ``python -m indexing activate`` does.

        Args:
            images: One or several: paths, Pillow images, (H, W, 3) uint8 arrays, or tensors
                (3, H, W) or (B, 3, H, W) in [0, 1].

        Returns:
            Activated images, in the same order.

        Raises:
            UnreadableImage: If an image cannot be decoded.
            ValueError: If an image has another shape or range, or the limits leave no change.
        """
        activated = []
        for given in given_images(images):
            result = self.activate([given.photo.tensor()])[0]
            photo, change = apply_result(given.photo, result)
            quality = (change["levels"], change["psnr"], change["ssim"])
            distances = (result.distance_before, result.distance_after)
            activated.append(ActivatedImage(given.name, photo, *quality, *distances))
        return activated

    def to(self, device: torch.device) -> None:
        """Move the extractors to a device."""
        self.device = device
        for index in self.indices:
            index.extractor.to(device)

    def activate(self, images: Sequence[Tensor]) -> list[ActivationResult]:
        """Activate a batch of images, (3, H, W) RGB in [0, 1]."""
        images = [image.to(self.device) for image in images]
        # targets in each index
        originals = []
        targets = []
        objectives = []
        for index in self.indices:
            features = descriptors(index.extractor, images)
            vectors = find_targets(index.trained, features, self.kind).vectors
            objective = DescriptorObjective(
                index.extractor.embed_images,
                index.view.side,
                index.view.antialias,
                torch.from_numpy(vectors),
            )
            originals.append(features)
            targets.append(vectors)
            objectives.append(objective)
        # optimization
        activated = activate(images, objectives, self.config)
        images_u8 = [image.cpu() for image in activated.images_u8]
        # distances to the first index's targets
        changed = [image.to(self.device).float() / 255 for image in images_u8]
        before = _squared_distances(originals[0], targets[0])
        after = _squared_distances(descriptors(self.indices[0].extractor, changed), targets[0])
        return [ActivationResult(*values) for values in zip(images_u8, before, after, strict=True)]


def apply_result(photo: Photo, result: ActivationResult) -> tuple[Photo, dict[str, Any]]:
    """Replace a photo's pixels by the activated ones, and measure the change.

    Args:
        photo: The decoded photo.
        result: Its activation.

    Returns:
        The activated photo, and :func:`images.metrics.compare_images` of both.

    Raises:
        ValueError: If no value changes.
    """
    changed = result.image_u8.permute(1, 2, 0).contiguous().numpy()
    metrics = compare_images(photo.rgb, changed)
    if metrics["levels"] == 0:
        msg = (
            "the limits leave no change in this photo, so it would not be activated; raise "
            "max_levels or lower min_psnr"
        )
        raise ValueError(msg)
    return replace(photo, rgb=changed), metrics


@torch.no_grad()
def descriptors(extractor: Embedder, images: Sequence[Tensor]) -> np.ndarray:
    """Compute descriptors of images of any sizes.

    Args:
        extractor: The network.
        images: (3, H, W) RGB in [0, 1] each.

    Returns:
        (B, D) float32.
    """
    views = [extractor.preprocess.from_tensors(image.unsqueeze(0)) for image in images]
    return extractor.embed_images(torch.cat(views)).cpu().numpy()


def _squared_distances(features: np.ndarray, targets: np.ndarray) -> list[float]:
    return np.square(features - targets).sum(axis=1).tolist()
