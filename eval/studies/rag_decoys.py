"""Decoys: sentinels with the keys of a record on other images of the collection."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path

from images.inputs import ImageInput, find_images
from images.io import save_png
from images.photo import Photo
from sentinels.planters import LocalPlanter
from sentinels.record import Record


def plant_decoys(planted: Record, originals: Path, folder: Path, seed: int) -> Record:
    """Plant the keys of a record in images that are not its sources.

    A system that searches decoys finds the key it is asked for, but another image. Its outputs must
    not be taken for use of the sentinels. Decoys are made by the local planter and not read
    back. Finished decoys are kept.

    Args:
        planted: Record of the sentinels.
        originals: Folder of the collection.
        folder: Folder of the decoys.
        seed: Seed of the chosen images and of the lettering.

    Raises:
        ValueError: If the collection has too few other images.
    """
    file = folder / "record.json"
    if file.is_file():
        return Record.open(file)
    images = find_images([originals]).images
    free = [photo for photo in images if photo.name not in planted.sentinels]
    random.Random(f"{seed}/decoys").shuffle(free)
    record = Record(file, provenance={"decoys_of": str(planted.file.resolve())})
    for number, (name, sentinel) in enumerate(planted.sentinels.items()):
        target = folder / "images" / f"{number:05d}.png"
        try:
            source = _plant_first(free, sentinel.key, seed, target)
        except ValueError as error:
            msg = (
                f"{originals}: {len(planted.sentinels)} decoys need as many images that are no "
                f"sources; there are {number} ({error}): leave the arm decoy out"
            )
            raise ValueError(msg) from error
        record.sentinels[name] = replace(
            sentinel,
            original=record.relative(source.path),
            generated=record.relative(target),
            provenance={"planter": "local"},
        )
    record.write()
    return record


def _plant_first(free: list[ImageInput], key: str, seed: int, target: Path) -> ImageInput:
    """Plant a key in the first image that takes it, and remove the images that were tried.

    Raises:
        ValueError: If none takes it, with the last reason.
    """
    reason = "no more images"
    while free:
        source = free.pop()
        try:
            planted = asyncio.run(LocalPlanter().plant(source.open().rgb, key, seed, len(free)))
        except ValueError as error:
            reason = str(error)
            continue
        save_png(Photo(planted.rgb), target)
        return source
    raise ValueError(reason)
