"""Inputs of batch jobs: the images that folders, files, tar files and lists name."""

from __future__ import annotations

import hashlib
import io
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from engine.files import read_lines
from engine.records import read_json
from images.archives import Member, index_tar, walk_folder
from images.formats import SUFFIXES, has_image_suffix, unsupported_reason
from images.samples import group_samples, no_images_message, several_images_message

if TYPE_CHECKING:
    from images.io import Photo

LISTS = (".txt", ".json")
"""Endings of files that list images."""

COMPRESSED = (".tar.gz", ".tgz")


@dataclass(frozen=True)
class ImageInput:
    """An image to work on.

    Attributes:
        name: Its place in the job's tree, with forward slashes; in a tar file ``SHARD.tar/KEY.jpg``.
        path: The file, or the tar file that it is in.
        member: Its place there; None for a file of its own.
        group: Place of the tar file in the job's tree; empty for a file of its own. Images of one group are handled together.
        size: Bytes of the image file.
        mtime_ns: When the file, or the tar file, was last written.
    """

    name: str
    path: Path
    member: Member | None = None
    group: str = ""
    size: int = 0
    mtime_ns: int = 0

    @classmethod
    def from_file(cls, path: Path, name: str = "") -> ImageInput:
        """An image file; its name in the job is that of the file if none is given.

        Raises:
            FileNotFoundError: If there is no such file.
        """
        status = path.stat()
        return cls(name or path.name, path, size=status.st_size, mtime_ns=status.st_mtime_ns)

    @property
    def location(self) -> str:
        """Where it is, for messages."""
        return str(self.path) if self.member is None else f"{self.path}, {self.member.name}"

    @property
    def full_name(self) -> str:
        """Absolute path; of an image in a tar file, that of the tar file and the image's name in it."""
        path = str(self.path.absolute())
        return path if self.member is None else f"{path}/{self.member.name}"

    def read(self) -> bytes:
        """The image file's bytes."""
        return self.path.read_bytes() if self.member is None else self.member.read()

    def digest(self) -> str:
        """Hexadecimal sha256 of the image file."""
        return hashlib.sha256(self.read()).hexdigest()

    def open(self) -> Photo:
        """Decode it; errors as :func:`images.io.open_photo`."""
        from images.io import UnreadableImage, decode_photo, open_photo

        if self.member is None:
            return open_photo(self.path)
        if trouble := unsupported_reason(self.name):
            msg = f"{self.location}: {trouble}"
            raise UnreadableImage(msg)
        try:
            content = self.member.read()
        except (ValueError, OSError) as error:
            msg = f"{self.location}: {error}"
            raise UnreadableImage(msg) from error
        return decode_photo(io.BytesIO(content), self.location)


@dataclass(frozen=True)
class JobInputs:
    """Inputs of a job.

    Attributes:
        images: The images, in order; each has a name of its own.
        failed: Why, by name, for what ought to be an image or a tar file of images, and is not.
        skipped: Why, by name, for what was passed over.
    """

    images: list[ImageInput] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def complete(self) -> list[ImageInput]:
        """The images, where none may be missing.

        Raises:
            ValueError: If one failed.
        """
        if self.failed:
            raise ValueError(next(iter(self.failed.values())))
        return self.images


@dataclass(frozen=True)
class ListedImage:
    """A row of a JSON list of images."""

    image_file: str


def find_images(inputs: Sequence[Path]) -> JobInputs:
    """Find all images of a job, and name everything that is none.

    Args:
        inputs: Folders (searched with their sub-folders), image files, WebDataset shards (``.tar``), and text files that
            list images, one path a line, or JSON lists of ``{"image_file": path}``; paths are absolute or relative to the list.

    Raises:
        FileNotFoundError: If an input does not exist, or a folder or list has no images.
        ValueError: If an input is of another kind, a tar file alone is damaged or without images, or two images would
            have one place in the tree.
    """
    found = JobInputs()
    for root in inputs:
        if root.is_dir():
            _add_folder(found, root, _prefix(root) if len(inputs) > 1 else "")
        elif not root.is_file():
            msg = f"{root}: no such file or folder"
            raise FileNotFoundError(msg)
        elif root.suffix.lower() in LISTS:
            for path, name in _listed(root):
                _add_file(found, path, name)
        else:
            _add_file(found, root, root.name)
    counts = Counter(image.name for image in found.images)
    if twice := next((name for name, count in counts.items() if count > 1), None):
        msg = f"{twice} is given twice: name each image once, or give the folders to the job one by one"
        raise ValueError(msg)
    return found


def inputs_digest(images: Sequence[ImageInput]) -> str:
    """Which images a job is about: changes with their places and names, not with their contents."""
    places = sorted(f"{image.name}\t{image.path.resolve()}" for image in images)
    return hashlib.sha256("\n".join(places).encode("utf-8", "surrogateescape")).hexdigest()


def refuse_overlap(output: Path, inputs: Sequence[Path], images: Iterable[ImageInput], targets: Iterable[Path] = ()) -> None:
    """Keep a job's results apart from what they are made of.

    Args:
        output: The folder of the results.
        inputs: What the job was given.
        images: What was found there.
        targets: Files that the job will write.

    Raises:
        ValueError: If the output folder is an input or lies in one, an input lies in the output folder, or a target is an
            input, by its path or as another link to the same file.
    """
    place = output.resolve()
    for root in inputs:
        if place == root.resolve():
            msg = f"the output folder {output} is the input {root}: choose another, or results would overwrite inputs"
            raise ValueError(msg)
        if place.is_relative_to(root.resolve()):
            msg = f"the output folder {output} lies inside the input {root}: choose another, or the next run would take results for inputs"
            raise ValueError(msg)
    files = dict.fromkeys([*(root for root in inputs if root.is_file()), *(image.path for image in images)])
    if inside := _first_inside(files, place):
        msg = f"the input {inside} lies inside the output folder {output}: choose another, or results would overwrite inputs"
        raise ValueError(msg)
    there = [target for target in targets if os.path.exists(target)]
    sources = {_identity(file): file for file in files} if there else {}
    for target in there:
        if source := sources.get(_identity(target)):
            msg = f"the result {target} would overwrite the input {source}: choose another output folder"
            raise ValueError(msg)


def _first_inside(files: Iterable[Path], place: Path) -> Path | None:
    """The first file that lies in a folder, itself or by what it links to; each parent is looked up once."""
    parents: dict[Path, bool] = {}
    for file in files:
        if file.parent not in parents:
            parents[file.parent] = file.parent.resolve().is_relative_to(place)
        if parents[file.parent] or (os.path.islink(file) and file.resolve().is_relative_to(place)):
            return file
    return None


def _identity(file: Path) -> tuple[int, int]:
    """Device and inode: equal for every link to the same file."""
    status = os.stat(file)
    return status.st_dev, status.st_ino


def _prefix(root: Path) -> str:
    """Where a folder's images are in the tree of a job with several inputs."""
    name = root.resolve().name if root.name == ".." else root.name
    return f"{name}/" if name else ""


def _add_folder(found: JobInputs, root: Path, prefix: str) -> None:
    """Everything below a folder; a damaged or foreign tar file in it fails like an image."""
    images, failed = len(found.images), len(found.failed)
    for member in walk_folder(root):
        name, lower = prefix + member.name, member.name.lower()
        if member.skip:
            found.skipped[name] = member.skip
        elif member.fault:
            found.failed[name] = f"{root / member.name}: {member.fault}"
        elif lower.endswith(".tar"):
            try:
                _add_tar(found, root / member.name, name)
            except (ValueError, OSError) as error:
                found.failed[name] = str(error)
        elif has_image_suffix(lower):
            found.images.append(ImageInput(name, root / member.name, size=member.size, mtime_ns=member.mtime_ns))
        elif lower.endswith(COMPRESSED):
            found.skipped[name] = "a compressed archive; make shards of it with python -m datamodules shard"
        else:
            found.skipped[name] = "not an image by its name"
    if len(found.images) == images:
        first = next(iter(list(found.failed.values())[failed:]), "")
        told = f"; {first}" if first else f"; looked for {', '.join(sorted(SUFFIXES))}"
        msg = f"{root}: no images in this folder{told}"
        raise FileNotFoundError(msg)


def _add_file(found: JobInputs, path: Path, name: str) -> None:
    """A file that is named itself."""
    if path.suffix.lower() == ".tar":
        _add_tar(found, path, name)
    elif has_image_suffix(path.name):
        found.images.append(ImageInput.from_file(path, name))
    elif path.name.lower().endswith(COMPRESSED):
        msg = f"{path}: a compressed archive; make shards of it with python -m datamodules shard, and give those"
        raise ValueError(msg)
    else:
        msg = f"{path}: not an image by its name, a folder, a .tar shard or a .txt or .json list"
        raise ValueError(msg)


def _add_tar(found: JobInputs, path: Path, name: str) -> None:
    """The images of a tar file, each with what is wrong with it.

    Raises:
        ValueError: If it is damaged, a name leads out of it, or it has no images.
    """
    members = index_tar(path)
    samples, _ = group_samples(members)
    if not samples:
        msg = f"{path}: {no_images_message()}"
        raise ValueError(msg)
    for member in members:
        if member.skip:
            found.skipped[f"{name}/{member.name}"] = member.skip
    for sample in samples:
        for image in sample.images:
            trouble = several_images_message(sample) if len(sample.images) > 1 else image.fault
            if trouble:
                found.failed[f"{name}/{image.name}"] = f"{path}, {image.name}: {trouble}"
            else:
                item = ImageInput(f"{name}/{image.name}", path, image, name, image.size, image.mtime_ns)
                found.images.append(item)


def _listed(file: Path) -> list[tuple[Path, str]]:
    """Paths that a list names, and their names in the job: their places below the folder that is common to all."""
    if file.suffix.lower() == ".json":
        rows = read_json(file, list[ListedImage], "write a list of objects with image_file")
        lines = [row.image_file for row in rows]
    else:
        stripped = (line.removeprefix("\ufeff").strip(" \t\r") for line in read_lines(file))
        lines = [line for line in stripped if line and not line.startswith("#")]
    if not lines:
        msg = f"{file}: the list is empty; it should name one image a line, or be a JSON list"
        raise FileNotFoundError(msg)
    paths = [(file.parent / line).absolute() for line in lines]
    if missing := next((path for path in paths if not path.is_file()), None):
        msg = f"{file}: {missing} does not exist"
        raise FileNotFoundError(msg)
    plain = [os.path.normpath(path) for path in paths]
    common = os.path.commonpath([os.path.dirname(path) for path in plain])
    return [(path, os.path.relpath(name, common).replace(os.sep, "/")) for path, name in zip(paths, plain, strict=True)]
