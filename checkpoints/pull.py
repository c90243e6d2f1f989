"""Getting a model: from the Hub, from the web, or from where a person put it; checked, and pinned when first seen."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from checkpoints.download import download
from checkpoints.hub import SCHEME, cache_folder, check_blob, fetch, snapshot, split_address
from checkpoints.pins import differing, files_folder, pin, pinned
from checkpoints.registry import Entry, WeightFile, entry, registry
from checkpoints.whole import refuse_incomplete
from engine.files import file_digest

ROOT = Path(__file__).resolve().parent.parent

PICKLED = (".bin", ".pt", ".pth", ".ckpt")
"""Endings of files that PyTorch reads by unpickling."""

WEIGHTS = (".safetensors", ".onnx", ".h5", ".msgpack", ".faiss", *PICKLED)
"""Endings of the files that are pinned."""


@dataclass(frozen=True)
class Pulled:
    """A model on this machine.

    Attributes:
        name: As in the registry, or ``hf://org/model``.
        folder: Where it is.
        revision: Commit on the Hub; None for models from elsewhere.
        sha256: Of its weight files.
        unverified: Those of them whose hash nobody but this machine vouches for.
    """

    name: str
    folder: Path
    revision: str | None
    sha256: dict[str, str]
    unverified: tuple[str, ...]


def pull(name: str, update: bool = False) -> Pulled:
    """Get a model, or check the one that is here.

    Args:
        name: A name of the registry, or ``hf://org/model``, perhaps with ``@revision``.
        update: Take the newest revision of the Hub, and pin that, instead of the one that was pinned.

    Raises:
        FileNotFoundError: If it cannot be had, with the reason and what to do.
        ValueError: If there is no such model, or a file is not the one it should be; that file is removed.
    """
    if name.startswith(SCHEME) or ("/" in name and name not in registry()):
        address = SCHEME + name.removeprefix(SCHEME)
        return _from_hub(address.partition("@")[0], address, (), (), update)
    found = entry(name)
    if found.hub:
        return _from_hub(name, found.hub, found.files, found.patterns, update)
    folder = place(found)
    if found.url:
        for file in found.files:
            if not (folder / file.name).is_file():
                download(f"{found.url.rstrip('/')}/{file.name}", folder / file.name, file.size)
    elif missing := [file.name for file in found.files if not (folder / file.name).is_file()]:
        if found.path:
            msg = f"{name}: {missing[0]} is missing in {folder}, where it ships; get the repository again, or train it"
        else:
            folder.mkdir(parents=True, exist_ok=True)
            msg = f"{name} must be got by hand: {', '.join(missing)} from {found.page} into {folder}; then pull again. {found.steps}"
        raise FileNotFoundError(msg)
    hashes = checked(found.name, folder, found.files, ours=bool(found.url))
    if not found.path:
        pin(name, None, hashes)
    return Pulled(name, folder, None, hashes, unverified(found.files, hashes))


def place(found: Entry) -> Path:
    """Name the folder of a model that is not the Hub's."""
    return ROOT / found.path if found.path else files_folder(found.name)


def address_of(found: Entry) -> str:
    """Name a Hub model's address, with the revision that the registry names or that was pinned."""
    _, revision = split_address(found.hub or "")
    revision = revision or pinned(found.name).get("revision")
    return f"{split_address(found.hub or '')[0]}@{revision}" if revision else str(found.hub)


def here(name: str) -> Path:
    """Find the folder of a model on this machine, whole. Asks nobody else.

    Raises:
        FileNotFoundError: If it is not there, or a file of it is missing; the message names that.
    """
    found = registry().get(name)
    advice = f"get it with python -m checkpoints pull {name}"
    if found is not None and not found.hub:
        folder = place(found)
        if lacking := [file.name for file in found.files if not (folder / file.name).is_file()]:
            msg = f"{name} is not on this machine, or not whole: {folder / lacking[0]} is missing; {advice}"
            raise FileNotFoundError(msg)
        return folder
    address, patterns = (
        (name, None) if found is None else (address_of(found), list(found.patterns) or None)
    )
    repository, revision = split_address(address)
    revision = revision or pinned(SCHEME + repository).get("revision")
    try:
        return snapshot(address, revision, patterns, here=True)
    except FileNotFoundError as error:
        msg = f"{name} is not on this machine, or not whole ({error}); {advice}"
        raise FileNotFoundError(msg) from error


def local_folder(name: str) -> Path | None:
    """Find the folder of a model on this machine, whole; None if it is not. Asks nobody else."""
    try:
        return here(name)
    except FileNotFoundError:
        return None


def _from_hub(
    name: str, address: str, files: tuple[WeightFile, ...], patterns: Iterable[str], update: bool
) -> Pulled:
    repository, revision = split_address(address)
    kept = None if update else pinned(name).get("revision")
    wanted = revision or kept
    folder = fetch(f"{repository}@{wanted}" if wanted else repository, list(patterns) or None)
    refuse_incomplete(folder, name)
    hashes = checked(name, folder, files, ours=True)
    pin(name, folder.name, hashes)
    vouched = {
        file for file in hashes if re.fullmatch("[0-9a-f]{64}", (folder / file).resolve().name)
    }
    return Pulled(
        name,
        folder,
        folder.name,
        hashes,
        tuple(file for file in unverified(files, hashes) if file not in vouched),
    )


def checked(
    name: str, folder: Path, files: Iterable[WeightFile], ours: bool = False
) -> dict[str, str]:
    """Hash every weight file of a folder, and compare with the registry, the lock file and the Hub's cache.

    Args:
        name: The model's.
        folder: Where it is.
        files: What the registry says of it.
        ours: Whether the files were fetched by this program, which removes a wrong one, rather than by a person.

    Raises:
        ValueError: If one is not what it should be.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in WEIGHTS)
    if ours:
        for path in paths:
            check_blob(path)
    hashes = {path.relative_to(folder).as_posix(): file_digest(path) for path in paths}
    known = {file.name: file.sha256 for file in files if file.sha256}
    before = pinned(name)
    if before.get("revision") not in (None, folder.name):
        before = {}  # another revision is pinned, which these files need not be like
    for source, expected in (
        ("the registry", known),
        ("what was first seen here", dict(before.get("sha256", {}))),
    ):
        if wrong := differing(expected, hashes):
            removed, is_now, was = "", hashes[wrong][:16], expected[wrong][:16]
            if ours:
                (folder / wrong).resolve().unlink()
                (folder / wrong).unlink(missing_ok=True)
                removed = " It was removed."
            msg = f"{name}: {wrong} has sha256 {is_now}…, but {source} says {was}…: damaged or replaced.{removed}"
            raise ValueError(msg)
    for file in files:
        path = folder / file.name
        if file.size is not None and path.is_file() and path.stat().st_size != file.size:
            msg = f"{name}: {file.name} has {path.stat().st_size} bytes, but the registry says {file.size}: damaged or replaced"
            raise ValueError(msg)
    return hashes


def unverified(files: Iterable[WeightFile], hashes: dict[str, str]) -> tuple[str, ...]:
    """List files whose hash the registry does not know."""
    known = {file.name for file in files if file.sha256}
    return tuple(name for name in hashes if name not in known)


def cautions(pulled: Pulled) -> list[str]:
    """List what is to be known before a model's files are opened, one line each."""
    pickled = [name for name in pulled.sha256 if name.endswith(PICKLED)]
    if not pickled:
        return []
    from checkpoints.safe import foreign_objects, is_program  # brings PyTorch, which takes seconds

    told = []
    for name in pickled:
        if is_program(pulled.folder / name):
            told.append(
                f"{name} is TorchScript, a program: it is opened only where you say that you trust it"
            )
        elif foreign := foreign_objects(pulled.folder / name):
            told.append(
                f"{name} holds more than tensors ({', '.join(foreign[:3])}): it will not be opened as it is"
            )
    return told


def partly_here(found: Entry) -> bool:
    """Tell whether anything of a model is on this machine."""
    if found.hub:
        return cache_folder(split_address(found.hub)[0]).is_dir()
    return any((place(found) / file.name).is_file() for file in found.files)
