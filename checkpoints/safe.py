"""Safe loading of untrusted weights: no code execution, no decompression bombs."""

from __future__ import annotations

import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from checkpoints.pickles import ZIP_ERRORS, explain_unreadable, is_zipped, pickled_names
from engine.files import naming_errors

MAX_EXPANSION_BYTES = 64 * 2**20
"""Largest difference between the unpacked and the packed size of an archive.

PyTorch compresses the source text of programs, never weights.
"""

DICTIONARIES = frozenset({"yacs.config.CfgNode"})
"""Trainers' classes that are dictionaries, and are read as plain ones where they are replaced."""


class _Stub:
    """Replacement for a trainer's object in a checkpoint; it accepts any arguments."""

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


def read_pickled(path: Path, replaced: Sequence[str] = ()) -> Any:
    """Read plain content of a ``torch.save`` file: numbers, text, containers and tensors.

    Nothing in the file is run or imported.

    Args:
        path: The file.
        replaced: Full names of a trainer's classes and functions, whose objects are replaced by
            inert stubs.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file contains anything else, is damaged, or expands to more than its
            size.
    """
    if not path.is_file():
        msg = f"{path}: no such file"
        raise FileNotFoundError(msg)
    with naming_errors(path):
        return _read_pickled(path, replaced)


def _read_pickled(path: Path, replaced: Sequence[str]) -> Any:
    """Read a file that exists; see :func:`read_pickled`."""
    # refuse archives that expand too much, and programs
    zipped = is_zipped(path)
    if zipped:
        check_archive(path)
    if is_program(path):
        msg = (
            f"{path}: a TorchScript program, not plain weights; "
            "opening it would run it, so it must be trusted explicitly"
        )
        raise ValueError(msg)

    # unpickle plain content
    inert: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = []
    for name in replaced:
        inert.append((OrderedDict if name in DICTIONARIES else _Stub, name))
    try:
        with warnings.catch_warnings(), safe_globals(inert):
            # PyTorch warns of pickle protocols; unreadable ones are reported below
            warnings.simplefilter("ignore", UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # the unpickler raises nearly anything on damaged or hostile files
        names = [name for name in foreign_objects(path) if name not in replaced]
        if names:
            msg = (
                f"{path}: more than plain tensors; opening it would run {', '.join(names[:3])}. "
                "It was not opened: get the weights as .safetensors, "
                "or from someone you trust and convert them there"
            )
        else:
            msg = f"{path}: {explain_unreadable(path, error)}"
        raise ValueError(msg) from error

    # refuse tensors that are larger than the file
    size = path.stat().st_size
    for tensor in tensors_in(content):
        _check_tensor(tensor, path, size)
    return content


def _check_tensor(tensor: Tensor, path: Path, size: int) -> None:
    """Refuse a sparse or quantized tensor, or one that is larger than its file.

    Args:
        tensor: The tensor.
        path: The file, for the message.
        size: Size of the file in bytes.

    Raises:
        ValueError: If the tensor is refused.
    """
    if tensor.is_sparse or tensor.is_quantized or tensor.layout != torch.strided:
        msg = f"{path}: contains a {tensor.layout} tensor; weights are plain, dense tensors"
        raise ValueError(msg)
    if tensor.device.type != "meta" and tensor.numel() * tensor.element_size() > size:
        msg = (
            f"{path}: a tensor of shape {tuple(tensor.shape)} would expand to more "
            f"than the file's {size} bytes; it was not read"
        )
        raise ValueError(msg)


def read_state_dict(
    path: Path, replaced: Sequence[str] = (), key: str = "state_dict"
) -> dict[str, Tensor]:
    """Read the state dict in a file, either bare or under a key.

    Args:
        path: The file.
        replaced: See :func:`read_pickled`.
        key: The key.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: As :func:`read_pickled`, or if the file is not a state dict of tensors.
    """
    content = read_pickled(path, replaced)
    if isinstance(content, dict) and isinstance(content.get(key), dict):
        content = content[key]
    if not isinstance(content, dict) or not all(
        isinstance(value, Tensor) for value in content.values()
    ):
        msg = f"{path}: not a state dict of tensors; give the file as it was released"
        raise ValueError(msg)
    return content


def open_program(path: Path, trusted: bool) -> torch.jit.ScriptModule:
    """Open a TorchScript file.

    It is a program that runs with the user's permissions, so trust must be explicit.

    Args:
        path: The file.
        trusted: The user trusts the source of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not trusted, not TorchScript, damaged, or expands too much.
    """
    if not path.is_file():
        msg = f"{path}: no such file"
        raise FileNotFoundError(msg)
    if not is_program(path):
        msg = f"{path}: not a TorchScript file, or damaged"
        raise ValueError(msg)
    if not trusted:
        msg = (
            f"{path}: TorchScript is a program that runs with your permissions; "
            "if you trust its source, say so explicitly"
        )
        raise ValueError(msg)
    check_archive(path)
    try:
        return torch.jit.load(path, map_location="cpu").eval()
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        msg = f"{path}: damaged, or of an unknown TorchScript version ({reason}); download it again"
        raise ValueError(msg) from error


def is_program(path: Path) -> bool:
    """Return True if a file is TorchScript."""
    if not is_zipped(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in f"/{name}" for name in archive.namelist())
    except ZIP_ERRORS:
        return False


def check_archive(path: Path) -> None:
    """Refuse a zip archive that expands far beyond its size (a zip bomb).

    Raises:
        ValueError: If the archive expands too much, or is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except ZIP_ERRORS as error:
        msg = f"{path}: damaged or cut short ({error}); download it again"
        raise ValueError(msg) from error
    size = path.stat().st_size
    if unpacked > size + MAX_EXPANSION_BYTES:
        msg = (
            f"{path}: would expand from {size} to {unpacked} bytes, "
            "as weights never do; it was not read"
        )
        raise ValueError(msg)


def foreign_objects(path: Path) -> list[str]:
    """List the classes and functions outside PyTorch that a pickled file names.

    The list is empty for files that cannot be parsed.
    """
    try:
        return sorted(get_unsafe_globals_in_checkpoint(path))
    except Exception:  # not a zip archive, or a damaged one
        return pickled_names(path)


def tensors_in(content: Any) -> Iterator[Tensor]:
    """Yield every tensor in nested containers, which may contain themselves."""
    waiting = [content]
    seen = set()
    while waiting:
        item = waiting.pop()
        if isinstance(item, Tensor):
            yield item
        elif isinstance(item, dict | list | tuple | set) and id(item) not in seen:
            seen.add(id(item))
            waiting += item.values() if isinstance(item, dict) else item
