"""Index of the demo, with private entries of each visitor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from checkpoints.folders import project_path
from images.io import decode_photo, open_photo, to_rgb
from images.kinds import UnreadableImage
from images.photo import Photo
from images.transforms import RGBImage
from images.zips import read_zip
from indexing.activation_config import ActivationConfig
from indexing.activator import Activator
from indexing.index import Index
from indexing.index_goals import descriptors
from indexing.target_indices import open_target_indices
from indexing.verdicts import Verdict
from models.embedder_config import EmbedderConfig

MIN_PSNR_DB = 42.0
"""Least PSNR of an activated image."""


class Entry(NamedTuple):
    """A search result.

    Attributes:
        similarity: Similarity to the query; see :class:`indexing.similarity.Similarity`.
        number: Number of the entry in its index.
        own: True for an entry that the visitor added.
        verdict: ``copy``, ``unsure`` or ``not in the index``, by the index's calibration.
    """

    similarity: float
    number: int
    own: bool
    verdict: Verdict


@dataclass
class Visitor:
    """Entries that one visitor added; other visitors cannot find them.

    Attributes:
        index: Index of the visitor's entries; None before the first.
        files: Name and file of each entry.
    """

    index: Any = None
    files: list[tuple[str, str]] = field(default_factory=list)


class Finder:
    """Index with its extractor, and visitors' private entries.

    Args:
        folder: Folder of the index, as written by ``python -m indexing build``.
        entries: Zip archive of small images of the entries, by name.
        trust_torchscript: Execute the program of the extractor, if it is a TorchScript file.

    Raises:
        FileNotFoundError: If the index or its extractor is missing.
        ValueError: If they are damaged, do not belong together, or have no targets for activation.
    """

    def __init__(
        self, folder: Path, entries: Path | None = None, trust_torchscript: bool = False
    ) -> None:
        folder = project_path(folder)
        self.images = _read_images(entries)
        self.index = Index.open(folder)
        self.judge = self.index.judge()
        recorded = self.index.facts.get("extractor", {})
        extractor = EmbedderConfig.from_record(recorded, trust_torchscript)
        self.target_index = open_target_indices([folder], [extractor])[0]
        config = ActivationConfig(min_psnr=MIN_PSNR_DB)
        self.activator = Activator([self.target_index], "auto", config)
        self.empty = faiss.clone_index(self.target_index.trained)
        self.empty.reset()

    def embed(self, images: Sequence[RGBImage]) -> NDArray[np.float32]:
        """Embed images (H, W, 3) as descriptors (N, D)."""
        return descriptors(self.target_index.extractor, [Photo(rgb).tensor() for rgb in images])

    def add(self, visitor: Visitor, rgb: RGBImage, name: str, file: str) -> int:
        """Add an image to a visitor's entries.

        Args:
            visitor: The visitor.
            rgb: The image, (H, W, 3).
            name: Name of the image.
            file: Thumbnail of the image.

        Returns:
            The number of the entry.
        """
        if visitor.index is None:
            visitor.index = faiss.clone_index(self.empty)
        visitor.index.add(self.embed([rgb]))
        visitor.files.append((name, file))
        return len(visitor.files) - 1

    def search(self, visitor: Visitor, images: Sequence[RGBImage], k: int) -> list[list[Entry]]:
        """Search images in the index and among the visitor's entries.

        Args:
            visitor: The visitor.
            images: Images (H, W, 3) of any sizes.
            k: Number of entries, at least 1.

        Returns:
            For each image, the most similar entries, the most similar first.
        """
        if not images:
            return []
        vectors = self.embed(images)
        similarity = self.index.similarity(vectors)
        results: list[list[Entry]] = [[] for _ in images]
        for index, own in ((self.index, False), (visitor.index, True)):
            if index is None:
                continue
            distances, ids = index.search(vectors, k)
            similarities = similarity(distances, ids)
            scores = self.judge.scores(similarities, vectors)
            for query, column in np.argwhere(ids >= 0):
                verdict = self.judge.verdict(float(scores[query, column]))
                value = float(similarities[query, column])
                results[query].append(Entry(value, int(ids[query, column]), own, verdict))
        for entries in results:
            entries.sort(key=lambda entry: -entry.similarity)
        return [entries[:k] for entries in results]

    def activate(self, photo: Photo) -> RGBImage:
        """Activate an image for this index; return its values (H, W, 3)."""
        result = self.activator.activate([photo.tensor()], [photo.opacity()])[0]
        return to_rgb(result.image_u8)

    def name_and_image(self, visitor: Visitor, entry: Entry) -> tuple[str, RGBImage | None]:
        """Look up the name of an entry, and its image (H, W, 3) if there is one."""
        if entry.own:
            name, file = visitor.files[entry.number]
            return f"{name} (yours)", open_photo(Path(file)).rgb
        path = Path(self.index.names[entry.number])
        # An index may outlive its images.
        try:
            if path.is_file():
                return path.name, open_photo(path).on_white().rgb
            if path.name in self.images:
                return path.name, decode_photo(self.images[path.name], path.name).on_white().rgb
        except UnreadableImage:
            pass
        return path.name, None


def _read_images(archive: Path | None) -> dict[str, bytes]:
    """Read the images of a zip archive, by name."""
    if archive is None:
        return {}
    with archive.open("rb") as stream:
        members = list(read_zip(stream, str(archive)))
    return {member.name: member.read() for member in members if not member.fault}
