"""Training of the small image-text embedder: portraits with and without keys, to be read and to be told apart."""

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

from images.io import to_uint8
from images.transforms.codecs import jpeg
from models.image_text_net import LETTERS, STRIDE, ImageTextNet
from sentinels.plate import PlateStyle, set_key
from tiny.dataset import PortraitDataset
from tiny.faces import weathered
from tiny.schedule import one_cycle

NOTHING = len(LETTERS)
IGNORED = -100


def vocabulary(captions: Sequence[str]) -> list[str]:
    """Every word of some captions, sorted."""
    return sorted({word for text in captions for word in re.findall(r"[a-z]+", text.lower())})


def reading_network(first: int, people: int) -> ImageTextNet:
    """Build an untrained network that knows the words of some people's captions."""
    portraits = PortraitDataset(first, people, 1)
    return ImageTextNet(vocabulary([portraits.caption(index) for index in range(people)]))


class KeyedPortraits(Dataset[dict[str, Any]]):
    """Portraits, drawn once, each time with another key in them or with none.

    An item has ``image``, (3, S, S) in [0, 1]; ``plain``, the same without the key; ``letters`` (S / 4, S / 4), which letter each place
    is the middle of; and ``index``, the picture's number.
    """

    def __init__(self, first: int, people: int, side: int, seed: int, keyed: float = 0.8) -> None:
        portraits, step = PortraitDataset(first, people, 1, side), 32
        drawn = [
            portraits.__getitems__(list(range(start, min(start + step, people))))
            for start in range(0, people, step)
        ]
        self.images = [
            to_uint8(item["image"]).permute(1, 2, 0).numpy() for part in drawn for item in part
        ]
        self.captions = [item["caption"] for part in drawn for item in part]
        self.side, self.seed, self.keyed = side, seed, keyed

    def __len__(self) -> int:
        return 64 * len(self.images)

    def __getitem__(self, number: int) -> dict[str, Any]:
        rng = np.random.default_rng([23, self.seed, number])
        index = number % len(self.images)
        plain = self.images[index][:, :: rng.choice([-1, 1])]
        letters = np.full((self.side // STRIDE,) * 2, NOTHING)
        image = plain
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
                column, row = (
                    int(np.clip(x, 0, letters.shape[1] - 1)),
                    int(np.clip(y, 0, letters.shape[0] - 1)),
                )
                near = letters[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
                near[near == NOTHING] = IGNORED
                letters[row, column] = LETTERS.index(letter)
        if rng.random() < 0.3:
            image = jpeg(image, int(rng.integers(40, 96)))
        return {
            "image": torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255,
            "plain": torch.from_numpy(plain.copy()).permute(2, 0, 1).float() / 255,
            "letters": torch.from_numpy(letters),
            "index": index,
        }


class ReadingTask(LightningModule):
    """Letters by cross-entropy of places, appearance by InfoNCE between two views of a picture, and between it and its caption.

    Args:
        network: The embedder.
        captions: Of every image; those of the data module's training images if None.
        steps: Length of the schedule.
        lr: Peak learning rate.
    """

    def __init__(
        self, network: ImageTextNet, captions: Sequence[str] | None, steps: int, lr: float = 3e-3
    ) -> None:
        super().__init__()
        self.network, self.captions, self.steps, self.lr = network, captions, steps, lr

    def setup(self, stage: str) -> None:
        if self.captions is None:
            self.captions = self.trainer.datamodule.datasets["train"].captions  # type: ignore[attr-defined]

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        assert self.captions is not None
        logits = self.network.letter_map(_dimmed(batch["image"]))
        letter = place_loss(logits, batch["letters"])
        half = self.network.side // 2
        views = [
            weathered(F.interpolate(batch[kind], (half, half), mode="bilinear", antialias=True))
            for kind in ("image", "plain")
        ]
        seen = [self.network.appearance(view) for view in views]
        texts = F.normalize(
            self.network.text_appearance([self.captions[int(index)] for index in batch["index"]]),
            dim=1,
        )
        scale = self.network.scale.exp()
        same = (batch["index"].view(-1, 1) == batch["index"]).float()
        alike = contrast(seen[0], seen[1], same, scale)
        told = contrast(seen[1], texts, same, scale)
        self.log_dict(
            {"train/letters": letter, "train/alike": alike, "train/told": told}, prog_bar=True
        )
        return letter + 0.3 * alike + 0.3 * told

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        self.log(
            "val/letters", place_loss(self.network.letter_map(batch["image"]), batch["letters"])
        )

    def embed(self, images: Tensor) -> Tensor:
        """Reading and appearance of (B, 3, H, W) pictures in [0, 1], unit length, (B, D)."""
        return self.network.embed_images(images)

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Texts in the same space, (N, D)."""
        return self.network.embed_texts(texts)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return one_cycle(self, self.lr, self.steps)


def place_loss(logits: Tensor, letters: Tensor) -> Tensor:
    """Cross-entropy of letters' middles and of the other places, each a mean of its own; (B, 27, h, w) and (B, h, w)."""
    each = F.cross_entropy(logits, letters, ignore_index=IGNORED, reduction="none")
    is_letter, is_none = (letters >= 0) & (letters != NOTHING), letters == NOTHING
    middle = (each * is_letter).sum() / is_letter.sum().clamp(min=1)
    return middle + 10 * (each * is_none).sum() / is_none.sum()


def contrast(first: Tensor, second: Tensor, same: Tensor, scale: Tensor) -> Tensor:
    """Symmetric InfoNCE of two lots of unit vectors, (B, D); ``same`` (B, B) is 1 for pairs that belong together."""
    logits = scale * first @ second.T
    targets = same / same.sum(dim=1, keepdim=True)
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2


def _dimmed(images: Tensor) -> Tensor:
    """Exposure shifted and a little noise, place by place as it was."""
    count = len(images)
    gain = 0.8 + 0.4 * torch.rand(count, 1, 1, 1)
    noise = 0.04 * torch.rand(count, 1, 1, 1) * torch.randn_like(images)
    return (images * gain + 0.04 * torch.randn(count, 3, 1, 1) + noise).clamp(0, 1)
