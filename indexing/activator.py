"""Activation of images for trained indices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from checkpoints.folders import project_path
from images.given import ChangedImage, Images, given_images
from images.io import to_rgb
from images.metrics import compare_images
from images.photo import Photo
from indexing.activation_config import ActivationConfig
from indexing.index_goals import IndexGoals, IndexResult, describe
from indexing.opacity import Opacity, on_white
from indexing.release import ActivationResult, activate_and_check
from indexing.target_indices import (
    TargetIndex,
    open_target_indices,
    recorded_extractor,
    refuse_exact,
)
from indexing.targets import Kind


@dataclass(frozen=True)
class ActivatedImage(ChangedImage):
    """Activated image.

    Attributes:
        activated: The image was changed; otherwise it is the original, and ``levels`` is 0.
        indices: One result for each index, by the index's label.
    """

    activated: bool
    indices: dict[str, IndexResult]


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
        indices = open_target_indices(places, [recorded_extractor(place) for place in places])
        refuse_exact(indices, kind, config)
        return cls(indices, kind, config)

    def activate_images(self, images: Images) -> list[ActivatedImage]:
        """Activate images, one at a time, as ``python -m indexing activate --batch-size 1`` does.

        With other batch sizes of the command, the rounding of the networks' sums may change a few
        values by one level.

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
            result = self.activate([given.photo.tensor()], [given.photo.opacity()])[0]
            photo, change = apply_result(given.photo, result)
            quality = (change["levels"], change["psnr"], change["ssim"])
            outcome = (result.activated, result.indices)
            activated.append(ActivatedImage(given.name, photo, *quality, *outcome))
        return activated

    def to(self, device: torch.device) -> None:
        """Move the extractors to a device."""
        self.device = device
        for index in self.indices:
            index.extractor.to(device)

    def activate(
        self, images: Sequence[Tensor], opacities: Sequence[Opacity] | None = None
    ) -> list[ActivationResult]:
        """Activate a batch of images.

        Args:
            images: (3, H, W) RGB in [0, 1] each.
            opacities: Opacity of each image, which searches see on white; None for opaque images.
        """
        images = [image.to(self.device) for image in images]
        opacities = [
            None if opacity is None else opacity.to(self.device)
            for opacity in opacities or [None] * len(images)
        ]
        seen = on_white(images, opacities)
        described = describe([index.extractor for index in self.indices], seen)
        goals = [
            IndexGoals.of(index, features, self.kind)
            for index, features in zip(self.indices, described, strict=True)
        ]
        return activate_and_check(images, goals, self.config, opacities)


def apply_result(photo: Photo, result: ActivationResult) -> tuple[Photo, dict[str, Any]]:
    """Replace a photo's pixels by the activated ones, and measure the change.

    Args:
        photo: The decoded photo.
        result: Its activation.

    Returns:
        The activated photo, and :func:`images.metrics.compare_images` of both.

    Raises:
        ValueError: If the limits leave no change.
    """
    changed = to_rgb(result.image_u8)
    metrics = compare_images(photo.rgb, changed)
    if result.activated and metrics["levels"] == 0:
        msg = (
            "the limits leave no change in this photo, so it would not be activated; raise "
            "max_levels or lower min_psnr"
        )
        raise ValueError(msg)
    return replace(photo, rgb=changed), metrics
