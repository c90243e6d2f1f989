"""Embedders: networks from images, and often from texts, to vectors that can be compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from checkpoints.folders import model_folder, read_config
from engine.files import file_digest
from engine.manifest import fingerprint
from models.backbones import (
    TORCHSCRIPT,
    first_line,
    open_timm,
    open_torchscript,
    open_torchvision,
    state_digest,
)
from models.embedder_config import SHORT_NAMES, EmbedderConfig
from models.preprocessing import Preprocessing, module_device
from models.store import combined_digest
from models.towers import KINDS, open_towers, shorter_side

PATTERNS = ["*.json", "*.txt", "*.model", "model.safetensors"]
"""What is downloaded of a model on the Hub."""

OWN = ("CopyNet", "ImageTextNet")
"""Embedders of this project, by the class that config.json names."""

CHECKPOINT = ".ckpt"
"""Ending of Lightning's checkpoints."""

UNKNOWN_SIDE = 288
"""Side of the view where a network's own is not known, as in active indexing's paper."""


class Embedder(nn.Module):
    """A network with its view of an image.

    Args:
        network: From (B, 3, S, S), preprocessed, to (B, D); with ``embed_texts`` if it has a text side.
        preprocess: From an image to what the network takes, (H, W, 3) uint8 to (3, S, S).
        unit: Bring vectors to unit length.
        digest: What tells these weights from others.
        config: Which network it is.
        appearance: What images look like is embedded alone, without what is written in them.
    """

    def __init__(
        self,
        network: nn.Module,
        preprocess: Preprocessing,
        unit: bool,
        digest: str,
        config: EmbedderConfig,
        appearance: bool = False,
    ) -> None:
        super().__init__()
        self.network = network.eval()
        for parameter in network.parameters():  # TorchScript takes no requires_grad_ of the whole
            parameter.requires_grad_(False)
        self.preprocess, self.unit, self.digest = preprocess, unit, digest
        self.config, self.appearance = config, appearance

    def embed_images(self, views: Tensor) -> Tensor:
        """Vectors (B, D) float32 of (B, 3, S, S) views, on the network's device; differentiable.

        Raises:
            ValueError: If the network gives anything but one vector for each view.
        """
        first = next(self.network.parameters(), None)
        dtype = first.dtype if first is not None and first.is_floating_point() else views.dtype
        vectors = self.network(views.to(module_device(self.network), dtype))
        if not isinstance(vectors, Tensor) or vectors.ndim != 2:
            shape = tuple(vectors.shape) if isinstance(vectors, Tensor) else type(vectors).__name__
            msg = f"the network gives {shape} instead of one vector for each image; choose one that describes whole images"
            raise ValueError(msg)
        return F.normalize(vectors.float(), dim=1) if self.unit else vectors.float()

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Vectors (N, D) float32 of texts, in the space of images.

        Raises:
            ValueError: If the model has no text side.
        """
        embed: Any = getattr(self.network, "embed_texts", None)
        if embed is None or self.appearance:
            msg = f"{self.config.name} sees images only; search by text with clip, siglip or another image-text model"
            raise ValueError(msg)
        vectors = embed(texts).float()
        return F.normalize(vectors, dim=1) if self.unit else vectors

    @torch.no_grad()
    def embed_arrays(self, images: Sequence[NDArray[np.uint8]], batch_size: int = 32) -> Tensor:
        """Vectors (B, D), on the CPU, of (H, W, 3) uint8 images of any sizes."""
        batches = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
        return torch.cat([self.embed_images(torch.stack([self.preprocess(rgb) for rgb in batch])).cpu() for batch in batches])

    def forward(self, images: Tensor) -> Tensor:
        """Vectors (B, D) of (B, 3, H, W) images in [0, 1]."""
        return self.embed_images(self.preprocess.from_tensors(images))

    @cached_property
    def dimension(self) -> int:
        """Length D of a vector."""
        side = self.preprocess.side
        with torch.no_grad():
            return self.embed_images(torch.zeros(2, 3, side, side)).shape[1]

    @property
    def fingerprint(self) -> str:
        """Changes with the weights and with the view: vectors of different fingerprints cannot be compared."""
        facts = {"weights": self.digest, "unit": self.unit} | self.preprocess.facts()
        if self.appearance:
            facts["appearance"] = True
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def record(self) -> dict[str, Any]:
        """What identifies it, for the record of vectors; :meth:`EmbedderConfig.from_record` reads it."""
        return {
            "name": self.config.name,
            "weights": None if self.config.weights is None else str(self.config.weights),
            "size": self.preprocess.side,
            "antialias": self.preprocess.antialias,
            "unit": self.unit,
            "dimension": self.dimension,
            "fingerprint": self.fingerprint,
        }


def open_embedder(config: EmbedderConfig | str, appearance: bool = False) -> Embedder:
    """Open an embedder by its settings, or by its name alone.

    Args:
        config: Which.
        appearance: Of one that reads, embed what images look like alone.

    Raises:
        FileNotFoundError: If there is no such file, folder or published network.
        ValueError: If it is a program that is not trusted, damaged, of other weights, of an unknown kind, or refuses
            images of this size.
    """
    if isinstance(config, str):
        config = EmbedderConfig(config)
    opened = _open(config, appearance)
    preprocess = opened.preprocess
    if config.antialias is False and preprocess.on == "uint8":
        msg = f"{config.name}: images are resized as its authors do, smoothly; leave antialias out"
        raise ValueError(msg)
    if config.antialias is not None:
        preprocess = replace(preprocess, antialias=config.antialias)
    if config.size is not None and config.size != preprocess.side:
        shorter = None if preprocess.resize is None else shorter_side(config.size)
        preprocess = replace(preprocess, side=config.size, resize=shorter)
    unit = opened.unit if config.unit is None else config.unit
    embedder = Embedder(opened.network, preprocess, unit, opened.digest, config, appearance)
    try:
        _ = embedder.dimension
    except (RuntimeError, AssertionError) as error:
        msg = f"{config.name} refuses images of {preprocess.side} pixels ({first_line(error)}); give the side it was made for as size"
        raise ValueError(msg) from error
    return embedder


def identify_model(name: str) -> dict[str, Any]:
    """Which weights the name of a folder or of a model on the Hub means: see :func:`engine.manifest.fingerprint`."""
    return fingerprint(name, _folder(name))


class _Opened(NamedTuple):
    """A network with the view and the use it was made for."""

    network: nn.Module
    preprocess: Preprocessing
    unit: bool
    digest: str


class _Reading(nn.Module):
    """The small network that reads: lettering and appearance, or appearance alone."""

    def __init__(self, network: Any, appearance: bool) -> None:
        super().__init__()
        self.network = network
        self.embed_texts, self.appearance = network.embed_texts, appearance

    def forward(self, views: Tensor) -> Tensor:
        return self.network.appearance(views) if self.appearance else self.network.embed_images(views)


def _open(config: EmbedderConfig, appearance: bool) -> _Opened:
    kind, _, rest = config.name.partition(":")
    path = Path(config.name)
    library = kind in ("timm", "torchvision") and bool(rest)
    if config.weights is not None and not library:
        msg = f"weights are for the networks of timm and torchvision; {config.name} brings its own"
        raise ValueError(msg)
    if path.suffix == CHECKPOINT and path.is_file():
        return _open_checkpoint(path, appearance)
    if path.is_file() or path.suffix in TORCHSCRIPT:
        network = open_torchscript(path, config.trust_torchscript)
        return _Opened(network, Preprocessing(UNKNOWN_SIDE), False, file_digest(path))
    if library:
        network = (open_timm if kind == "timm" else open_torchvision)(rest, config.weights)
        return _Opened(network, Preprocessing(UNKNOWN_SIDE), False, state_digest(network))
    return _open_folder(config.name, appearance)


def _open_folder(name: str, appearance: bool) -> _Opened:
    folder = _folder(name)
    config = read_config(folder)
    digest = combined_digest(fingerprint("", folder)["sha256"])
    own = config.get("model", "ImageTextNet" if "words" in config else "")
    if own in OWN:
        return _open_own(own, folder, digest, appearance)
    if config.get("model_type") in KINDS:
        network, preprocess = open_towers(folder, config)
        return _Opened(network, preprocess, True, digest)
    known = "CLIP, SigLIP, ViT (DINO), DINOv2, CopyNet and ImageTextNet"
    msg = f"{name} is a {own or config.get('model_type') or 'model of an unknown kind'}; {known} can be used"
    raise ValueError(msg)


def _open_checkpoint(path: Path, appearance: bool) -> _Opened:
    """The embedder in a Lightning checkpoint."""
    from checkpoints.saved import read_checkpoint

    kinds = [str(config.get("model")) for config in read_checkpoint(path)[1].values()]
    if len(found := [kind for kind in kinds if kind in OWN]) != 1:
        msg = f"{path}: holds {', '.join(kinds) or 'no model of this project'}; give a checkpoint with one {' or '.join(OWN)}"
        raise ValueError(msg)
    return _open_own(found[0], path, file_digest(path), appearance)


def _open_own(kind: str, place: Path, digest: str, appearance: bool) -> _Opened:
    """A network of this project, in its folder or in a checkpoint."""
    if kind == "CopyNet":
        from models.copy_net import CopyNet

        copy_net = CopyNet.from_pretrained(place, dtype=torch.float32).to(memory_format=torch.channels_last)
        return _Opened(copy_net, Preprocessing(copy_net.image_size), False, digest)
    from models.image_text_net import ImageTextNet

    reads = ImageTextNet.from_pretrained(place, dtype=torch.float32)
    plain = Preprocessing(reads.side, None, "bilinear", mean=(0.0,) * 3, std=(1.0,) * 3, on="uint8")
    return _Opened(_Reading(reads, appearance), plain, False, digest)


def _folder(name: str) -> Path:
    return model_folder(SHORT_NAMES.get(name, name), "config.json", patterns=PATTERNS)
