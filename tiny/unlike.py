"""Shards of images that the toy detector should be unsure of: neither portraits nor generated.

They stand in for photographs, of which the repository has none: collages, procedural textures, and
close-ups of portraits, as smooth as skin in close-up photographs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from images.archives import Member
from images.io import encode_as, to_rgb
from images.transforms import RGBImage
from images.transforms.windows import random_window
from tiny.collages import collage
from tiny.detection import CODEC, shard_real
from tiny.portraits import draw
from tiny.procedural import procedural

FIRST_CLOSE_UP = 45_000
"""First identity of the close-ups; the detector's splits have others."""


@dataclass(frozen=True)
class UnlikeSizes:
    """Numbers of images by kind.

    Attributes:
        collages: Collages, 128 pixels wide.
        procedural: Procedural images, 96 pixels wide.
        close_ups: Parts, 96 pixels wide, of portraits of 256 pixels.
    """

    collages: int = 400
    procedural: int = 1200
    close_ups: int = 400


def make_unlike_shards(output: Path, sizes: UnlikeSizes = UnlikeSizes()) -> None:
    """Draw all images into shards ``calibration-KIND-*.tar``, or resume a stopped run."""
    kinds = {
        "collages": map(collage, range(sizes.collages)),
        "procedural": map(procedural, range(sizes.procedural)),
        "close-ups": map(close_up, range(sizes.close_ups)),
    }
    for kind, images in kinds.items():
        # "real" is any label: those of such images are not used
        shard_real(_members(kind, images), output, "calibration", kind)


def close_up(number: int, size: int = 96) -> RGBImage:
    """Draw a portrait of 256 pixels, and cut out a random part, (size, size, 3) RGB."""
    image = draw([FIRST_CLOSE_UP + number], [0], 256).images[0]
    rows, columns = random_window((256, 256), (size, size), np.random.default_rng([17, number]))
    return np.ascontiguousarray(to_rgb(image)[rows, columns])


def _members(kind: str, images: Iterator[RGBImage]) -> Iterator[Member]:
    """Encode each image as a member of a shard."""
    for number, rgb in enumerate(images):
        yield Member(f"{kind}/{number:05d}.{CODEC}", encode_as(rgb, CODEC))
