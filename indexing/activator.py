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
from engine.files import file_digest
from images.given import ChangedImage, Images, given_images
from images.metrics import compare_images
from images.photo import Photo
from indexing.activation import DescriptorObjective, activate
from indexing.activation_config import ActivationConfig
from indexing.faiss_files import read_faiss
from indexing.index import Index
from indexing.index_facts import TRAINED, index_files, read_facts
from indexing.targets import Kind, find_targets
from models.embedder_config import EmbedderConfig
from models.embedders import Embedder, open_embedder
from models.preprocessing import Preprocessing


@dataclass(frozen=True)
class TargetIndex:
    """An index that is to find the images.

    Attributes:
        trained: The trained faiss index; its entries do not matter.
        extractor: Network of its descriptors.
        facts: Content of its ``index.json``.
        digest: Sha256 of its file.
    """

    trained: Any
    extractor: Embedder
    facts: dict[str, Any]
    digest: str

    @property
    def view(self) -> Preprocessing:
        """Preprocessing of the extractor's input."""
        return self.extractor.preprocess

    def record(self) -> dict[str, Any]:
        """Return the index's entry in a manifest."""
        settings = {key: self.facts.get(key) for key in ("factory", "metric", "extractor")}
        return {"sha256": self.digest} | settings


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


def open_target_indices(
    folders: Sequence[Path],
    extractors: Sequence[EmbedderConfig],
) -> list[TargetIndex]:
    """Open indices with their extractors, each extractor once.

    Args:
        folders: Folders of the indices.
        extractors: One for all indices, or one for each.

    Raises:
        FileNotFoundError: If an index or extractor is missing.
        ValueError: If the numbers of indices and extractors do not match, an index was built with
            another extractor, or an extractor is not differentiable.
    """
    if len(extractors) not in (1, len(folders)):
        msg = (
            f"{len(folders)} indices and {len(extractors)} extractors: give one extractor for all, "
            "or one for each index"
        )
        raise ValueError(msg)
    opened = [open_embedder(config) for config in extractors]
    indices = []
    for number, folder in enumerate(folders):
        # extractor
        extractor = opened[number if len(opened) > 1 else 0]
        name = extractor.config.name
        if extractor.preprocess.on != "float":
            msg = (
                f"{name} resizes 8-bit values, which is not differentiable; activate for an index "
                "of another extractor"
            )
            raise ValueError(msg)
        # trained index; its entries are not needed
        facts = read_facts(folder)
        file = folder / TRAINED
        if not file.is_file():
            file = index_files(folder, facts)[0]
        trained = read_faiss(file, expected=facts.get("sha256", {}).get(file.name))
        index = Index(trained, [], facts)
        index.check(extractor.fingerprint, extractor.dimension, f"descriptors of {name}")
        indices.append(TargetIndex(trained, extractor, facts, file_digest(file)))
    return indices


def refuse_exact(
    indices: Sequence[TargetIndex],
    folders: Sequence[Path],
    kind: Kind,
    config: ActivationConfig,
) -> None:
    """Refuse indices without other targets than the descriptors, unless views are optimized.

    Args:
        indices: The indices.
        folders: Their folders, for the message.
        kind: Kind of targets.
        config: Settings of the optimization.

    Raises:
        ValueError: If an index has no such targets.
    """
    if config.views:
        return
    for index, folder in zip(indices, folders, strict=True):
        probe = np.random.default_rng(0).normal(size=(4, index.trained.d)).astype(np.float32)
        if find_targets(index.trained, probe, kind).kind == "feature":
            msg = (
                f"{folder}: {index.facts.get('factory')} stores exact descriptors, so a photo's "
                "only target is its own descriptor; set views to 4 or more to pull its edited "
                "copies there, or use an index with cells or codes"
            )
            raise ValueError(msg)


def _squared_distances(features: np.ndarray, targets: np.ndarray) -> list[float]:
    return np.square(features - targets).sum(axis=1).tolist()
