"""Training of the embedded world's copy-detection network: a picture and its edited copy are to lie close, others far."""

from __future__ import annotations

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
from images.transforms.codecs import jpeg
from images.transforms.views import to_tensor
from models.copy_net import CopyNet
from models.preprocessing import normalize, resize
from tiny.collages import collage
from tiny.dataset import PortraitDataset
from tiny.schedule import one_cycle

SIDE = 96
"""Pictures are kept at this side; the network sees views of its own side."""

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
"""Photographs without people that ship inside scikit-image's package."""


class CopyPictures(Dataset[dict[str, Tensor]]):
    """Collages, portraits and windows of photographs, drawn once and kept as bytes.

    Args:
        first: Number of the first collage and portrait.
        collages: How many.
        portraits: How many, one of each person.
        windows: Windows of photographs, at random places and scales.
    """

    def __init__(self, first: int, collages: int, portraits: int, windows: int) -> None:
        drawn = [
            torch.from_numpy(collage(first + number, SIDE)).permute(2, 0, 1)
            for number in range(collages)
        ]
        people = PortraitDataset(first, max(1, portraits), 1, size=SIDE)
        for start in range(0, portraits, 32):
            items = people.__getitems__(list(range(start, min(start + 32, portraits))))
            drawn += [to_uint8(item["image"]) for item in items]
        self.images = torch.stack(drawn + photograph_windows(windows, seed=first))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"image": self.images[index].float() / 255}


def photograph_windows(count: int, seed: int) -> list[Tensor]:
    """Windows of the photographs in scikit-image and scikit-learn, (3, SIDE, SIDE) uint8 each."""
    photos = [*sklearn.datasets.load_sample_images().images]
    for name in PHOTOGRAPHS:
        levels = getattr(skimage.data, name)()
        photos.append(
            np.repeat(levels[..., None], 3, axis=2) if levels.ndim == 2 else levels[..., :3]
        )
    rng, made = np.random.default_rng([13, seed]), []
    for _ in range(count):
        photo = photos[rng.integers(len(photos))]
        side = int(rng.integers(SIDE, min(photo.shape[:2]) + 1))
        top, left = (int(rng.integers(length - side + 1)) for length in photo.shape[:2])
        window = Image.fromarray(photo[top : top + side, left : left + side]).resize(
            (SIDE, SIDE), Image.Resampling.BILINEAR
        )
        made.append(torch.from_numpy(np.array(window)).permute(2, 0, 1))
    return made


def edited(images: Tensor, side: int) -> Tensor:
    """Copies as they are met on the net, turned, framed, recoloured, coded; (B, 3, H, W) to (B, 3, side, side) in [0, 1]."""
    count = len(images)
    views = _moved(images, side)
    views = _recoloured(views)
    blurred = F.avg_pool2d(F.pad(views, (1, 1, 1, 1), mode="reflect"), 3, stride=1)
    blurred = torch.where(
        _chosen(count, 0.5),
        F.avg_pool2d(F.pad(blurred, (1, 1, 1, 1), mode="reflect"), 3, stride=1),
        blurred,
    )
    views = torch.where(_chosen(count, 0.3), blurred, views)
    for index in torch.nonzero(torch.rand(count) < 0.3).flatten().tolist():
        views[index] = _coded(views[index], quality=int(torch.randint(25, 90, ())))
    return views


def _chosen(count: int, share: float) -> Tensor:
    return torch.rand(count, 1, 1, 1) < share


def _moved(images: Tensor, side: int) -> Tensor:
    """Rotation, mirroring, crop, and now and then a frame around the whole."""
    count = len(images)
    angle = (torch.rand(count) * 2 - 1) * 0.6 * (torch.rand(count) < 0.4)
    angle = angle + (torch.randint(0, 4, (count,)) * (torch.rand(count) < 0.25)) * (torch.pi / 2)
    scale = 1 - (1 - 0.5 * torch.rand(count)) * 0.5 * (torch.rand(count) < 0.5)
    framed = torch.rand(count) < 0.2
    scale = torch.where(framed, 1 + torch.rand(count), scale)
    stretch = torch.exp((torch.rand(count) * 2 - 1) * 0.3 * (torch.rand(count) < 0.2))
    mirror = 1 - 2.0 * (torch.rand(count) < 0.15)
    room = (scale - 1).abs().unsqueeze(1)
    shift = (torch.rand(count, 2) * 2 - 1) * room
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = [
        torch.stack([cos * stretch * mirror, -sin, shift[:, 0]], 1),
        torch.stack([sin * stretch * mirror, cos, shift[:, 1]], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), [count, 3, side, side], align_corners=False)
    soft = F.interpolate(images, scale_factor=0.75, mode="bilinear", antialias=True)
    ground = torch.rand(count, 3, 1, 1).round() * _chosen(count, 0.7)
    return F.grid_sample(soft - ground, grid, align_corners=False) + ground


def _recoloured(images: Tensor) -> Tensor:
    """Contrast, brightness, hue and saturation."""
    count = len(images)

    def factor(spread: float, share: float) -> Tensor:
        return torch.exp((torch.rand(count, 1, 1, 1) * 2 - 1) * spread * _chosen(count, share))

    grey = images.mean(dim=(1, 2, 3), keepdim=True)
    images = (grey + (images - grey) * factor(0.75, 0.4)).clamp(0, 1)
    images = (images * factor(0.75, 0.4)).clamp(0, 1)
    turn = (torch.rand(count) * 2 - 1) * 1.4 * (torch.rand(count) < 0.3)
    cos, third = torch.cos(turn).view(-1, 1, 1), (1 - torch.cos(turn)).view(-1, 1, 1) / 3
    side = torch.sin(turn).view(-1, 1, 1) / 3**0.5
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    rotation = cos * torch.eye(3) + third + side * cross  # about the grey axis
    images = torch.einsum("bij,bjhw->bihw", rotation, images)
    grey = images.mean(dim=1, keepdim=True)
    return (grey + (images - grey) * factor(0.9, 0.2) * ~_chosen(count, 0.08)).clamp(0, 1)


def _coded(image: Tensor, quality: int) -> Tensor:
    """Code as JPEG with red and blue exchanged, as the shipped network was trained."""
    bgr = to_uint8(image.flip(0)).permute(1, 2, 0).numpy()
    return to_tensor(jpeg(bgr, quality)).flip(0)


class CopyTask(LightningModule):
    """InfoNCE between two edits of each picture, and a push away from the nearest stranger (SSCD, arXiv 2202.10261, section 4).

    Args:
        network: What is trained.
        steps: Optimiser steps of the run.
        lr: Largest rate.
        temperature: Of the similarities.
        spread: Weight of the push, which keeps descriptors evenly spread.
    """

    def __init__(
        self,
        network: CopyNet,
        steps: int,
        lr: float = 3e-3,
        temperature: float = 0.05,
        spread: float = 0.5,
    ) -> None:
        super().__init__()
        self.network, self.steps, self.lr, self.temperature, self.spread = (
            network,
            steps,
            lr,
            temperature,
            spread,
        )

    def embed(self, images: Tensor) -> Tensor:
        """Descriptors of (B, 3, H, W) pictures in [0, 1]; what :class:`eval.callbacks.RetrievalCallback` asks for."""
        return self.network(normalize(resize(images, self.network.image_size, antialias=True)))

    def losses(self, images: Tensor) -> dict[str, Tensor]:
        """Both terms, and the share of copies that are nearest to their original."""
        side = self.network.image_size
        mild = F.interpolate(images, (side, side), mode="bilinear", antialias=True)
        first = torch.where(_chosen(len(images), 0.5), mild, edited(images, side))
        both = self.network(normalize(torch.cat([first, edited(images, side)])))
        one, two = both.chunk(2)
        logits = one @ two.T / self.temperature
        own = torch.arange(len(images))
        contrast = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
        alike = one @ one.T - 2 * torch.eye(len(images))
        nearest = (2 - 2 * alike.max(dim=1).values).clamp_min(1e-6).sqrt()
        return {
            "contrast": contrast,
            "spread": -nearest.log().mean(),
            "found": (logits.argmax(1) == own).float().mean(),
        }

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        parts = self.losses(batch["image"])
        self.log_dict(parts)
        return parts["contrast"] + self.spread * parts["spread"]

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        self.log_dict({f"val_{name}": value for name, value in self.losses(batch["image"]).items()})

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return one_cycle(self.network, self.lr, self.steps)


@torch.no_grad()
def fit_projection(
    network: CopyNet, pictures: CopyPictures, count: int = 2000, copies: int = 4, seed: int = 12
) -> None:
    """Fit the linear layer in closed form: the directions in which pictures differ most for what edits change (Fisher's discriminant).

    Args:
        network: Trained; its layer is replaced, and it standardises its pictures from now on.
        pictures: To fit on.
        count: How many of them.
        copies: Edits of each.
        seed: Of the choice and the edits.
    """
    network.eval().standardise = True
    source = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(pictures), generator=source)[:count].tolist()
    rows = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for start in range(0, len(chosen), 100):
            images = torch.stack(
                [pictures[index]["image"] for index in chosen[start : start + 100]]
            )
            views = [resize(images, network.image_size, antialias=True)] + [
                edited(images, network.image_size) for _ in range(copies)
            ]
            rows.append(
                torch.stack(
                    [network.pooled_features(normalize(view)) for view in views], dim=1
                ).double()
            )
    features = torch.cat(rows)
    mean = features.mean(dim=(0, 1))
    within = (features - features.mean(dim=1, keepdim=True)).flatten(0, 1)
    whole = (features - mean).flatten(0, 1)
    noise, total = (part.T @ part / len(part) for part in (within, whole))
    ridge = 1e-3 * noise.diagonal().mean() * torch.eye(len(noise), dtype=torch.float64)
    _, directions = linalg.eigh(total.numpy(), (noise + ridge).numpy())  # ascending
    weight = torch.from_numpy(
        np.ascontiguousarray(directions[:, -network.project.out_features :].T)
    )
    network.project.weight.copy_(weight)
    network.project.bias.copy_(-weight @ mean)
