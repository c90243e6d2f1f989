"""An index that a visitor of the demo may search and add pictures to, for themselves alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from checkpoints.folders import project_path
from eval.demo.shown import Levels
from images.io import Photo
from indexing.activation_config import ActivationConfig
from indexing.activator import Activator, descriptors, open_target_indices
from indexing.index import Index
from models.embedder_config import EmbedderConfig

QUALITY = 42.0
"""Least PSNR of an activated picture in dB."""


class Entry(NamedTuple):
    """What a search found: its distance, its number, and whether it is the visitor's own."""

    distance: float
    number: int
    own: bool


@dataclass
class Visitor:
    """What one visitor has put into the index: nobody else finds it."""

    own: Any = None
    files: list[tuple[str, str]] = field(default_factory=list)


class Finder:
    """An index with its extractor, and visitors' pictures beside it.

    Args:
        folder: Of the index, as ``python -m indexing build`` wrote it.
        trust_torchscript: Run the program that the extractor is, if it is one.

    Raises:
        FileNotFoundError: If the index or its extractor is not there.
        ValueError: If they are damaged, do not belong together, or give nothing to draw a picture to.
    """

    def __init__(self, folder: Path, trust_torchscript: bool = False) -> None:
        folder = project_path(folder)
        self.index = Index.open(folder)
        extractor = EmbedderConfig.from_record(
            self.index.facts.get("extractor", {}), trust_torchscript
        )
        self.target_index = open_target_indices([folder], [extractor])[0]
        self.activation = Activator([self.target_index], "auto", ActivationConfig(min_psnr=QUALITY))
        self.empty = faiss.clone_index(self.target_index.trained)
        self.empty.reset()

    def describe(self, pictures: Sequence[Levels]) -> NDArray[np.float32]:
        """Descriptors, (N, D), of (H, W, 3) pictures of any sizes."""
        return descriptors(self.target_index.extractor, [Photo(rgb).tensor() for rgb in pictures])

    def remember(self, visitor: Visitor, rgb: Levels, name: str, file: str) -> int:
        """Put a visitor's original into their part of the index; its number there."""
        if visitor.own is None:
            visitor.own = faiss.clone_index(self.empty)
        visitor.own.add(self.describe([rgb]))
        visitor.files.append((name, file))
        return len(visitor.files) - 1

    def search(self, visitor: Visitor, pictures: Sequence[Levels], k: int) -> list[list[Entry]]:
        """The nearest entries of each picture, the nearest first."""
        if not pictures:
            return []
        rows = self.describe(pictures)
        found: list[list[Entry]] = [[] for _ in pictures]
        for index, own in ((self.index.index, False), (visitor.own, True)):
            if index is None or index.ntotal == 0:
                continue
            distances, ids = index.search(rows, min(k, index.ntotal))
            for entries, near, numbers in zip(found, distances.tolist(), ids.tolist(), strict=True):
                entries += [
                    Entry(distance, number, own)
                    for distance, number in zip(near, numbers, strict=True)
                    if number >= 0
                ]
        sign = 1 if self.index.metric == "l2" else -1
        return [sorted(entries, key=lambda entry: sign * entry.distance)[:k] for entries in found]

    def activate(self, rgb: Levels) -> Levels:
        """A picture, (H, W, 3), changed so that the index finds it more surely."""
        picture = Photo(rgb).tensor()
        return self.activation.activate([picture])[0].image_u8.permute(1, 2, 0).numpy()

    def named(self, visitor: Visitor, entry: Entry) -> tuple[str, Path]:
        """Name and file of an entry."""
        if entry.own:
            name, file = visitor.files[entry.number]
            return f"{name} (yours)", Path(file)
        return Path(self.index.names[entry.number]).name, Path(self.index.names[entry.number])
