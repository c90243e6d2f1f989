"""Image backbones from timm, torchvision and TorchScript files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from checkpoints.safe import is_program, open_program, read_pickled
from checkpoints.strict import first_mismatch
from checkpoints.tensors import read_safetensors

TORCHSCRIPT_SUFFIXES = frozenset({".pt", ".pth", ".ts", ".torchscript", ".jit"})
"""File name endings of TorchScript files."""

CLASSIFIER_MODULES = ("head", "fc", "classifier", "heads")
"""Names of modules that map features to classes."""

STATE_DICT_KEYS = ("state_dict", "model_state_dict", "teacher")
"""Checkpoint entries that hold a state dict."""


def open_torchscript(path: Path, trusted: bool) -> nn.Module:
    """Open a TorchScript file in float32, which runs its code.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is not TorchScript, or not trusted.
    """
    if path.is_file() and not is_program(path):
        msg = (
            f"{path}: not a TorchScript file, or damaged; "
            "a state dict needs its architecture: timm:NAME with weights"
        )
        raise ValueError(msg)
    if path.is_file() and not trusted:
        raise ValueError(untrusted(path))
    return open_program(path, trusted).float()


def untrusted(name: str | Path) -> str:
    """Return the refusal of a TorchScript file that the user did not say to trust."""
    return (
        f"{name} is a TorchScript file, which is a program: "
        "opening one from a stranger runs the stranger's code. "
        "If you trust where it is from, add --trust-torchscript"
    )


def open_timm(name: str, weights: Path | None) -> nn.Module:
    """Open a timm network without its classifier.

    Args:
        name: Name of the network in timm.
        weights: State dict file; the published weights if None.

    Raises:
        FileNotFoundError: If the published weights cannot be downloaded.
        ValueError: If the network is unknown, or the file does not fit.
    """
    import timm

    if not timm.is_model(name.split(".")[0]):
        msg = (
            f"timm has no network '{name}'; python -c \"import timm; "
            "print(timm.list_models('*resnet*'))\" lists them"
        )
        raise ValueError(msg)
    try:
        network = timm.create_model(name, pretrained=weights is None, num_classes=0)
    except (RuntimeError, OSError) as error:
        msg = (
            f"timm:{name}: its weights cannot be downloaded ({first_line(error)}); "
            "download them once, or give weights"
        )
        raise FileNotFoundError(msg) from error
    return network if weights is None else _with_weights(network, weights)


def open_torchvision(name: str, weights: Path | None) -> nn.Module:
    """Open a torchvision network without its classifier; see :func:`open_timm`."""
    import torchvision

    if name not in torchvision.models.list_models():
        msg = f"torchvision has no network '{name}'; see torchvision.models.list_models()"
        raise ValueError(msg)
    try:
        network = torchvision.models.get_model(name, weights="DEFAULT" if weights is None else None)
    except OSError as error:
        msg = (
            f"torchvision:{name}: its weights cannot be downloaded ({first_line(error)}); "
            "download them once, or give weights"
        )
        raise FileNotFoundError(msg) from error
    for part in CLASSIFIER_MODULES:
        if isinstance(getattr(network, part, None), nn.Module):
            setattr(network, part, nn.Identity())
    return network if weights is None else _with_weights(network, weights)


def state_digest(network: nn.Module) -> str:
    """Compute the hexadecimal sha256 of a network's weights."""
    digest = hashlib.sha256()
    for key, value in sorted(network.state_dict().items()):
        digest.update(f"{key} {tuple(value.shape)}".encode())
        plain = value.detach().cpu().contiguous()
        digest.update(
            plain.view(torch.uint8).numpy().tobytes() if value.ndim else str(value.item()).encode()
        )
    return digest.hexdigest()


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message."""
    return str(error).strip().split("\n")[0]


def _with_weights(network: nn.Module, file: Path) -> nn.Module:
    """Load weights from a file; classifiers and wrapper names are ignored."""
    # Find the state dict.
    is_safetensors = file.suffix == ".safetensors" and file.is_file()
    content: Any = read_safetensors(file) if is_safetensors else read_pickled(file)
    for key in STATE_DICT_KEYS:
        content = content.get(key, content) if isinstance(content, dict) else content
    if not isinstance(content, dict):
        msg = f"{file}: no state dict in it; save the network's state_dict()"
        raise ValueError(msg)
    plain = {
        str(key).replace("module.", "").replace("backbone.", ""): value
        for key, value in content.items()
    }
    # Keep the entries of the network, and unknown ones other than classifiers.
    expected = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    kept = {
        key: value
        for key, value in plain.items()
        if key in expected or key.split(".")[0] not in CLASSIFIER_MODULES
    }
    if not all(isinstance(value, torch.Tensor) for value in kept.values()):
        msg = f"{file}: no state dict of tensors; save the network's state_dict()"
        raise ValueError(msg)
    # Load them strictly.
    if fault := first_mismatch("network", expected, kept):
        msg = f"{file}: {fault}"
        raise ValueError(msg)
    network.load_state_dict(kept)
    return network
