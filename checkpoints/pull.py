"""Download of models from the Hub or the web, with checked and pinned hashes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from checkpoints.download import download
from checkpoints.hub import cache_folder, check_blob, fetch, snapshot
from checkpoints.hub_address import SCHEME, split_address
from checkpoints.pins import files_folder, first_difference, pin, pinned
from checkpoints.registry import Entry, WeightFile, entry, registry
from checkpoints.whole import refuse_incomplete
from engine.files import file_digest

ROOT = Path(__file__).resolve().parent.parent

PICKLED = (".bin", ".pt", ".pth", ".ckpt")
"""Suffixes of files that PyTorch unpickles."""

WEIGHTS = (".safetensors", ".onnx", ".h5", ".msgpack", ".faiss", *PICKLED)
"""Suffixes of weight files, whose hashes are pinned."""


@dataclass(frozen=True)
class Pulled:
    """Model on this machine.

    Attributes:
        name: Name in the registry, or ``hf://org/model``.
        folder: Its folder.
        revision: Commit on the Hub; None for models from elsewhere.
        sha256: Hexadecimal hash of each weight file, by file name.
        unverified: Weight files without a published hash.
    """

    name: str
    folder: Path
    revision: str | None
    sha256: dict[str, str]
    unverified: tuple[str, ...]


def pull(name: str, update: bool = False) -> Pulled:
    """Download a model, or check the local one.

    Args:
        name: A name of the registry, or ``hf://org/model``, optionally with ``@revision``.
        update: Download and pin the newest revision of the Hub instead of the pinned one.

    Raises:
        FileNotFoundError: If the model cannot be downloaded.
        ValueError: If there is no such model, or a file has another hash; a downloaded file is
            then removed.
    """
    if name.startswith(("/", ".", "~")):
        msg = f"{name}: a path; pull takes a name of the registry, or org/model of the Hub"
        raise ValueError(msg)
    # from the Hub
    if name.startswith(SCHEME) or ("/" in name and name not in registry()):
        address = SCHEME + name.removeprefix(SCHEME)
        return _from_hub(address.partition("@")[0], address, (), (), update)
    model = entry(name)
    if model.hub:
        return _from_hub(name, model.hub, model.files, model.patterns, update)

    # from the web, from a person, or from this repository
    folder = folder_outside_hub(model)
    missing = missing_files(model, folder)
    if model.url:
        for file in missing:
            download(f"{model.url.rstrip('/')}/{file.name}", folder / file.name, file.size)
    elif missing:
        names = [file.name for file in missing]
        if model.path:
            msg = (
                f"{name}: {names[0]} is missing in {folder}, where it ships; "
                "get the repository again, or train it"
            )
        else:
            folder.mkdir(parents=True, exist_ok=True)
            msg = (
                f"{name} must be downloaded by hand: {', '.join(names)} from {model.page} "
                f"into {folder}; then pull again. {model.steps}"
            )
        raise FileNotFoundError(msg)

    # check and pin
    hashes = check_hashes(model.name, folder, model.files, remove_wrong=bool(model.url))
    if not model.path:
        pin(name, None, hashes)
    return Pulled(name, folder, None, hashes, unverified(model.files, hashes))


def folder_outside_hub(model: Entry) -> Path:
    """Return the folder of a model that does not come from the Hub."""
    return ROOT / model.path if model.path else files_folder(model.name)


def missing_files(model: Entry, folder: Path) -> list[WeightFile]:
    """List the registered files of a model that a folder lacks."""
    return [file for file in model.files if not (folder / file.name).is_file()]


def address_of(model: Entry) -> str:
    """Return a Hub model's address, with the registered or the pinned revision."""
    repository, revision = split_address(model.hub or "")
    revision = revision or pinned(model.name).get("revision")
    return f"{repository}@{revision}" if revision else str(model.hub)


def find_local(name: str) -> Path:
    """Find the complete folder of a model on this machine, without network access.

    Raises:
        FileNotFoundError: If the model or one of its files is missing.
    """
    model = registry().get(name)
    advice = f"get it with python -m checkpoints pull {name}"

    # not from the Hub
    if model is not None and not model.hub:
        folder = folder_outside_hub(model)
        if missing := missing_files(model, folder):
            first = folder / missing[0].name
            msg = f"{name} is not on this machine, or not complete: {first} is missing; {advice}"
            raise FileNotFoundError(msg)
        return folder

    # in the Hub's cache
    address = name if model is None else address_of(model)
    patterns = None if model is None else list(model.patterns) or None
    repository, revision = split_address(address)
    revision = revision or pinned(SCHEME + repository).get("revision")
    try:
        return snapshot(address, revision, patterns, local=True)
    except FileNotFoundError as error:
        msg = f"{name} is not on this machine, or not complete ({error}); {advice}"
        raise FileNotFoundError(msg) from error


def local_folder(name: str) -> Path | None:
    """Return the complete folder of a model on this machine; None if there is none."""
    try:
        return find_local(name)
    except FileNotFoundError:
        return None


def _from_hub(
    name: str, address: str, files: tuple[WeightFile, ...], patterns: Iterable[str], update: bool
) -> Pulled:
    """Download a model of the Hub, check and pin it.

    Args:
        name: Name of the model.
        address: Hub id, optionally with a revision.
        files: Registered files.
        patterns: Patterns of the files to download; empty for all.
        update: Ignore the pinned revision.
    """
    # download the given, else the pinned revision
    repository, revision = split_address(address)
    pinned_revision = None if update else pinned(name).get("revision")
    wanted = revision or pinned_revision
    folder = fetch(f"{repository}@{wanted}" if wanted else repository, list(patterns) or None)

    # check and pin
    refuse_incomplete(folder, name)
    hashes = check_hashes(name, folder, files, remove_wrong=True)
    pin(name, folder.name, hashes)

    # the Hub publishes the sha256 of large files, which names them in the cache
    without_hash = []
    for file in unverified(files, hashes):
        if not re.fullmatch("[0-9a-f]{64}", (folder / file).resolve().name):
            without_hash.append(file)
    return Pulled(name, folder, folder.name, hashes, tuple(without_hash))


def weight_files(folder: Path) -> list[Path]:
    """List the weight files below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in WEIGHTS)


def check_hashes(
    name: str, folder: Path, files: Iterable[WeightFile], remove_wrong: bool = False
) -> dict[str, str]:
    """Hash every weight file, and compare with the registry, the lock file and the Hub's cache.

    Args:
        name: Name of the model.
        folder: Its folder.
        files: Registered files.
        remove_wrong: Remove a file with another hash; for files that this program downloaded.

    Returns:
        Hexadecimal sha256 of each weight file, by file name.

    Raises:
        ValueError: If a hash or a size differs.
    """
    # hash
    paths = weight_files(folder)
    if remove_wrong:
        for path in paths:
            check_blob(path)
    hashes = {path.relative_to(folder).as_posix(): file_digest(path) for path in paths}

    # compare with the registered hashes, and with those of the pinned revision
    registered = {file.name: file.sha256 for file in files if file.sha256}
    pinned_model = pinned(name)
    is_pinned_revision = pinned_model.get("revision") in (None, folder.name)
    first_seen = pinned_model.get("sha256", {}) if is_pinned_revision else {}
    sources = {"the registry": registered, "what was first seen here": first_seen}
    for source, expected in sources.items():
        if wrong := first_difference(expected, hashes):
            removed = ""
            if remove_wrong:
                (folder / wrong).resolve().unlink()
                (folder / wrong).unlink(missing_ok=True)
                removed = " It was removed."
            msg = (
                f"{name}: {wrong} has sha256 {hashes[wrong][:16]}…, "
                f"but {source} says {expected[wrong][:16]}…: damaged or replaced.{removed}"
            )
            raise ValueError(msg)

    # compare sizes
    for file in files:
        path = folder / file.name
        if file.size is not None and path.is_file() and path.stat().st_size != file.size:
            msg = (
                f"{name}: {file.name} has {path.stat().st_size} bytes, "
                f"but the registry says {file.size}: damaged or replaced"
            )
            raise ValueError(msg)
    return hashes


def unverified(files: Iterable[WeightFile], hashes: dict[str, str]) -> tuple[str, ...]:
    """List the hashed files without a registered hash."""
    known = {file.name for file in files if file.sha256}
    return tuple(name for name in hashes if name not in known)


def cautions(pulled: Pulled) -> list[str]:
    """List the risks of opening a model's files, one line each."""
    pickled = [name for name in pulled.sha256 if name.endswith(PICKLED)]
    if not pickled:
        return []
    from checkpoints.safe import foreign_objects, is_program  # imports PyTorch, which takes seconds

    lines = []
    for name in pickled:
        if is_program(pulled.folder / name):
            lines.append(f"{name} is TorchScript, a program: it is opened only if you trust it")
        elif foreign := foreign_objects(pulled.folder / name):
            objects = ", ".join(foreign[:3])
            lines.append(f"{name} contains more than tensors ({objects}): it will not be opened")
    return lines


def partly_here(model: Entry) -> bool:
    """Return True if any file of a model is on this machine."""
    if model.hub:
        return cache_folder(split_address(model.hub)[0]).is_dir()
    folder = folder_outside_hub(model)
    return any((folder / file.name).is_file() for file in model.files)
