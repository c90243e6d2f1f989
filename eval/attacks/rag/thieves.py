"""Thieves who look for sentinels in a collection before they use it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eval.attacks.rag.adaptive_attacks import TRANSPARENT, Attack, DropTextImages, InpaintText
from eval.attacks.rag.text_finders import TextFinder
from images.inputs import ImageInput
from images.kinds import UnreadableImage
from images.pdq import pdq
from images.traits import file_traits
from images.transforms import RGBImage
from models.embedders import Embedder
from sentinels.tells.copies import HashedImage, same_by_embedding, same_by_hash
from sentinels.tells.files import unusual_files
from sentinels.tells.names import unusual_names

logger = logging.getLogger(__name__)

Suspects = Callable[[Sequence[ImageInput]], set[str]]
"""Function from a collection to the names of the images that a thief takes for sentinels."""


@dataclass(frozen=True)
class Thief:
    """Changes that a thief makes to a collection and to queries.

    Attributes:
        edit: Edits or drops each image; None keeps the files.
        suspects: Chooses images to drop from the whole collection; None drops none.
        refuses_keys: Do not search for queries with letters that are no word; see
            :func:`sentinels.tells.keys.has_key`.
    """

    edit: Attack | None = None
    suspects: Suspects | None = None
    refuses_keys: bool = False


def thieves(finder: TextFinder, embedder: Embedder) -> dict[str, Thief]:
    """Create the thieves by name.

    Args:
        finder: Finds text.
        embedder: Finds near copies.
    """
    return {
        **{name: Thief(edit) for name, edit in TRANSPARENT.items()},
        "none": Thief(),
        "inpainted": Thief(InpaintText(finder)),
        "deleted": Thief(DropTextImages(finder)),
        "deduplicated": Thief(suspects=lambda photos: near_copies(photos, embedder)),
        "metadata": Thief(suspects=unusually_encoded),
        "names": Thief(suspects=lambda photos: unusual_names([photo.name for photo in photos])),
        "key_pattern": Thief(refuses_keys=True),
    }


NAMES = (*TRANSPARENT, "inpainted", "deleted", "deduplicated", "metadata", "names", "key_pattern")
"""Names of the thieves."""


def near_copies(photos: Sequence[ImageInput], embedder: Embedder) -> set[str]:
    """Name the images that have a near copy in the collection, by PDQ or by embedding.

    All images of a group of copies are named, since a thief cannot tell which is the sentinel.
    """
    hashes: dict[str, HashedImage] = {}
    vectors = {}
    for name, rgb in _readable(photos):
        hashes[name] = pdq(rgb)
        vector = embedder.embed_arrays([rgb]).numpy()[0]
        vectors[name] = vector / np.linalg.norm(vector)
    if len(vectors) < 2:
        return set()
    return same_by_hash(hashes) | same_by_embedding(vectors)


def unusually_encoded(photos: Sequence[ImageInput]) -> set[str]:
    """Name the images whose files are encoded unlike most."""
    traits: Mapping[str, Mapping[str, str]] = {
        photo.name: file_traits(photo.read()) for photo in photos
    }
    return unusual_files(traits)


def _readable(photos: Sequence[ImageInput]) -> Iterator[tuple[str, RGBImage]]:
    """Decode images one by one, without the unreadable ones."""
    for photo in photos:
        try:
            yield photo.name, photo.open().on_white().rgb
        except UnreadableImage as error:
            logger.warning("not compared: %s", error)
