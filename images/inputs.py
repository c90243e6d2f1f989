"""Image inputs of batch jobs, from folders, files, shards and lists."""

from __future__ import annotations

import hashlib
import io
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from engine.files import read_bytes, read_lines
from engine.records import read_json
from images.archives import Member, index_tar, walk_folder
from images.formats import NOT_AN_IMAGE, SUFFIXES, has_image_suffix, unsupported_reason
from images.samples import (
    group_samples,
    no_images_message,
    several_images_message,
    skip_reason,
)

if TYPE_CHECKING:
    from images.photo import Photo

LISTS = (".txt", ".json")
"""File name endings of image lists."""

COMPRESSED = (".tar.gz", ".tgz", ".zip", ".parquet")
"""File name endings of archives and tables, which only sharding reads."""


@dataclass(frozen=True)
class ImageInput:
    """An input image: a file, or a member of a tar file.

    Attributes:
        name: Path relative to the input, with forward slashes; in a shard ``SHARD.tar/KEY.jpg``.
        path: The image file, or the tar file that contains the image.
        member: The tar member; None for an image file.
        group: Relative path of the tar file; empty for an image file. One process handles a group.
        size: Bytes of the encoded image.
        mtime_ns: Modification time of ``path``, in nanoseconds.
    """

    name: str
    path: Path
    member: Member | None = None
    group: str = ""
    size: int = 0
    mtime_ns: int = 0

    @classmethod
    def from_file(cls, path: Path, name: str = "") -> ImageInput:
        """Make the input for an image file.

        Args:
            path: The file.
            name: Name in the job; the file's name if empty.

        Raises:
            FileNotFoundError: If the file does not exist.
        """
        status = path.stat()
        return cls(name or path.name, path, size=status.st_size, mtime_ns=status.st_mtime_ns)

    @property
    def location(self) -> str:
        """Path for messages."""
        return str(self.path) if self.member is None else f"{self.path}, {self.member.name}"

    @property
    def full_name(self) -> str:
        """Absolute path; for a tar member, ``/PATH/SHARD.tar/MEMBER``."""
        path = str(self.path.absolute())
        return path if self.member is None else f"{path}/{self.member.name}"

    def read(self) -> bytes:
        """Read the encoded image."""
        return read_bytes(self.path) if self.member is None else self.member.read()

    def digest(self) -> str:
        """Compute the hexadecimal sha256 of the encoded image."""
        return hashlib.sha256(self.read()).hexdigest()

    def open(self) -> Photo:
        """Decode the image; raises as :func:`images.io.open_photo`."""
        from images.io import decode_photo, open_photo
        from images.kinds import UnreadableImage

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
    """All inputs of a job.

    Attributes:
        images: The images in order, with unique names.
        failed: Error messages of unreadable images and shards, by name.
        skipped: Reasons for ignoring other files, by name.
    """

    images: list[ImageInput] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def complete(self) -> list[ImageInput]:
        """Return all images of a job that tolerates no failure.

        Raises:
            ValueError: If an input failed.
        """
        if self.failed:
            raise ValueError(next(iter(self.failed.values())))
        return self.images


@dataclass(frozen=True)
class ListedImage:
    """A row of a JSON list of images."""

    image_file: str


def find_images(inputs: Sequence[Path]) -> JobInputs:
    """Find all images of a job.

    Files that are not images are counted as failed or skipped.

    Args:
        inputs: Folders (searched recursively), image files, WebDataset shards (``.tar``), and lists
            of images: text files with one path per line, or JSON lists of
            ``{"image_file": path}``. Paths are absolute or relative to the list.

    Raises:
        FileNotFoundError: If an input does not exist, or a folder or list has no images.
        ValueError: If an input is of another kind, a shard given by name is damaged or has no
            images, or two images would share a name.
    """
    # Collect the images of every input.
    result = JobInputs()
    for root in inputs:
        if root.is_dir():
            _add_folder(result, root, _prefix(root) if len(inputs) > 1 else "")
        elif not root.is_file():
            msg = f"{root}: no such file or folder"
            raise FileNotFoundError(msg)
        elif root.suffix.lower() in LISTS:
            for path, name in _listed(root):
                _add_file(result, path, name)
        else:
            _add_file(result, root, root.name)
    # Refuse two images of one name.
    counts = Counter(image.name for image in result.images)
    if duplicate := next((name for name, count in counts.items() if count > 1), None):
        remedy = "name each image once, or run the job on each folder separately"
        msg = f"{duplicate} is given twice: {remedy}"
        raise ValueError(msg)
    return result


def inputs_digest(images: Sequence[ImageInput]) -> str:
    """Hash the names and paths of images, not their contents."""
    lines = sorted(f"{image.name}\t{image.path.resolve()}" for image in images)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def contents_digest(images: Sequence[ImageInput]) -> str:
    """Hash the names and contents of images, not where they are.

    Raises:
        OSError: If an image cannot be read.
        ValueError: If a shard was truncated since it was listed.
    """
    lines = sorted(f"{image.name}\t{image.digest()}" for image in images)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _prefix(root: Path) -> str:
    """Return the name prefix of a folder's images."""
    name = root.resolve().name if root.name == ".." else root.name
    return f"{name}/" if name else ""


def _add_folder(result: JobInputs, root: Path, prefix: str) -> None:
    """Add every file below a folder."""
    images_before = len(result.images)
    failed_before = len(result.failed)
    # Sort files into images, failed and skipped.
    for member in walk_folder(root):
        name = prefix + member.name
        lower = member.name.lower()
        if member.skip:
            result.skipped[name] = member.skip
        elif member.fault:
            result.failed[name] = f"{root / member.name}: {member.fault}"
        elif lower.endswith(".tar"):
            try:
                _add_tar(result, root / member.name, name)
            except (ValueError, OSError) as error:
                result.failed[name] = str(error)
        elif has_image_suffix(lower):
            path = root / member.name
            image = ImageInput(name, path, size=member.size, mtime_ns=member.mtime_ns)
            result.images.append(image)
        elif lower.endswith(COMPRESSED):
            remedy = "make shards of it with python -m datamodules shard"
            result.skipped[name] = f"a compressed archive or table; {remedy}"
        else:
            result.skipped[name] = NOT_AN_IMAGE
    # Refuse a folder without images.
    if len(result.images) == images_before:
        first_error = next(iter(list(result.failed.values())[failed_before:]), "")
        reason = first_error or f"looked for {', '.join(sorted(SUFFIXES))}"
        msg = f"{root}: no images in this folder; {reason}"
        raise FileNotFoundError(msg)


def _add_file(result: JobInputs, path: Path, name: str) -> None:
    """Add a file that was given by name."""
    if path.suffix.lower() == ".tar":
        _add_tar(result, path, name)
    elif has_image_suffix(path.name):
        result.images.append(ImageInput.from_file(path, name))
    elif path.name.lower().endswith(COMPRESSED):
        remedy = "make shards of it with python -m datamodules shard, and give those"
        msg = f"{path}: a compressed archive or table; {remedy}"
        raise ValueError(msg)
    else:
        kinds = "an image by its name, a folder, a .tar shard or a .txt or .json list"
        msg = f"{path}: not {kinds}"
        raise ValueError(msg)


def _add_tar(result: JobInputs, path: Path, name: str) -> None:
    """Add the images of a tar file.

    Raises:
        ValueError: If the file is damaged or has no images, or a member points outside it.
    """
    members = index_tar(path)
    samples, _ = group_samples(members)
    if not samples:
        msg = f"{path}: {no_images_message()}"
        raise ValueError(msg)
    for member in members:
        if reason := skip_reason(member):
            result.skipped[f"{name}/{member.name}"] = reason
    for sample in samples:
        for image in sample.images:
            trouble = several_images_message(sample) if len(sample.images) > 1 else image.fault
            if trouble:
                result.failed[f"{name}/{image.name}"] = f"{path}, {image.name}: {trouble}"
            else:
                full = f"{name}/{image.name}"
                item = ImageInput(full, path, image, name, image.size, image.mtime_ns)
                result.images.append(item)


def _listed(file: Path) -> list[tuple[Path, str]]:
    """Read paths and names from a list of images."""
    # Read the lines.
    if file.suffix.lower() == ".json":
        rows = read_json(file, list[ListedImage], "write a list of objects with image_file")
        lines = [row.image_file for row in rows]
    else:
        stripped = (line.removeprefix("\ufeff").strip(" \t\r") for line in read_lines(file))
        lines = [line for line in stripped if line and not line.startswith("#")]
    if not lines:
        msg = f"{file}: the list is empty; it should name one image a line, or be a JSON list"
        raise FileNotFoundError(msg)
    # Resolve the paths relative to the list.
    paths = [(file.parent / line).absolute() for line in lines]
    if missing := next((path for path in paths if not path.is_file()), None):
        msg = f"{file}: {missing} does not exist"
        raise FileNotFoundError(msg)
    # Name each image by its path below the common folder.
    normal = [os.path.normpath(path) for path in paths]
    common = os.path.commonpath([os.path.dirname(path) for path in normal])
    names = [os.path.relpath(path, common).replace(os.sep, "/") for path in normal]
    return list(zip(paths, names, strict=True))
