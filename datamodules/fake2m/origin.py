"""Origin of images: facts that all images of a source share."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from datamodules.fake2m.catalogue import Group, Subset
from engine.files import name_bytes

REAL = 0
GENERATED = 1


@dataclass(frozen=True)
class Origin:
    """Facts that all images of a source share.

    Attributes:
        split: Split of the shards; see :data:`datamodules.fake2m.splits.Split`.
        subset: Name of the subset; the second part of the shards' names.
        label: 1 generated, 0 real.
        generator: Name of the model; None for real images.
        family: Family of :class:`datamodules.fake2m.catalogue.Subset`; ``real`` for real images.
        sampler: Name of the sampler, if any.
        steps: Sampling steps, if any.
        captions: Set of captions whose numbers are the file names, if any.
        column: Column of MPBench's table, if any.
        released: Release date of the generator, ``YYYY-MM-DD``, if known.
    """

    split: str
    subset: str
    label: int
    generator: str | None = None
    family: str = "unknown"
    sampler: str | None = None
    steps: int | None = None
    captions: str | None = None
    column: str | None = None
    released: str | None = None

    @classmethod
    def of(cls, group: Group, subset: Subset) -> Origin:
        """Build the origin of a subset from the table of Fake2M."""
        return cls(
            split=group.split,
            subset=slug(subset.name),
            label=GENERATED,
            generator=subset.generator,
            family=subset.family,
            sampler=subset.sampler,
            steps=subset.steps,
            captions=group.captions,
            column=subset.column,
        )

    def record(self) -> dict[str, Any]:
        """Return the facts as plain values; a release date only if there is one."""
        record = asdict(self)
        if self.released is None:
            del record["released"]
        return record

    @property
    def stem(self) -> str:
        """Start of the shards' names, ``SPLIT-SUBSET``."""
        return f"{self.split}-{self.subset}"


def with_label(origin: Origin, label: int) -> Origin:
    """Return the origin with another label.

    A real image has no generator.
    """
    if label == origin.label:
        return origin
    if label == GENERATED:
        return replace(origin, label=GENERATED, family="unknown", column=None)
    return replace(
        origin,
        label=REAL,
        generator=None,
        family="real",
        sampler=None,
        steps=None,
        column=None,
        released=None,
    )


def sample_record(path: str, content: bytes, origin: Origin) -> dict[str, Any]:
    """Build the record of an image, without its header.

    Args:
        path: Path of the image in its source.
        content: Bytes of the file.
        origin: Origin of the image.
    """
    record = origin.record()
    captions = record.pop("captions")
    stem = PurePosixPath(path).stem
    return record | {
        "source_path": path,
        "caption_id": f"{captions}/{int(stem)}" if captions and stem.isdigit() else None,
        "nbytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def hash_fraction(path: str) -> float:
    """Hash a file name to [0, 1), for split assignment.

    Leading zeros of a number do not matter.
    """
    stem = PurePosixPath(path).stem
    name = str(int(stem)) if stem.isdecimal() else stem
    return zlib.crc32(name_bytes(name)) / 2**32


def slug(name: str) -> str:
    """Make a name safe for file names and brace patterns.

    Raises:
        ValueError: If no letter or digit is left.
    """
    letters = [letter if letter.isalnum() or letter in "+_" else "-" for letter in name]
    safe = "".join(letters).strip("-")
    if not safe:
        msg = f"the name '{name}' has no letter or digit: give another with --name"
        raise ValueError(msg)
    return safe
