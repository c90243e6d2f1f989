"""Images that outputs are compared with: sources, or sentinels as published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.files import file_digest
from images.io import open_photo
from images.kinds import UnreadableImage
from models.embedders import Embedder
from sentinels.record import Record, Sentinel

Kind = Literal["sources", "sentinels"]
"""Images that outputs are compared with.

``sources``: the unkeyed images. Keys were assigned to them at random, so the permutation test is
exact. ``sentinels``: the keyed images, as published. That is no valid test: the query names the key
that the sentinel shows, so any generator that letters keys resembles its own sentinels.
"""


@dataclass(frozen=True)
class References:
    """Images that outputs are compared with.

    Attributes:
        kind: Sources or sentinels.
        vectors: Unit vectors, by source.
        missing: Reason for each source of the record without one.
    """

    kind: Kind
    vectors: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def open_references(
    record: Record, kind: Kind, embedder: Embedder, collection: Path | None = None
) -> References:
    """Embed the images that outputs are compared with.

    Args:
        record: Record of the sentinels.
        kind: Sources or sentinels.
        embedder: Model that compares images.
        collection: Folder of the sources, if they are not where the record says.
    """
    references = References(kind)
    for name, sentinel in record.sentinels.items():
        try:
            if kind == "sentinels":
                path = _sentinel_file(record, sentinel)
            else:
                path = source_file(record, name, collection)
            (references.vectors[name],) = embed_files([path], embedder)
        except (FileNotFoundError, UnreadableImage) as error:
            references.missing[name] = str(error)
    return references


def embed_files(
    paths: Sequence[Path], embedder: Embedder, batch_size: int = 1
) -> NDArray[np.float64]:
    """Embed image files as unit vectors, (n, D).

    Args:
        paths: Image files, at least one.
        embedder: Model that compares images.
        batch_size: Number of images in one batch.

    Raises:
        UnreadableImage: If an image cannot be decoded.
    """
    images = [open_photo(path).on_white().rgb for path in paths]
    vectors: NDArray[np.float64] = embedder.embed_arrays(images, batch_size).double().numpy()
    return vectors


def _sentinel_file(record: Record, sentinel: Sentinel) -> Path:
    """Find the file of a sentinel.

    Raises:
        FileNotFoundError: If it is missing.
    """
    path = record.locate(sentinel.generated)
    if path is None:
        msg = f"the sentinel {sentinel.generated} is not there"
        raise FileNotFoundError(msg)
    return path


def source_file(record: Record, name: str, collection: Path | None = None) -> Path:
    """Find the file of a source, and check that it is the image that was planted in.

    A published folder may hold the sentinel under the source's name.

    Args:
        record: Record of the sentinels.
        name: Name of the source.
        collection: Folder of the sources, if they are not where the record says.

    Raises:
        FileNotFoundError: If the source is missing, changed, or the sentinel itself.
    """
    sentinel = record.sentinels[name]
    # Look in the given folder first.
    path = record.locate(sentinel.original)
    if collection is not None and (collection / name).is_file():
        path = collection / name
    if path is None:
        msg = f"its source {sentinel.original} is not there"
        raise FileNotFoundError(msg)
    # Compare its content with what was planted in.
    digest = file_digest(path)
    recorded = sentinel.provenance.get("source_sha256")
    planted = record.locate(sentinel.generated)
    if recorded and digest != recorded:
        msg = f"its source {path} is not the image that was planted in: its sha256 differs"
        raise FileNotFoundError(msg)
    if not recorded and planted is not None and digest == file_digest(planted):
        msg = f"its source {path} is the sentinel itself"
        raise FileNotFoundError(msg)
    return path
