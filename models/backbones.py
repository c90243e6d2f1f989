"""Image networks of timm, torchvision and TorchScript files, without their classifiers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from checkpoints.safe import is_program, open_program, read_pickled
from checkpoints.strict import first_fault
from checkpoints.tensors import read_safetensors

TORCHSCRIPT = frozenset({".pt", ".pth", ".ts", ".torchscript", ".jit"})
"""Endings of TorchScript files."""

CLASSIFIERS = ("head", "fc", "classifier", "heads")
"""Parts of networks that map features to classes."""

WRAPPINGS = ("state_dict", "model_state_dict", "teacher")
"""Entries under which trainers save a state dict."""


def open_torchscript(path: Path, trusted: bool) -> nn.Module:
    """A TorchScript file in float32; it is run when it is opened.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is none, or is not trusted.
    """
    if path.is_file() and not is_program(path):
        msg = f"{path}: not a TorchScript file, or damaged; a state dict needs its architecture: timm:NAME with weights"
        raise ValueError(msg)
    if path.is_file() and not trusted:
        msg = (
            f"{path} is a TorchScript file, which is a program: opening one from a stranger runs the stranger's code. "
            "If you trust where it is from, add --trust-torchscript"
        )
        raise ValueError(msg)
    return open_program(path, trusted).float()


def open_timm(name: str, weights: Path | None) -> nn.Module:
    """A network of timm without its classifier.

    Args:
        name: timm's.
        weights: File of a state dict; the published weights if None.

    Raises:
        FileNotFoundError: If the published weights cannot be fetched.
        ValueError: If there is no such network, or the file does not fit.
    """
    import timm

    if not timm.is_model(name.split(".")[0]):
        msg = f"timm has no network '{name}'; python -c \"import timm; print(timm.list_models('*resnet*'))\" lists them"
        raise ValueError(msg)
    try:
        network = timm.create_model(name, pretrained=weights is None, num_classes=0)
    except (RuntimeError, OSError) as error:
        msg = f"timm:{name}: its weights cannot be fetched ({first_line(error)}); fetch them once, or give weights"
        raise FileNotFoundError(msg) from error
    return network if weights is None else _filled(network, weights)


def open_torchvision(name: str, weights: Path | None) -> nn.Module:
    """A network of torchvision without its classifier; arguments and errors as of :func:`open_timm`."""
    import torchvision

    if name not in torchvision.models.list_models():
        msg = f"torchvision has no network '{name}'; see torchvision.models.list_models()"
        raise ValueError(msg)
    try:
        network = torchvision.models.get_model(name, weights="DEFAULT" if weights is None else None)
    except OSError as error:
        msg = f"torchvision:{name}: its weights cannot be fetched ({first_line(error)}); fetch them once, or give weights"
        raise FileNotFoundError(msg) from error
    for part in CLASSIFIERS:
        if isinstance(getattr(network, part, None), nn.Module):
            setattr(network, part, nn.Identity())
    return network if weights is None else _filled(network, weights)


def state_digest(network: nn.Module) -> str:
    """Hexadecimal sha256 of a network's weights."""
    digest = hashlib.sha256()
    for key, value in sorted(network.state_dict().items()):
        digest.update(f"{key} {tuple(value.shape)}".encode())
        plain = value.detach().cpu().contiguous()
        digest.update(plain.view(torch.uint8).numpy().tobytes() if value.ndim else str(value.item()).encode())
    return digest.hexdigest()


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return str(error).strip().split("\n")[0]


def _filled(network: nn.Module, file: Path) -> nn.Module:
    """The network with a file's weights, which may bring a classifier and wrappers' names besides."""
    found: Any = read_safetensors(file) if file.suffix == ".safetensors" and file.is_file() else read_pickled(file)
    for key in WRAPPINGS:
        found = found.get(key, found) if isinstance(found, dict) else found
    if not isinstance(found, dict):
        msg = f"{file}: no state dict in it; save the network's state_dict()"
        raise ValueError(msg)
    plain = {str(key).replace("module.", "").replace("backbone.", ""): value for key, value in found.items()}
    expected = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    kept = {key: value for key, value in plain.items() if key in expected or key.split(".")[0] not in CLASSIFIERS}
    if not all(isinstance(value, torch.Tensor) for value in kept.values()):
        msg = f"{file}: no state dict of tensors; save the network's state_dict()"
        raise ValueError(msg)
    if fault := first_fault("network", expected, kept):
        msg = f"{file}: {fault}"
        raise ValueError(msg)
    network.load_state_dict(kept)
    return network
