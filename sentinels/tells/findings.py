"""Tells of planted sentinels, each in a sentence, for ``verify``."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.files import read_bytes
from images.inputs import ImageInput, find_images
from images.kinds import UnreadableImage
from images.pdq import pdq
from images.traits import file_traits
from images.transforms.protocol import RGBImage
from models.embedders import Embedder
from sentinels.record import Record
from sentinels.tells.copies import hash_distance, nearest_similarities, outlying
from sentinels.tells.files import differing_traits
from sentinels.tells.keys import key_pattern
from sentinels.tells.names import foreign_names

SAMPLE = 300
"""Originals whose similarities to one another are the scale for near copies."""


@dataclass(frozen=True)
class Collection:
    """The collection that sentinels are to be hidden in.

    Attributes:
        photos: Its images.
        embedder: Model that finds near copies; None leaves them to the perceptual hash.
    """

    photos: Sequence[ImageInput]
    embedder: Embedder | None = None

    @classmethod
    def of(cls, folder: Path, record: Record, embedder: Embedder | None = None) -> Collection:
        """Find the images of a collection without the sentinels in it."""
        sentinels = {path.resolve() for _, _, path in record.present()}
        digests = {str(one.provenance.get("sentinel_sha256")) for one in record.sentinels.values()}
        names = {path.name for path in sentinels}
        photos = []
        for photo in find_images([folder]).images:
            planted = photo.path.resolve() in sentinels
            if not planted and Path(photo.name).name in names:
                planted = photo.digest() in digests
            if not planted:
                photos.append(photo)
        return cls(photos, embedder)


def key_findings(record: Record) -> Iterator[str]:
    """Describe what the keys have in common."""
    pattern = key_pattern([sentinel.key for sentinel in record.sentinels.values()])
    if pattern:
        yield f"{pattern}: a filter of queries keeps them from the retriever"


def name_findings(record: Record, collection: Collection) -> Iterator[tuple[str, str]]:
    """Yield source and fault of each sentinel whose name is not like the collection's."""
    sources = {path.name: name for name, _, path in record.present()}
    originals = [photo.name for photo in collection.photos]
    for name, fault in foreign_names(sources, originals).items():
        yield sources[name], f"{name} is not named like the collection: {fault}"


def file_findings(path: Path, source: Path) -> Iterator[str]:
    """Describe the traits in which a sentinel's file differs from its source's."""
    traits, source_traits = (file_traits(read_bytes(file)) for file in (path, source))
    if differences := differing_traits(traits, source_traits):
        yield f"{path.name} is told from its source by its file: {'; '.join(differences)}"


class CopyFinder:
    """Find sentinels that are near copies of their sources.

    Args:
        collection: The collection; its images are the scale of the embedder's similarities.
        seed: Seed of the sample of images.
    """

    def __init__(self, collection: Collection, seed: int = 0) -> None:
        self.embedder = collection.embedder
        self.threshold = 1.0
        if self.embedder is not None:
            chosen = list(collection.photos)
            random.Random(seed).shuffle(chosen)
            vectors = self._embed(chosen[:SAMPLE])
            if len(vectors) > 2:
                self.threshold = outlying(nearest_similarities(vectors))

    def findings(self, name: str, sentinel: RGBImage, source: RGBImage) -> Iterator[str]:
        """Describe by which measures a sentinel is a copy of its source, both (H, W, 3)."""
        distance = hash_distance(pdq(sentinel), pdq(source))
        if distance is not None:
            yield (
                f"{name} is a near copy of its source by PDQ ({distance} of 256 bits differ): "
                "deduplication finds the pair; withhold the source"
            )
        if self.embedder is None:
            return
        one, other = self.embedder.embed_arrays([sentinel, source]).numpy()
        similarity = float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))
        if similarity > self.threshold:
            yield (
                f"{name} is a near copy of its source by embedding ({similarity:.2f}; originals "
                f"are up to {self.threshold:.2f} alike): deduplication finds the pair; "
                "withhold the source"
            )

    def _embed(self, photos: Sequence[ImageInput]) -> NDArray[np.float32]:
        """Embed the readable images as unit vectors."""
        assert self.embedder is not None
        vectors = []
        for photo in photos:
            try:
                vectors.append(self.embedder.embed_arrays([photo.open().on_white().rgb]).numpy()[0])
            except UnreadableImage:
                continue
        if not vectors:
            return np.zeros((0, 1), np.float32)
        matrix = np.stack(vectors)
        return np.asarray(matrix / np.linalg.norm(matrix, axis=1, keepdims=True), np.float32)
