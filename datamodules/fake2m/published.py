"""Table of published data sets of real and generated images: where from, license, layout."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class PublishedSet:
    """A published data set; what its pages do not state is None.

    Attributes:
        name: Name of the set.
        paper: Its paper.
        home: Page where the images are to be had.
        facts: Pages that the facts are from.
        label: Where labels stand, ``folders`` or ``column``; or the class of all images.
        source: URL of its files, if they can be read from there.
        license: License of the images.
        released: Date of release, ``YYYY-MM`` or ``YYYY-MM-DD``.
        split: Split of its images, if it has one.
        images: Number of images.
        generated: Number of generated images.
        real: Number of real images.
        generators: Number of generators.
        classes: What the images show, and where the reals are from.
        columns: Columns of its tables: image, label, generator, released.
        label_map: Meaning of its labels, where they are no words: 0 real, 1 generated.
        generator_folders: True if folders name generators.
        release_dates: Release dates of its generators, by name, ``YYYY-MM-DD``.
        notes: Layout, and what to know before use.
    """

    name: str
    paper: str
    home: str
    facts: tuple[str, ...]
    label: str
    source: str | None = None
    license: str | None = None
    released: str | None = None
    split: str | None = None
    images: int | None = None
    generated: int | None = None
    real: int | None = None
    generators: int | None = None
    classes: str | None = None
    columns: dict[str, str] | None = None
    label_map: dict[str, int] | None = None
    generator_folders: bool = True
    release_dates: dict[str, str] = field(default_factory=dict)
    notes: str | None = None


@cache
def published_sets() -> dict[str, PublishedSet]:
    """Return all sets by name."""
    text = Path(__file__).with_suffix(".yaml").read_text()
    table: dict[str, dict[str, Any]] = yaml.safe_load(text)
    sets = {}
    for name, entry in table.items():
        facts = tuple(entry.pop("facts"))
        released = entry.pop("released", None)
        date = None if released is None else str(released)
        dates = {key: str(value) for key, value in entry.pop("release_dates", {}).items()}
        sets[name] = PublishedSet(
            name=name, facts=facts, released=date, release_dates=dates, **entry
        )
    return sets
