"""Embedders: networks from images and texts to comparable vectors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.manifest import fingerprint
from models.backbones import (
    first_line,
)
from models.embedder_config import EmbedderConfig
from models.embedder_networks import embedder_folder, open_network
from models.endpoint import is_endpoint
from models.preprocessing import Preprocessing, module_device
from models.towers import shorter_side


class Embedder(nn.Module):
    """Frozen network with its preprocessing.

    Args:
        network: Network from preprocessed (B, 3, S, S) to (B, D); with ``embed_texts`` if it has a
            text encoder.
        preprocess: Preprocessing from (H, W, 3) uint8 to (3, S, S).
        unit: Normalize vectors to unit length.
        digest: Hexadecimal sha256 of the weights.
        config: Settings of the embedder.
        appearance: Embed the appearance of images only, without their text.
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
        for parameter in network.parameters():  # TorchScript modules lack requires_grad_
            parameter.requires_grad_(False)
        self.preprocess = preprocess
        self.unit = unit
        self.digest = digest
        self.config = config
        self.appearance = appearance

    def embed_images(self, views: Tensor) -> Tensor:
        """Embed preprocessed images, differentiably.

        Args:
            views: (B, 3, S, S), preprocessed.

        Returns:
            (B, D) float32, on the network's device.

        Raises:
            ValueError: If the network does not return one vector for each image.
        """
        first = next(self.network.parameters(), None)
        dtype = first.dtype if first is not None and first.is_floating_point() else views.dtype
        vectors = self.network(views.to(module_device(self.network), dtype))
        if not isinstance(vectors, Tensor) or vectors.ndim != 2:
            shape = tuple(vectors.shape) if isinstance(vectors, Tensor) else type(vectors).__name__
            msg = (
                f"the network gives {shape} instead of one vector for each image; "
                "choose one that describes whole images"
            )
            raise ValueError(msg)
        return F.normalize(vectors.float(), dim=1) if self.unit else vectors.float()

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed N texts in the space of images, (N, D) float32.

        Raises:
            ValueError: If the model has no text encoder.
        """
        embed: Any = getattr(self.network, "embed_texts", None)
        if embed is None or self.appearance:
            msg = (
                f"{self.config.name} has no text encoder; search by text with clip, "
                "siglip or another image-text model"
            )
            raise ValueError(msg)
        vectors = embed(texts).float()
        return F.normalize(vectors, dim=1) if self.unit else vectors

    @torch.no_grad()
    def embed_arrays(self, images: Sequence[NDArray[np.uint8]], batch_size: int = 32) -> Tensor:
        """Embed (H, W, 3) uint8 images of any sizes, (B, D) on the CPU."""
        vectors = []
        for start in range(0, len(images), batch_size):
            views = [self.preprocess(rgb) for rgb in images[start : start + batch_size]]
            vectors.append(self.embed_images(torch.stack(views)).cpu())
        return torch.cat(vectors)

    def forward(self, images: Tensor) -> Tensor:
        """Embed (B, 3, H, W) images in [0, 1] to (B, D)."""
        return self.embed_images(self.preprocess.from_tensors(images))

    @cached_property
    def dimension(self) -> int:
        """Length D of a vector."""
        side = self.preprocess.side
        with torch.no_grad():
            return self.embed_images(torch.zeros(2, 3, side, side)).shape[1]

    @property
    def fingerprint(self) -> str:
        """Hash of weights and preprocessing; equal for comparable vectors."""
        facts = {"weights": self.digest, "unit": self.unit} | self.preprocess.facts()
        if self.appearance:
            facts["appearance"] = True
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def record(self) -> dict[str, Any]:
        """Return the record of the embedder, stored with its vectors.

        :meth:`EmbedderConfig.from_record` reads it.
        """
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
    """Open an embedder.

    Args:
        config: Settings, or the name alone.
        appearance: Embed the appearance of images only, without their text.

    Raises:
        FileNotFoundError: If the file, folder or published network does not exist.
        ValueError: If the model is an untrusted TorchScript file, damaged, of an unknown kind, or
            does not accept images of this size.
    """
    # Open network and preprocessing.
    if isinstance(config, str):
        config = EmbedderConfig(config)
    opened = open_network(config, appearance)
    preprocess = opened.preprocess
    # Apply the settings that differ from the model's own.
    if config.antialias is False and preprocess.on == "uint8":
        msg = f"{config.name}: images are always resized with antialiasing; leave antialias out"
        raise ValueError(msg)
    if config.antialias is not None:
        preprocess = replace(preprocess, antialias=config.antialias)
    if config.size is not None and config.size != preprocess.side:
        shorter = None if preprocess.resize is None else shorter_side(config.size)
        preprocess = replace(preprocess, side=config.size, resize=shorter)
    unit = opened.unit if config.unit is None else config.unit
    # Check that the network accepts this size.
    embedder = Embedder(opened.network, preprocess, unit, opened.digest, config, appearance)
    try:
        _ = embedder.dimension
    except (RuntimeError, AssertionError) as error:
        msg = (
            f"{config.name} refuses images of {preprocess.side} pixels ({first_line(error)}); "
            "give the side it was made for as size"
        )
        raise ValueError(msg) from error
    return embedder


def identify_model(name: str) -> dict[str, Any]:
    """Identify the weights behind a folder or Hub id; see :func:`engine.manifest.fingerprint`.

    Of an endpoint, only the name is known.
    """
    if is_endpoint(name):
        return {"name": name}
    return fingerprint(name, embedder_folder(name))
