"""Boxes of ISO media files (AVIF, HEIC), read without decoding: size, bit depth, color codes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

MAX_BOXES = 4096
"""Largest number of boxes that are walked; images have tens, tiled ones hundreds."""

MAX_META_BYTES = 16 << 20
"""Largest size of the box with the properties."""

MAX_BRANDS_BYTES = 256
"""Bytes of the first box that are searched for brands."""


@dataclass
class MediaProperties:
    """Properties of the images in a file.

    Attributes:
        sizes: Width and height of each image, tile and thumbnail, in pixels.
        bits: Largest number of bits of a channel; 0 if not stated.
        primaries: Code of the color primaries (ITU-T H.273); None if not stated.
        transfer: Code of the transfer function; None if not stated.
    """

    sizes: list[tuple[int, int]] = field(default_factory=list)
    bits: int = 0
    primaries: int | None = None
    transfer: int | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the largest image.

        Raises:
            ValueError: If no size is stated.
        """
        if not self.sizes:
            raise ValueError
        return max(self.sizes, key=lambda size: size[0] * size[1])


def read_brands(begin: bytes) -> set[bytes]:
    """Read the brands of a file from its first bytes; empty for other files."""
    if begin[4:8] != b"ftyp":
        return set()
    length = min(struct.unpack_from(">I", begin)[0], len(begin), MAX_BRANDS_BYTES)
    compatible = {begin[place : place + 4] for place in range(16, length - 3, 4)}
    return {begin[8:12], *compatible}


def read_properties(stream: BinaryIO) -> MediaProperties:
    """Read the properties of an AVIF or HEIC file.

    Raises:
        ValueError: If the file has no properties, or more boxes than an image has.
        struct.error: If a box is damaged.
    """
    found = MediaProperties()
    end = stream.seek(0, 2)
    budget = iter(range(MAX_BOXES))
    for kind, start, length in _boxes(stream, 0, end, budget):
        if kind == b"meta" and length <= MAX_META_BYTES:
            for inner, place, size in _boxes(stream, start + 4, start + length, budget):
                if inner == b"iprp":
                    _read_container(stream, place, place + size, budget, found)
            break
    return found


def _read_container(
    stream: BinaryIO, start: int, end: int, budget: Iterator[int], found: MediaProperties
) -> None:
    """Read all properties of the property containers in a range."""
    for kind, place, length in _boxes(stream, start, end, budget):
        if kind != b"ipco":
            continue
        for name, inner, size in _boxes(stream, place, place + length, budget):
            if name in (b"ispe", b"pixi", b"colr"):
                stream.seek(inner)
                _read_property(name, stream.read(min(size, 64)), found)


def _read_property(name: bytes, content: bytes, found: MediaProperties) -> None:
    """Read a property: size, bits or color."""
    if name == b"ispe":
        width, height = struct.unpack_from(">2I", content, 4)
        found.sizes.append((width, height))
    elif name == b"pixi":
        found.bits = max([found.bits, *content[5 : 5 + content[4]]])
    elif content[:4] == b"nclx":
        found.primaries, found.transfer = struct.unpack_from(">2H", content, 4)


def _boxes(
    stream: BinaryIO, start: int, end: int, budget: Iterator[int]
) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, offset and length of the content of the boxes in a range.

    Raises:
        ValueError: If the budget of boxes is used up.
    """
    while start + 8 <= end:
        if next(budget, None) is None:
            msg = "it has more boxes than an image has"
            raise ValueError(msg)
        stream.seek(start)
        length, kind = struct.unpack(">I4s", stream.read(8))
        head = 8
        if length == 1:
            (length,) = struct.unpack(">Q", stream.read(8))
            head = 16
        elif length == 0:
            length = end - start
        if length < head or start + length > end:
            return
        yield kind, start + head, length - head
        start += length
