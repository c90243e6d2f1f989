"""Networks of embedders: folders, checkpoints, TorchScript, timm and torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from checkpoints.classes import class_of
from checkpoints.folders import model_folder, read_config
from checkpoints.pull import pull
from checkpoints.registry import Entry, registry
from engine.files import file_digest
from engine.manifest import fingerprint
from models.backbones import (
    TORCHSCRIPT_SUFFIXES,
    open_timm,
    open_torchscript,
    open_torchvision,
    state_digest,
    untrusted,
)
from models.embedder_config import SHORT_NAMES, EmbedderConfig
from models.endpoint import VIEW, EndpointEmbedder, is_endpoint
from models.preprocessing import HALF, Preprocessing
from models.store import combined_digest
from models.towers import KINDS, open_towers

PATTERNS = ["*.json", "*.txt", "*.model", "model.safetensors"]
"""Files to download from the Hub."""

PROJECT_MODELS = ("CopyNet", "PhotoCopyNet", "ImageTextNet")
"""Class names of this project's embedders in config.json."""

CHECKPOINT_SUFFIX = ".ckpt"
"""File name ending of Lightning checkpoints."""

DEFAULT_SIDE = 288
"""Input side of networks without a known one, as in active indexing, in pixels."""


LITE_NET = "efficientnet-lite0"
"""Name of EfficientNet-Lite0 in the registry, whose weights are a Python package."""

LITE_SIDE = 224
"""Its input side, in pixels."""


class OpenedNetwork(NamedTuple):
    """Opened network with its preprocessing and normalization."""

    network: nn.Module
    preprocess: Preprocessing
    unit: bool
    digest: str


class _TextAwareEmbedder(nn.Module):
    """ImageTextNet as an embedder of text and appearance, or appearance alone."""

    def __init__(self, network: Any, appearance: bool) -> None:
        super().__init__()
        self.network = network
        self.embed_texts = network.embed_texts
        self.appearance = appearance

    def forward(self, views: Tensor) -> Tensor:
        if self.appearance:
            return self.network.appearance(views)
        return self.network.embed_images(views)


def open_network(config: EmbedderConfig, appearance: bool) -> OpenedNetwork:
    """Open the network of an embedder."""
    kind, _, rest = config.name.partition(":")
    path = Path(config.name)
    library = kind in ("timm", "torchvision") and bool(rest)
    if config.weights is not None and not library:
        msg = f"weights are for the networks of timm and torchvision; {config.name} brings its own"
        raise ValueError(msg)
    if is_endpoint(config.name):
        endpoint = EndpointEmbedder(config.name)
        return OpenedNetwork(endpoint, VIEW, True, endpoint.digest)
    if path.suffix == CHECKPOINT_SUFFIX and path.is_file():
        return _open_checkpoint(path, appearance)
    if path.is_file() or path.suffix in TORCHSCRIPT_SUFFIXES:
        network = open_torchscript(path, config.trust_torchscript)
        return OpenedNetwork(network, Preprocessing(DEFAULT_SIDE), False, file_digest(path))
    if kind == "timm" and rest:
        network = open_timm(rest, config.weights)
        return OpenedNetwork(network, _timm_preprocessing(network), True, state_digest(network))
    if library:
        network = open_torchvision(rest, config.weights)
        return OpenedNetwork(network, Preprocessing(DEFAULT_SIDE), True, state_digest(network))
    entry = registry().get(config.name)
    if entry is not None and entry.files and not path.is_dir():
        if entry.name == LITE_NET:
            return _open_lite_net(entry)
        if entry.url and Path(entry.files[0].name).suffix in TORCHSCRIPT_SUFFIXES:
            return _open_registered_program(entry, config.trust_torchscript)
    return _open_folder(config.name, appearance)


def _timm_preprocessing(network: nn.Module) -> Preprocessing:
    """Return a timm network's own size and normalization; images are not cropped."""
    trained: Any = network.pretrained_cfg
    return Preprocessing(
        int(trained["input_size"][-1]), mean=tuple(trained["mean"]), std=tuple(trained["std"])
    )


def _open_lite_net(entry: Entry) -> OpenedNetwork:
    """Open EfficientNet-Lite0 of the registry."""
    from models.lite_net import open_lite_net

    network = open_lite_net(entry)
    preprocess = Preprocessing(LITE_SIDE, mean=HALF, std=HALF)
    return OpenedNetwork(network, preprocess, True, str(entry.files[0].sha256))


def _open_registered_program(entry: Entry, trusted: bool) -> OpenedNetwork:
    """Open a TorchScript file of the registry, and download it if needed."""
    if not trusted:
        raise ValueError(untrusted(entry.name))
    file = pull(entry.name).folder / entry.files[0].name
    network = open_torchscript(file, trusted)
    return OpenedNetwork(network, Preprocessing(DEFAULT_SIDE), False, file_digest(file))


def _open_folder(name: str, appearance: bool) -> OpenedNetwork:
    """Open the embedder in a model folder."""
    folder = embedder_folder(name)
    config = read_config(folder)
    digest = combined_digest(fingerprint("", folder)["sha256"])
    own = config.get("model", "ImageTextNet" if "words" in config else "")
    if own in PROJECT_MODELS:
        return _open_own(own, folder, digest, appearance)
    if config.get("model_type") in KINDS:
        network, preprocess = open_towers(folder, config)
        return OpenedNetwork(network, preprocess, True, digest)
    known = "CLIP, SigLIP, ViT (DINO), DINOv2, CopyNet, PhotoCopyNet and ImageTextNet"
    msg = (
        f"{name} is a {own or config.get('model_type') or 'model of an unknown kind'}; "
        f"{known} can be used"
    )
    raise ValueError(msg)


def _open_checkpoint(path: Path, appearance: bool) -> OpenedNetwork:
    """Open the embedder in a Lightning checkpoint."""
    from checkpoints.lightning_files import read_checkpoint

    kinds = [str(config.get("model")) for config in read_checkpoint(path)[1].values()]
    known = [kind for kind in kinds if kind in PROJECT_MODELS]
    if len(known) != 1:
        msg = (
            f"{path}: holds {', '.join(kinds) or 'no model of this project'}; "
            f"give a checkpoint with one {' or '.join(PROJECT_MODELS)}"
        )
        raise ValueError(msg)
    return _open_own(known[0], path, file_digest(path), appearance)


def _open_own(kind: str, source: Path, digest: str, appearance: bool) -> OpenedNetwork:
    """Open a network of this project from its folder or a checkpoint."""
    if kind in ("CopyNet", "PhotoCopyNet"):
        copies: Any = class_of({"model": kind})
        copy_net = copies.from_pretrained(source, dtype=torch.float32)
        copy_net.to(memory_format=torch.channels_last)
        return OpenedNetwork(copy_net, Preprocessing(copy_net.image_size), False, digest)
    from models.image_text_net import ImageTextNet

    network = ImageTextNet.from_pretrained(source, dtype=torch.float32)
    plain = Preprocessing(
        network.side, None, "bilinear", mean=(0.0,) * 3, std=(1.0,) * 3, on="uint8"
    )
    return OpenedNetwork(_TextAwareEmbedder(network, appearance), plain, False, digest)


def embedder_folder(name: str) -> Path:
    """Find the folder of an embedder, and download it if needed."""
    return model_folder(SHORT_NAMES.get(name, name), "config.json", patterns=PATTERNS)
