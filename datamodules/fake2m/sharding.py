"""Sharding of images into WebDataset shards, bytes unchanged.

Sources are archives, folders and shards.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from datamodules.fake2m.annotations import Annotations
from datamodules.fake2m.origin import Origin, sample_record, with_label
from datamodules.fake2m.subset_writer import (
    MAX_NAMES,
    LeftOutFiles,
    Limits,
    SubsetWriter,
    index_shards,
)
from images.archives import Member
from images.formats import has_image_suffix
from images.headers import read_header
from images.io import decode_photo
from images.kinds import UnreadableImage
from images.pillow import INSTALL_HEIC, needs_heic

NO_HEIC = f"HEIC, which needs {INSTALL_HEIC}"
"""Reason for leaving out images whose decoder is not installed."""

FAILED = (
    "unreadable",
    NO_HEIC,
    "damaged",
    "in no known folder",
    "in no labelled folder",
    "in folders of both classes",
    "without a label in its row",
    "with an unknown label in its row",
)
"""Reasons for leaving out images that belong into a shard."""

SKIPPED = ("no file", "no picture")
"""Reasons for leaving out other files of a source."""

DEFAULT_LIMITS = Limits()


class NoImages(ValueError):
    """Error for a source without images; counts its other files."""


def shard_images(
    members: Iterable[Member],
    output: Path,
    origin_of: Callable[[Member], Origin | str],
    annotations: Annotations | None = None,
    limits: Limits = DEFAULT_LIMITS,
    decode: bool = False,
) -> dict[str, dict[str, Any]]:
    """Write shards, and an index for each subset.

    A stopped run is continued: images of finished shards are not written again, and the result
    equals that of an unbroken run.

    Args:
        members: Files of the source, always in the same order.
        output: Folder of the shards.
        origin_of: Returns the origin of a file, or the reason for leaving it out.
        annotations: Labels of single images, which override their origin's.
        limits: Size limits of a shard.
        decode: Decode every image as a check, which takes several times as long; otherwise only
            headers are read.

    Returns:
        The indices by subset, ``SPLIT-SUBSET``; see :func:`index_shards`.

    Raises:
        NoImages: If the source has no images.
        ValueError: If a finished shard is damaged.
    """
    output.mkdir(parents=True, exist_ok=True)
    writers: dict[str, SubsetWriter] = {}
    left_out = LeftOutFiles()
    with ExitStack() as unfinished:
        for member in members:
            origin = _find_origin(member, origin_of, left_out)
            if origin is None:
                continue
            if origin.stem not in writers:
                writers[origin.stem] = SubsetWriter(output, origin, limits)
                unfinished.callback(writers[origin.stem].abandon)
            label = _find_label(member, annotations, left_out)
            if label is not None:
                origin = with_label(origin, label)
            _add_image(member, writers[origin.stem], origin, left_out, decode)
        for writer in writers.values():
            writer.close()
    if not any(writer.finished for writer in writers.values()):
        raise NoImages(str(dict(left_out.counts) or "it is empty"))
    if annotations:
        unused = annotations.unused()
        left_out.counts["rows without a picture"] += len(unused)
        left_out.names["rows without a picture"] = unused[:MAX_NAMES]
    return {stem: index_shards(output, writer.origin, left_out) for stem, writer in writers.items()}


def _find_origin(
    member: Member, origin_of: Callable[[Member], Origin | str], left_out: LeftOutFiles
) -> Origin | None:
    """Return a file's origin, or count it as left out."""
    named_image = has_image_suffix(member.name)
    if member.skip or member.fault:
        reason = "unreadable" if named_image or member.fault else "no file"
        left_out.add(reason, f"{member.name}: {member.skip or member.fault}")
        return None
    origin = origin_of(member)
    if isinstance(origin, str):
        left_out.add(origin if named_image else "no picture", member.name)
        return None
    return origin


def _find_label(
    member: Member, annotations: Annotations | None, left_out: LeftOutFiles
) -> int | None:
    """Return a file's own label, and count an image without one."""
    if not annotations:
        return None
    label = annotations.label(member.name)
    if label is None and has_image_suffix(member.name):
        left_out.add("without a row in the metadata", member.name)
    return label


def _add_image(
    member: Member, writer: SubsetWriter, origin: Origin, left_out: LeftOutFiles, decode: bool
) -> None:
    """Add a file to its subset, or count it as left out.

    Files of finished shards are skipped.
    """
    if member.name in writer.done:
        return
    content = member.read()
    header = read_header(content)
    if header is None:
        named_image = has_image_suffix(member.name)
        reason = "unreadable" if named_image else "no picture"
        left_out.add(NO_HEIC if needs_heic(content) else reason, member.name)
        return
    if decode and not is_decodable(content, member.name):
        left_out.add("damaged", member.name)
        return
    record = sample_record(member.name, content, origin) | asdict(header)
    writer.add(member.name, header.codec, content, record)


def is_decodable(content: bytes, name: str) -> bool:
    """Check whether an image can be decoded to its end."""
    try:
        decode_photo(io.BytesIO(content), name)
    except UnreadableImage:
        return False
    return True
