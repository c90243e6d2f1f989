"""Training of the toy copy-detection network with contrastive learning."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import skimage
import sklearn.datasets
import torch
import torch.nn.functional as F
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from PIL import Image
from scipy import linalg
from torch import Tensor
from torch.utils.data import Dataset

from images.io import to_uint8
from images.transforms import RGBImage
from models.copy_net import CopyNetwork
from models.preprocessing import normalize, resize
from tiny.collages import collage
from tiny.copy_edits import random_edit, random_mask
from tiny.dataset import PortraitDataset
from tiny.photo_crops import PhotoCrops
from tiny.schedule import one_cycle

Edit = Callable[[Tensor, int], Tensor]

STORED_SIDE_PX = 96
"""Side of the stored images; the network gets views of its input size."""

PHOTOGRAPHS = (
    "chelsea",
    "coffee",
    "rocket",
    "hubble_deep_field",
    "retina",
    "immunohistochemistry",
    "brick",
    "grass",
    "gravel",
    "coins",
)
"""Photographs without people in the package of scikit-image."""


class CopyPictures(Dataset[dict[str, Tensor]]):
    """Collages, portraits and crops of photographs, drawn once and stored as bytes.

    Args:
        first: Number of the first collage and portrait.
        collages: Number of collages.
        portraits: Number of portraits, one of each person.
        windows: Number of crops of photographs, at random places and scales.
    """

    def __init__(self, first: int, collages: int, portraits: int, windows: int) -> None:
        images = []
        for number in range(first, first + collages):
            rgb = torch.from_numpy(collage(number, STORED_SIDE_PX))
            images.append(rgb.permute(2, 0, 1))
        people = PortraitDataset(first, max(1, portraits), 1, size=STORED_SIDE_PX)
        for start in range(0, portraits, 32):
            items = people.__getitems__(list(range(start, min(start + 32, portraits))))
            images += [to_uint8(item["image"]) for item in items]
        self.images = torch.stack(images + photograph_windows(windows, seed=first))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"image": self.images[index].float() / 255}


def photograph_windows(count: int, seed: int) -> list[Tensor]:
    """Crop the photographs of scikit-image and scikit-learn at random.

    Args:
        count: Number of crops.
        seed: Seed of places and scales.

    Returns:
        Crops (3, STORED_SIDE_PX, STORED_SIDE_PX) uint8.
    """
    photos = _load_photographs()
    rng = np.random.default_rng([13, seed])
    crops = []
    for _ in range(count):
        photo = photos[rng.integers(len(photos))]
        side = int(rng.integers(STORED_SIDE_PX, min(photo.shape[:2]) + 1))
        top, left = (int(rng.integers(length - side + 1)) for length in photo.shape[:2])
        crop = Image.fromarray(photo[top : top + side, left : left + side])
        small = crop.resize((STORED_SIDE_PX, STORED_SIDE_PX), Image.Resampling.BILINEAR)
        crops.append(torch.from_numpy(np.array(small)).permute(2, 0, 1))
    return crops


def _load_photographs() -> list[RGBImage]:
    """Load the photographs, (H, W, 3) uint8 each; gray ones get three channels."""
    photos = list(sklearn.datasets.load_sample_images().images)
    for name in PHOTOGRAPHS:
        pixels = getattr(skimage.data, name)()
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[..., None], 3, axis=2)
        photos.append(pixels[..., :3])
    return photos


class CopyTask(LightningModule):
    """Train with InfoNCE between two edits of each image, and entropy regularization.

    Both terms are those of SSCD (arXiv 2202.10261, section 4).

    Args:
        network: Network to train.
        steps: Length of the one-cycle schedule, in optimizer steps.
        lr: Peak learning rate.
        temperature: Temperature of the similarities.
        spread: Weight of the entropy term, which spreads descriptors evenly.

    Attributes:
        edit: Edits a batch at random, and resizes it to a side in pixels.
    """

    edit: Edit = staticmethod(random_edit)

    def __init__(
        self,
        network: CopyNetwork,
        steps: int,
        lr: float = 3e-3,
        temperature: float = 0.05,
        spread: float = 0.5,
    ) -> None:
        super().__init__()
        self.network = network
        self.steps = steps
        self.lr = lr
        self.temperature = temperature
        self.spread = spread

    def embed(self, images: Tensor) -> Tensor:
        """Describe images (B, 3, H, W) in [0, 1], for :class:`eval.callbacks.RetrievalCallback`."""
        return self.network(normalize(resize(images, self.network.image_size, antialias=True)))

    def losses(self, images: Tensor) -> dict[str, Tensor]:
        """Compute both losses, and the share of copies that retrieve their original."""
        side = self.network.image_size
        # Two views of each image; half of the first ones are not edited.
        resized = F.interpolate(images, (side, side), mode="bilinear", antialias=True)
        is_unedited = random_mask(len(images), 0.5)
        first_views = torch.where(is_unedited, resized, self.edit(images, side))
        second_views = self.edit(images, side)
        descriptors = self.network(normalize(torch.cat([first_views, second_views])))
        first, second = descriptors.chunk(2)
        # InfoNCE, and the distance to the nearest other image.
        logits = first @ second.T / self.temperature
        labels = torch.arange(len(images))
        contrast = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
        cosines = first @ first.T - 2 * torch.eye(len(images))
        nearest = (2 - 2 * cosines.max(dim=1).values).clamp_min(1e-6).sqrt()
        return {
            "contrast": contrast,
            "spread": -nearest.log().mean(),
            "found": (logits.argmax(1) == labels).float().mean(),
        }

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        losses = self.losses(batch["image"])
        self.log_dict(losses)
        return losses["contrast"] + self.spread * losses["spread"]

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        losses = self.losses(batch["image"])
        self.log_dict({f"val_{name}": value for name, value in losses.items()})

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return one_cycle(self.network, self.lr, self.steps)


@torch.no_grad()
def fit_projection(
    network: CopyNetwork,
    pictures: CopyPictures | PhotoCrops,
    count: int = 2000,
    copies: int = 4,
    seed: int = 12,
    edit: Edit = random_edit,
) -> None:
    """Fit the projection in closed form by Fisher's linear discriminant.

    It keeps the directions in which images differ most, relative to the effect of edits.

    Args:
        network: Trained network; its projection is replaced.
        pictures: Images to fit on.
        count: Number of images to use.
        copies: Edits of each image.
        seed: Seed of the choice and the edits.
        edit: Edits a batch at random, and resizes it to a side in pixels.
    """
    network.eval()
    generator = torch.Generator().manual_seed(seed)
    indices = torch.randperm(len(pictures), generator=generator)[:count].tolist()
    # Features of the images and their edits, (count, 1 + copies, D).
    batches = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for start in range(0, len(indices), 100):
            batch = indices[start : start + 100]
            images = torch.stack([pictures[index]["image"] for index in batch])
            views = [resize(images, network.image_size, antialias=True)]
            views += [edit(images, network.image_size) for _ in range(copies)]
            view_features = [network.pooled_features(normalize(view)) for view in views]
            batches.append(torch.stack(view_features, dim=1).double())
    features = torch.cat(batches)
    # Covariances within the views of an image, and of all views.
    mean = features.mean(dim=(0, 1))
    within = (features - features.mean(dim=1, keepdim=True)).flatten(0, 1)
    centered = (features - mean).flatten(0, 1)
    noise = within.T @ within / len(within)
    total = centered.T @ centered / len(centered)
    # The generalized eigenvectors with the largest eigenvalues; eigh sorts them ascending.
    ridge = 1e-3 * noise.diagonal().mean() * torch.eye(len(noise), dtype=torch.float64)
    _, directions = linalg.eigh(total.numpy(), (noise + ridge).numpy())
    largest = directions[:, -network.project.out_features :].T
    weight = torch.from_numpy(np.ascontiguousarray(largest))
    network.project.weight.copy_(weight)
    network.project.bias.copy_(-weight @ mean)
