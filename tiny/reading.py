"""Training of the toy image-text embedder, which reads keys and compares appearance."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.utils.data import Dataset

from images.io import to_rgb
from images.transforms.codecs import jpeg
from models.image_text_net import LETTERS, STRIDE, ImageTextNet
from sentinels.plate import PlateStyle, set_key
from tiny.dataset import PortraitDataset
from tiny.faces import degrade
from tiny.schedule import one_cycle

NO_LETTER = len(LETTERS)
"""Class of places without a letter."""

IGNORED = -100
"""Label of places beside a letter, which the loss ignores."""


def vocabulary(captions: Sequence[str]) -> list[str]:
    """List the distinct words of captions, sorted."""
    words: set[str] = set()
    for text in captions:
        words.update(re.findall(r"[a-z]+", text.lower()))
    return sorted(words)


def reading_network(first: int, people: int) -> ImageTextNet:
    """Build an untrained network with the vocabulary of people's captions.

    Args:
        first: First identity number.
        people: Number of identities.
    """
    portraits = PortraitDataset(first, people, 1)
    return ImageTextNet(vocabulary([portraits.caption(index) for index in range(people)]))


class KeyedPortraits(Dataset[dict[str, Any]]):
    """Portraits, drawn once, with a new random key or none on every access.

    An item has ``image``, (3, S, S) in [0, 1]; ``plain``, the same without the key; ``letters``,
    the class of the letter centered at each place, (S / 4, S / 4); and ``index``, the number of the
    portrait.

    Args:
        first: First identity number.
        people: Number of portraits, one of each identity.
        side: Side S in pixels.
        seed: Seed of keys and places.
        keyed: Share of items with a key, 0 to 1.
    """

    def __init__(self, first: int, people: int, side: int, seed: int, keyed: float = 0.8) -> None:
        portraits = PortraitDataset(first, people, 1, side)
        self.images = []
        self.captions = []
        for start in range(0, people, 32):
            for item in portraits.__getitems__(list(range(start, min(start + 32, people)))):
                self.images.append(to_rgb(item["image"]))
                self.captions.append(item["caption"])
        self.side = side
        self.seed = seed
        self.keyed = keyed

    def __len__(self) -> int:
        return 64 * len(self.images)

    def __getitem__(self, number: int) -> dict[str, Any]:
        rng = np.random.default_rng([23, self.seed, number])
        index = number % len(self.images)
        plain = self.images[index][:, :: rng.choice([-1, 1])]
        letters = np.full((self.side // STRIDE,) * 2, NO_LETTER)
        image = plain
        # Letter a random key into it, and label the places of its letters.
        if rng.random() < self.keyed:
            key = "".join(rng.choice(list(LETTERS), int(rng.integers(4, 9))))
            style = PlateStyle(
                (0.5, 0.9),
                tilt=8,
                contrast=float(rng.uniform(60, 140)),
                flatten=float(rng.uniform(0.3, 0.9)),
            )
            plate = set_key(np.ascontiguousarray(plain), key, rng, style)
            image = plate.rgb
            for (x, y), letter in zip(plate.centers / STRIDE, key, strict=True):
                column = int(np.clip(x, 0, letters.shape[1] - 1))
                row = int(np.clip(y, 0, letters.shape[0] - 1))
                near = letters[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
                near[near == NO_LETTER] = IGNORED
                letters[row, column] = LETTERS.index(letter)
        # Compress three in ten.
        if rng.random() < 0.3:
            image = jpeg(image, int(rng.integers(40, 96)))
        return {
            "image": torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255,
            "plain": torch.from_numpy(plain.copy()).permute(2, 0, 1).float() / 255,
            "letters": torch.from_numpy(letters),
            "index": index,
        }


class ReadingTask(LightningModule):
    """Train reading with cross-entropy, and appearance with InfoNCE.

    InfoNCE compares two views of an image, and an image with its caption.

    Args:
        network: Embedder to train.
        captions: Captions of all images; None takes those of the data module's training images.
        steps: Length of the one-cycle schedule, in optimizer steps.
        lr: Peak learning rate.
    """

    def __init__(
        self, network: ImageTextNet, captions: Sequence[str] | None, steps: int, lr: float = 3e-3
    ) -> None:
        super().__init__()
        self.network = network
        self.captions = captions
        self.steps = steps
        self.lr = lr

    def setup(self, stage: str) -> None:
        if self.captions is None:
            datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
            self.captions = datamodule.datasets["train"].captions

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        assert self.captions is not None
        # Letters.
        logits = self.network.letter_map(_change_exposure(batch["image"]))
        reading = place_loss(logits, batch["letters"])
        # Appearance of degraded views with and without the key, and of the captions.
        keyed = self.network.appearance(self._view(batch["image"]))
        plain = self.network.appearance(self._view(batch["plain"]))
        captions = [self.captions[int(index)] for index in batch["index"]]
        texts = F.normalize(self.network.text_appearance(captions), dim=1)
        # Losses.
        scale = self.network.scale.exp()
        same = (batch["index"].view(-1, 1) == batch["index"]).float()
        between_views = contrast(keyed, plain, same, scale)
        to_caption = contrast(plain, texts, same, scale)
        losses = {
            "train/letters": reading,
            "train/views": between_views,
            "train/captions": to_caption,
        }
        self.log_dict(losses, prog_bar=True)
        return reading + 0.3 * between_views + 0.3 * to_caption

    def _view(self, images: Tensor) -> Tensor:
        """Degrade images at half the network's side."""
        half = self.network.side // 2
        return degrade(F.interpolate(images, (half, half), mode="bilinear", antialias=True))

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        logits = self.network.letter_map(batch["image"])
        self.log("val/letters", place_loss(logits, batch["letters"]))

    def embed(self, images: Tensor) -> Tensor:
        """Embed images (B, 3, H, W) in [0, 1] to unit vectors (B, D)."""
        return self.network.embed_images(images)

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed texts in the same space, (N, D)."""
        return self.network.embed_texts(texts)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return one_cycle(self, self.lr, self.steps)


def place_loss(logits: Tensor, letters: Tensor) -> Tensor:
    """Compute the cross-entropy of letter places and of empty places, each averaged separately.

    Args:
        logits: Logits of 26 letters and no letter, (B, 27, h, w).
        letters: Class of each place, (B, h, w).
    """
    losses = F.cross_entropy(logits, letters, ignore_index=IGNORED, reduction="none")
    is_letter = (letters >= 0) & (letters != NO_LETTER)
    is_empty = letters == NO_LETTER
    letter_loss = (losses * is_letter).sum() / is_letter.sum().clamp(min=1)
    return letter_loss + 10 * (losses * is_empty).sum() / is_empty.sum()


def contrast(first: Tensor, second: Tensor, same: Tensor, scale: Tensor) -> Tensor:
    """Compute the symmetric InfoNCE of two sets of unit vectors.

    Args:
        first: (B, D).
        second: (B, D).
        same: 1 for matching pairs, else 0, (B, B).
        scale: Inverse temperature.
    """
    logits = scale * first @ second.T
    targets = same / same.sum(dim=1, keepdim=True)
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2


def _change_exposure(images: Tensor) -> Tensor:
    """Change exposure and tint, and add noise, without moving pixels."""
    count = len(images)
    gain = 0.8 + 0.4 * torch.rand(count, 1, 1, 1)
    noise = 0.04 * torch.rand(count, 1, 1, 1) * torch.randn_like(images)
    return (images * gain + 0.04 * torch.randn(count, 3, 1, 1) + noise).clamp(0, 1)
