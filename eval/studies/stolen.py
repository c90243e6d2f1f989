"""A stolen collection: originals and sentinels after a thief has gone through them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from engine.files import write_bytes
from eval.attacks.rag.thieves import Thief
from images.inputs import ImageInput
from images.io import save_png
from images.kinds import UnreadableImage
from images.photo import Photo
from images.transforms import edit_generator
from sentinels.record import Record

logger = logging.getLogger(__name__)

Outcome = Literal["kept", "changed", "dropped", "unreadable"]
"""Fate of an image."""

SENTINELS = "images"
"""Folder of the sentinels in a stolen collection."""


@dataclass
class StolenCollection:
    """Originals and sentinels after a thief's work.

    Attributes:
        folder: Folder of the images that are left: ``originals`` and ``images``, the sentinels.
        thief: What the thief does.
        seed: Seed of random edits.
        published: Number of published originals.
        lost: Number of originals that are dropped.
        changed: Number of originals whose pixels are changed.
        dropped: Sources of the sentinels that are dropped.
    """

    folder: Path
    thief: Thief
    seed: int
    published: int = 0
    lost: int = 0
    changed: int = 0
    dropped: set[str] = field(default_factory=set)

    def take(self, photos: Sequence[ImageInput], planted: Record) -> Record:
        """Steal a collection with its sentinels.

        Args:
            photos: Images of the collection; sources that sentinels replace are not published.
            planted: Record of the sentinels.

        Returns:
            The record of the sentinels in the folder; those dropped have no file.
        """
        # What is published, under the names that the thief sees.
        withheld = set(planted.withheld)
        originals = [photo for photo in photos if photo.name not in withheld]
        sentinels = {}
        for source, sentinel, path in planted.pairs():
            sentinels[source] = ImageInput.from_file(path, sentinel.published)
        suspects: set[str] = set()
        if self.thief.suspects is not None:
            suspects = self.thief.suspects([*originals, *sentinels.values()])
        # The originals.
        for photo in originals:
            outcome = self._take(photo, self.folder / "originals", suspects)
            self.published += outcome != "unreadable"
            self.lost += outcome == "dropped"
            self.changed += outcome == "changed"
        # The sentinels.
        remaining = Record(self.folder / "record.json")
        for source, photo in sentinels.items():
            if self._take(photo, self.folder / SENTINELS, suspects) not in ("kept", "changed"):
                self.dropped.add(source)
            sentinel = planted.sentinels[source]
            remaining.sentinels[source] = replace(
                sentinel,
                generated=f"{SENTINELS}/{photo.name}",
                original=str(planted.locate(sentinel.original)),
            )
        remaining.write()
        return remaining

    def _take(self, photo: ImageInput, folder: Path, suspects: set[str]) -> Outcome:
        """Drop an image, or edit and save it."""
        try:
            rgb = photo.open().rgb
        except UnreadableImage as error:
            logger.warning("left out: %s", error)
            return "unreadable"
        if photo.name in suspects:
            return "dropped"
        if self.thief.edit is None:
            write_bytes(folder / photo.name, photo.read())
            return "kept"
        edited = self.thief.edit(rgb, edit_generator(self.seed, photo.name))
        if edited is None:
            return "dropped"
        save_png(Photo(edited), folder / photo.name)
        return "kept" if edited is rgb else "changed"
