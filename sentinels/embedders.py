"""Embedders of pictures and texts, by name: CLIP, SigLIP, DINO, DINOv2, and the small one that reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from transformers import AutoTokenizer, CLIPModel, Dinov2Model, SiglipModel, ViTModel

from checkpoints.folders import model_folder, read_config
from engine.manifest import fingerprint
from sentinels.reader import load_network

NAMES = {
    "clip": "openai/clip-vit-base-patch32",
    "siglip": "google/siglip-base-patch16-224",
    "dino": "facebook/dino-vits16",
    "dinov2": "facebook/dinov2-small",
}
"""Short names of the models of the paper."""

PATTERNS = ["*.json", "*.txt", "*.model", "model.safetensors"]

CLIP_STATISTICS = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class Pixels:
    """From a picture's levels to what a network takes, on 8-bit values as the published programs do it.

    Attributes:
        side: Of the square it sees.
        resize: The shorter side is brought to this first, then the middle is cut out; None brings both sides to ``side``.
        filter: Pillow's.
        statistics: Mean and deviation that are taken off.
    """

    side: int
    resize: int | None
    filter: Image.Resampling
    statistics: tuple[tuple[float, ...], tuple[float, ...]] = ((0.0,) * 3, (1.0,) * 3)

    def __call__(self, rgb: NDArray[np.uint8]) -> Tensor:
        """(H, W, 3) uint8 to (3, side, side) float32."""
        image = Image.fromarray(rgb)
        if self.resize is None:
            image = image.resize((self.side, self.side), self.filter)
        else:
            scale = self.resize / min(image.size)
            width, height = (max(self.side, round(length * scale)) for length in image.size)
            left, top = (width - self.side) // 2, (height - self.side) // 2
            image = image.resize((width, height), self.filter).crop((left, top, left + self.side, top + self.side))
        mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in self.statistics)
        return (torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255 - mean) / deviation


class Embedder(Protocol):
    """What retrieval and scoring need of a model."""

    network: nn.Module
    pixels: Pixels

    def images(self, pixels: Tensor) -> Tensor:
        """Unit vectors (B, D) of what ``pixels`` made of B pictures."""

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (N, D) of texts in the same space.

        Raises:
            ValueError: If the model has no text side.
        """


class ImageText:
    """CLIP or SigLIP of the transformers library.

    Args:
        folder: The model's.
        kind: Which of the two.
    """

    def __init__(self, folder: Path, kind: Literal["clip", "siglip"]) -> None:
        self.network: Any = (CLIPModel if kind == "clip" else SiglipModel).from_pretrained(folder).eval().requires_grad_(False)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        side = self.network.config.vision_config.image_size
        self.kind = kind
        if kind == "clip":
            self.pixels = Pixels(side, side, Image.Resampling.BICUBIC, CLIP_STATISTICS)
        else:
            self.pixels = Pixels(side, None, Image.Resampling.BICUBIC, HALF)

    @torch.no_grad()
    def images(self, pixels: Tensor) -> Tensor:
        seen = self.network.vision_model(pixels.to(self.network.device)).pooler_output
        return F.normalize((self.network.visual_projection(seen) if self.kind == "clip" else seen).float(), dim=-1)

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Tensor:
        length = self.network.config.text_config.max_position_embeddings
        tokens = self.tokenizer(list(texts), padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        inputs = {"input_ids": tokens["input_ids"].to(self.network.device)}
        if self.kind == "clip":
            inputs["attention_mask"] = tokens["attention_mask"].to(self.network.device)
        read = self.network.text_model(**inputs).pooler_output
        return F.normalize((self.network.text_projection(read) if self.kind == "clip" else read).float(), dim=-1)


class ImageOnly:
    """DINO or DINOv2: the class token of the last layer.

    Args:
        folder: The model's.
        kind: vit or dinov2.
    """

    def __init__(self, folder: Path, kind: Literal["vit", "dinov2"]) -> None:
        self.network: Any = (ViTModel if kind == "vit" else Dinov2Model).from_pretrained(folder).eval().requires_grad_(False)
        side = self.network.config.image_size if kind == "vit" else min(224, self.network.config.image_size)
        self.pixels = Pixels(side, round(side * 256 / 224), Image.Resampling.BILINEAR, IMAGENET)

    @torch.no_grad()
    def images(self, pixels: Tensor) -> Tensor:
        states = self.network(pixels.to(self.network.device), interpolate_pos_encoding=True).last_hidden_state
        return F.normalize(states[:, 0].float(), dim=-1)

    def texts(self, texts: Sequence[str]) -> Tensor:
        msg = f"{type(self.network).__name__} sees pictures only; search by text with clip, siglip or another image-text model"
        raise ValueError(msg)


class Reading:
    """The small embedder: what is written and what it looks like, or the look alone.

    Args:
        name: The model's folder.
        look: Leave out what is written, for comparing pictures.
    """

    def __init__(self, name: str, look: bool = False) -> None:
        self.network: Any = load_network(name)
        self.look = look
        self.pixels = Pixels(self.network.side, None, Image.Resampling.BILINEAR)

    @torch.no_grad()
    def images(self, pixels: Tensor) -> Tensor:
        pixels = pixels.to(next(self.network.parameters()).device)
        return self.network.appearance(pixels) if self.look else self.network.embed_images(pixels)

    def texts(self, texts: Sequence[str]) -> Tensor:
        return self.network.embed_texts(texts)


def open_embedder(name: str, look: bool = False) -> Embedder:
    """An embedder by its short name (clip, siglip, dino, dinov2), folder or Hub id.

    Args:
        name: Which.
        look: Of one that reads, only what pictures look like.

    Raises:
        FileNotFoundError: If it cannot be had.
        ValueError: If it is of a kind that is not known.
    """
    folder = model_folder(NAMES.get(name, name), "config.json", patterns=PATTERNS)
    config = read_config(folder)
    kind = config.get("model_type")
    if "words" in config:
        return Reading(str(folder), look)
    if kind in ("clip", "siglip"):
        return ImageText(folder, kind)
    if kind in ("vit", "dinov2"):
        return ImageOnly(folder, kind)
    msg = f"{name} is a {kind or 'model of an unknown kind'}; CLIP, SigLIP, ViT (DINO), DINOv2 and the embedder that reads can be used"
    raise ValueError(msg)


def identified(name: str) -> dict[str, Any]:
    """Which weights a name means: see :func:`engine.manifest.fingerprint`."""
    return fingerprint(name, model_folder(NAMES.get(name, name), "config.json", patterns=PATTERNS))


def embed_levels(embedder: Embedder, pictures: Sequence[NDArray[np.uint8]], batch_size: int = 32) -> Tensor:
    """Unit vectors (B, D), on the CPU, of pictures (H, W, 3) of any sizes."""
    batches = [pictures[start : start + batch_size] for start in range(0, len(pictures), batch_size)]
    return torch.cat([embedder.images(torch.stack([embedder.pixels(rgb) for rgb in batch])).float().cpu() for batch in batches])
