"""Table of Fake2M and MPBench: archives, generators and sampling settings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

import yaml

LABELS = {"0": 1, "1": 0}
"""Map from the data set's labels (fake 0, real 1) to this project's, where 1 is generated."""


@dataclass(frozen=True)
class Subset:
    """Images of one generator.

    Attributes:
        name: Folder inside the archive.
        column: Column of the paper's table; None if it is not scored there.
        generator: Name of the model.
        family: latent_diffusion, pixel_diffusion, autoregressive, gan, unknown or real.
        sampler: Name of the sampler, if any.
        steps: Sampling steps, if any.
        count: Announced number of images.
    """

    name: str
    column: str | None = None
    generator: str | None = None
    family: str = "unknown"
    sampler: str | None = None
    steps: int | None = None
    count: int | None = None


@dataclass(frozen=True)
class Group:
    """One archive.

    Attributes:
        name: Name of the archive.
        split: Split of its images.
        images: URL of its parts on the Hub.
        metadata: URL of its label file.
        captions: Set of captions whose numbers are the file names, if any.
        subsets: Its generators.
    """

    name: str
    split: str
    images: str
    metadata: str
    captions: str | None
    subsets: tuple[Subset, ...]

    def subset_of(self, path: str) -> Subset | None:
        """Find the subset of a file by its nearest named folder.

        An archive of one subset needs no folder. Returns None if the path names no subset.
        """
        by_name = {subset.name: subset for subset in self.subsets}
        for folder in reversed(PurePosixPath(path).parts[:-1]):
            if folder in by_name:
                return by_name[folder]
        return self.subsets[0] if len(self.subsets) == 1 else None


@cache
def groups() -> dict[str, Group]:
    """Return all archives by name."""
    table = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    archives = {}
    for name, entry in table["groups"].items():
        subsets = []
        for folder, settings in entry.pop("subsets").items():
            subsets.append(Subset(name=folder, **settings))
        urls = {key: f"{table['root']}/{entry.pop(key)}" for key in ("images", "metadata")}
        archives[name] = Group(name=name, subsets=tuple(subsets), **urls, **entry)
    return archives


def columns() -> list[str]:
    """List the generators that the paper's table scores, in its order."""
    names: dict[str, None] = {}
    for group in groups().values():
        if group.split != "val":
            continue
        for subset in group.subsets:
            if subset.column:
                names[subset.column] = None
    return list(names)
