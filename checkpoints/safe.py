"""Reading weight files of strangers: nothing in them is run, and nothing unfolds into more than the file holds."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from checkpoints.pickles import ZIP_FAULTS, is_zipped, pickled_names, unread
from engine.files import naming_errors

COMPRESSIBLE = 64 * 2**20
"""Bytes that a file's entries may unfold to beyond its own size: PyTorch compresses a program's text, never weights."""


class Inert:
    """Stands in for an object that a trainer left in its checkpoint: takes whatever it is given and does nothing."""

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


def read_pickled(path: Path, replaced: Sequence[str] = ()) -> Any:
    """The content of a file that ``torch.save`` wrote, if it is plain: numbers, text, containers and tensors.

    Args:
        path: The file; nothing in it is run or imported.
        replaced: Full names of classes and functions whose objects are read as :class:`Inert`, for the leftovers of a trainer.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds anything else, is damaged, or would unfold into more than its size.
    """
    if not path.is_file():
        msg = f"{path}: no such file"
        raise FileNotFoundError(msg)
    with naming_errors(path):
        return _read_pickled(path, replaced)


def _read_pickled(path: Path, replaced: Sequence[str]) -> Any:
    zipped = is_zipped(path)
    if zipped:
        check_archive(path)
    if is_program(path):
        msg = f"{path}: a TorchScript program, not plain weights; it would be run when opened, so it is opened only where it is trusted"
        raise ValueError(msg)
    try:
        with warnings.catch_warnings(), safe_globals([(Inert, name) for name in replaced]):
            warnings.simplefilter(
                "ignore", UserWarning
            )  # of pickle protocols; what cannot be read is told below
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # the unpickler raises nearly anything on damaged or hostile files
        if names := [name for name in foreign_objects(path) if name not in replaced]:
            msg = (
                f"{path}: more than plain tensors; opening it would run {', '.join(names[:3])}. It was not opened: "
                "get the weights as .safetensors, or from someone you trust and convert them there"
            )
        else:
            msg = f"{path}: {unread(path, error)}"
        raise ValueError(msg) from error
    size = path.stat().st_size
    for tensor in tensors_in(content):
        if tensor.is_sparse or tensor.is_quantized or tensor.layout != torch.strided:
            msg = f"{path}: holds a {tensor.layout} tensor; weights are plain, dense tensors"
            raise ValueError(msg)
        if tensor.device.type != "meta" and tensor.numel() * tensor.element_size() > size:
            msg = f"{path}: a tensor of shape {tuple(tensor.shape)} would unfold into more than the file's {size} bytes; it was not read"
            raise ValueError(msg)
    return content


def read_state_dict(path: Path, replaced: Sequence[str] = ()) -> dict[str, Tensor]:
    """The state dict in a file, bare or under ``state_dict`` as trainers leave it; errors as :func:`read_pickled`.

    Raises:
        ValueError: Also if it is not a state dict of tensors.
    """
    content = read_pickled(path, replaced)
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(
        isinstance(value, Tensor) for value in content.values()
    ):
        msg = f"{path}: not a state dict of tensors; give the file as it was released"
        raise ValueError(msg)
    return content


def open_program(path: Path, trusted: bool) -> torch.jit.ScriptModule:
    """A TorchScript file. It is a program that runs with your rights, so it is opened only if you say that you trust it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not trusted, is no TorchScript file, is damaged, or would unfold into more than its size.
    """
    if not path.is_file():
        msg = f"{path}: no such file"
        raise FileNotFoundError(msg)
    if not is_program(path):
        msg = f"{path}: not a TorchScript file, or damaged"
        raise ValueError(msg)
    if not trusted:
        msg = f"{path}: TorchScript is a program that runs with your rights; if you trust where it is from, say so explicitly"
        raise ValueError(msg)
    check_archive(path)
    try:
        return torch.jit.load(path, map_location="cpu").eval()
    except RuntimeError as error:
        msg = f"{path}: damaged, or of an unknown TorchScript version ({str(error).splitlines()[0]}); download it again"
        raise ValueError(msg) from error


def is_program(path: Path) -> bool:
    """Whether a file is TorchScript."""
    if not is_zipped(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in f"/{name}" for name in archive.namelist())
    except ZIP_FAULTS:
        return False


def check_archive(path: Path) -> None:
    """Refuse a zip archive that says its entries are larger than it can hold, as zip bombs do.

    Raises:
        ValueError: If it does, or is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unfolded = sum(entry.file_size for entry in archive.infolist())
    except ZIP_FAULTS as error:
        msg = f"{path}: damaged or cut short ({error}); download it again"
        raise ValueError(msg) from error
    if unfolded > path.stat().st_size + COMPRESSIBLE:
        msg = f"{path}: would unfold from {path.stat().st_size} into {unfolded} bytes, as weights never do; it was not read"
        raise ValueError(msg)


def foreign_objects(path: Path) -> list[str]:
    """List the classes and functions a pickled file asks for beside PyTorch's own; empty if it cannot be told."""
    try:
        return sorted(get_unsafe_globals_in_checkpoint(path))
    except Exception:  # not a zip archive, or a damaged one
        return pickled_names(path)


def tensors_in(content: Any) -> Iterator[Tensor]:
    """Every tensor in nested containers, once; containers may hold themselves."""
    waiting, seen = [content], set()
    while waiting:
        item = waiting.pop()
        if isinstance(item, Tensor):
            yield item
        elif isinstance(item, dict | list | tuple | set) and id(item) not in seen:
            seen.add(id(item))
            waiting += item.values() if isinstance(item, dict) else item
