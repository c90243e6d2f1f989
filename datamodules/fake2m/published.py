"""Table of published data sets of real and generated images: where from, license, layout."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class PublishedSet:
    """A published data set; what no source states is None.

    Attributes:
        name: Name of the set.
        paper: Paper, as an arXiv number or a title.
        home: Page where the images are to be had.
        facts: Pages that the facts are from.
        label: Where labels stand: ``folders``, ``column``, or the class of all images.
        source: URL of its files on the Hub, if it is read from there.
        license: License of the images, in the publisher's words.
        released: Date of release, ``YYYY-MM`` or ``YYYY-MM-DD``.
        images: Number of images.
        generated: Number of generated images.
        real: Number of real images.
        generators: Number of generators.
        classes: What the images show, or where the reals are from.
        columns: Columns of its tables: image, label, generator.
        label_map: Meaning of its labels, where they are no words: 0 real, 1 generated.
        generator: Name of the generator, where folders do not name one.
        notes: What to know before use.
    """

    name: str
    paper: str
    home: str
    facts: tuple[str, ...]
    label: str
    source: str | None = None
    license: str | None = None
    released: str | None = None
    images: int | None = None
    generated: int | None = None
    real: int | None = None
    generators: int | None = None
    classes: str | None = None
    columns: dict[str, str] | None = None
    label_map: dict[str, int] | None = None
    generator: str | None = None
    notes: str | None = None


@cache
def published_sets() -> dict[str, PublishedSet]:
    """Return all sets by name."""
    table: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    sets = {}
    for name, entry in table.items():
        facts = tuple(entry.pop("facts"))
        sets[name] = PublishedSet(name=name, facts=facts, **entry)
    return sets
