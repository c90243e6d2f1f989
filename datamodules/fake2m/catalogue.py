"""The table of Fake2M and MPBench: which archive holds which generator's pictures, and how they were made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Literal

import yaml

Split = Literal["train", "val", "test", "dev", "calibration"]
"""What shards are for: the first part of their names."""

LABELS = {"0": 1, "1": 0}
"""What the data set's own labels (fake 0, real 1) are here, where 1 means generated."""


@dataclass(frozen=True)
class Subset:
    """One generator's pictures.

    Attributes:
        name: The folder inside the archive.
        column: Its column in the paper's table; None where it is not scored.
        generator: Model.
        family: latent_diffusion, pixel_diffusion, autoregressive, gan, unknown or real.
        sampler: Sampler, if any.
        steps: Its steps, if any.
        count: Pictures announced.
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
    """One archive: where its parts and its metadata are on the Hub, and what is in it."""

    name: str
    split: str
    images: str
    metadata: str
    captions: str | None
    subsets: tuple[Subset, ...]

    def subset_of(self, path: str) -> Subset | None:
        """The subset whose folder is nearest to a file, or the only one there is; None if the path names none."""
        known = {subset.name: subset for subset in self.subsets}
        found = next(
            (known[part] for part in reversed(PurePosixPath(path).parts[:-1]) if part in known),
            None,
        )
        return self.subsets[0] if found is None and len(self.subsets) == 1 else found


@cache
def groups() -> dict[str, Group]:
    """Every archive, by name."""
    table = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    made = {}
    for name, entry in table["groups"].items():
        subsets = tuple(
            Subset(name=folder, **facts) for folder, facts in entry.pop("subsets").items()
        )
        places = {key: f"{table['root']}/{entry.pop(key)}" for key in ("images", "metadata")}
        made[name] = Group(name=name, subsets=subsets, **places, **entry)
    return made


def columns() -> list[str]:
    """The generators the paper's table scores, in its order."""
    return list(
        dict.fromkeys(
            subset.column
            for group in groups().values()
            if group.split == "val"
            for subset in group.subsets
            if subset.column
        )
    )
