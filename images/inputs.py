"""Inputs of batch jobs: the images that folders, files, shards and lists name."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from images.io import SUFFIXES, UNSUPPORTED, Photo, find_pictures
from images.shards import ShardSample, open_picture, read_samples


@dataclass(frozen=True)
class PhotoFile:
    """A picture to work on.

    Attributes:
        name: Its place in the job's tree, with forward slashes; in a shard ``SHARD.tar/KEY.jpg``.
        path: The file, or the shard it is in.
        sample: Its sample, if it is in a shard.
    """

    name: str
    path: Path
    sample: ShardSample | None = None

    def open(self) -> Photo:
        """Decode it; see :func:`images.io.open_photo`."""
        return open_picture(self.path, self.sample.picture if self.sample else None)


def find_photos(inputs: Sequence[Path]) -> tuple[list[PhotoFile], list[str]]:
    """All pictures of a job, and the names of files in its folders that are none.

    Args:
        inputs: Folders (searched with their sub-folders), picture files, WebDataset shards (``.tar``), and text files that
            list pictures, one path a line, or JSON lists of ``{"image_file": path}``; paths are absolute or relative to the list.

    Raises:
        FileNotFoundError: If an input does not exist, or a folder or list has no pictures.
        ValueError: If an input is of another kind, or two pictures would have one place in the tree.
    """
    photos: list[PhotoFile] = []
    others: list[str] = []
    for root in inputs:
        prefix = Path(root.name) if len(inputs) > 1 and root.is_dir() else Path()
        if root.is_dir():
            found, rest = find_pictures(root, also=frozenset({".tar"}))
            photos += [part for path in found for part in _photos_of(path, str(prefix / path.relative_to(root)))]
            others += [str(prefix / path.relative_to(root)) for path in rest]
        elif not root.is_file():
            msg = f"{root}: no such file or folder"
            raise FileNotFoundError(msg)
        elif root.suffix.lower() in (".txt", ".json"):
            listed = _listed(root)
            common = Path(os.path.commonpath([path.parent for path in listed]))
            photos += [part for path in listed for part in _photos_of(path, str(path.relative_to(common)))]
        else:
            photos += _photos_of(root, root.name)
    names = [photo.name for photo in photos]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"{twice} is given twice: name each picture once, or protect the folders one by one"
        raise ValueError(msg)
    return photos, others


def inputs_digest(files: Sequence[PhotoFile]) -> str:
    """Which photos a job is about: changes with their places and names, not with their contents."""
    places = sorted(f"{file.name}\t{file.path.resolve()}" for file in files)
    return hashlib.sha256("\n".join(places).encode()).hexdigest()


def refuse_inside(output: Path, inputs: Sequence[Path]) -> None:
    """Keep results apart from what they are made of.

    Raises:
        ValueError: If the output folder is an input or lies in one.
    """
    for root in inputs:
        if output.resolve().is_relative_to(root.resolve()):
            msg = f"the output folder {output} lies inside the input {root}: choose another, or the next run would take results for inputs"
            raise ValueError(msg)


def output_names(photos: list[PhotoFile], ending: str) -> dict[str, str]:
    """A name for each photo's result, in the same place: its own stem, or its whole name where two photos share a stem.

    Raises:
        ValueError: If two photos would still get one name.
    """
    stems = Counter(str(Path(photo.name).with_suffix("")) for photo in photos)
    names = {}
    for photo in photos:
        path = Path(photo.name)
        alone = stems[str(path.with_suffix(""))] == 1 or photo.sample is not None
        key = f"{shard_name(photo)}/{photo.sample.key}" if photo.sample is not None else str(path.with_suffix("") if alone else path)
        names[photo.name] = f"{key}.{ending}"
    if twice := [name for name, count in Counter(names.values()).items() if count > 1]:
        msg = f"two photos would both be saved as {twice[0]}: rename one of them"
        raise ValueError(msg)
    return names


def shard_name(file: PhotoFile) -> str:
    """Name of the shard a sample is in, in the job's tree."""
    assert file.sample is not None
    return file.name.removesuffix("/" + file.sample.picture.name)


def _photos_of(path: Path, name: str) -> list[PhotoFile]:
    if path.suffix.lower() == ".tar":
        return [PhotoFile(f"{name}/{sample.picture.name}", path, sample) for sample in read_samples(path)]
    if path.suffix.lower() not in SUFFIXES | UNSUPPORTED:
        msg = f"{path}: not a picture by its name, a folder, a .tar shard or a .txt or .json list"
        raise ValueError(msg)
    return [PhotoFile(name, path)]


def _listed(file: Path) -> list[Path]:
    text = file.read_text(encoding="utf-8")
    try:
        lines = [row["image_file"] for row in json.loads(text)] if file.suffix.lower() == ".json" else text.splitlines()
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        msg = f"{file}: expected a JSON list of objects with image_file ({error!r})"
        raise ValueError(msg) from error
    lines = [line.strip() for line in lines]
    paths = [(file.parent / line).absolute() for line in lines if line and not line.startswith("#")]
    if not paths:
        msg = f"{file}: the list is empty; it should name one picture a line, or be a JSON list"
        raise FileNotFoundError(msg)
    if missing := [path for path in paths if not path.is_file()]:
        msg = f"{file}: {missing[0]} does not exist"
        raise FileNotFoundError(msg)
    return paths
