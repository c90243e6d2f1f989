"""Shards of crops of photographs and of their reconstructions, for a detector.

TAEF2 and two of the shipped toy autoencoders, which also reconstruct photographs, make the ones to
train on. The third toy autoencoder, of another stride, makes some that only validation shows, so
that a detector is chosen by an autoencoder that it has not seen, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from checkpoints.folders import ROOT
from datamodules.fake2m.making import Codec, ReconstructionConfig
from datamodules.fake2m.origin import REAL, Origin
from datamodules.fake2m.reconstruct import reconstruct
from datamodules.fake2m.sharding import shard_images
from datamodules.fake2m.splits import Split
from engine.devices import DeviceOptions
from engine.job import JobOptions
from images.archives import Member
from images.inputs import ImageInput
from images.io import encode_as
from images.transforms.geometry import resize
from images.transforms.histories import FILTERS
from images.transforms.protocol import RGBImage, edit_generator
from images.transforms.windows import random_window

CODEC: Codec = "bmp"
"""Codec of all files. Its file size does not depend on the content."""

CROP_PX = 160
"""Side of a crop."""

SHORTER_SIDE_PX = (192, 1000)
"""Shorter side that a photograph is reduced to before a crop; few shared photographs are larger."""

SPLITS: tuple[Split, ...] = ("train", "train", "train", "train", "val", "calibration")
"""Splits of six photographs in a row."""

TRAINING_SUBSETS = {"taef2": 2, "sd-a1": 1, "sd-b": 1}
"""Autoencoders to train on, which all splits have, and their weights."""

UNSEEN_SUBSET = "upscaler"
"""Autoencoder of the validation split alone."""


def make_photo_shards(
    photos: list[ImageInput], taef2: Path, output: Path, crops: int, seed: int
) -> None:
    """Crop and reconstruct photographs into shards ``SPLIT-NAME-*.tar``, or resume a stopped run.

    The photographs' own name is ``photos``.

    Args:
        photos: The photographs.
        taef2: Folder of TAEF2's released files.
        output: Folder of the shards.
        crops: Crops of each photograph.
        seed: Seed of the crops.
    """
    options = JobOptions(DeviceOptions("cpu", 1))
    folders = {"taef2": taef2}
    for split in dict.fromkeys(SPLITS):
        chosen = [photo for i, photo in enumerate(photos) if SPLITS[i % len(SPLITS)] == split]
        origin = Origin(split, "photos", REAL, family="real")
        shard_images(_members(chosen, crops, seed), output, lambda _, origin=origin: origin)  # type: ignore[misc]
        # Reconstructions.
        for name in (*TRAINING_SUBSETS, *([UNSEEN_SUBSET] if split == "val" else [])):
            folder = folders.get(name, ROOT / "checkpoints" / "tiny" / name)
            config = ReconstructionConfig(str(folder), name, split)
            reconstruct([str(output / f"{split}-photos-*.tar")], output, config, options)


def crops_of(photo: ImageInput, count: int, seed: int) -> Iterator[RGBImage]:
    """Crop squares of a photograph at random scales, below its own, and random places.

    Args:
        photo: The photograph; enlarged if it is smaller than a crop.
        count: Number of crops.
        seed: Seed; the crops depend on it and on the file's name alone.

    Yields:
        (160, 160, 3) uint8.
    """
    rgb = photo.open().rgb
    rng = edit_generator(seed, photo.path.name)
    shorter = min(rgb.shape[:2])
    low, high = SHORTER_SIDE_PX
    for _ in range(count):
        side = np.exp(rng.uniform(np.log(low), np.log(max(low, min(high, shorter)))))
        height, width = (round(length * side / shorter) for length in rgb.shape[:2])
        small = resize(rgb, height, width, FILTERS[rng.integers(len(FILTERS))])  # type: ignore[arg-type]
        yield np.ascontiguousarray(small[random_window((height, width), (CROP_PX, CROP_PX), rng)])


def _members(photos: list[ImageInput], crops: int, seed: int) -> Iterator[Member]:
    """Encode the crops of photographs as members of shards."""
    for number, photo in enumerate(photos):
        for index, crop in enumerate(crops_of(photo, crops, seed)):
            yield Member(f"photos/{number:03d}-{index:02d}.{CODEC}", encode_as(crop, CODEC))
