"""The registry: every model this project uses or makes, where it is from, and what it expects. The data is in ``registry.yaml``."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_name("registry.yaml")

SOURCES = ("hub", "url", "page", "path")


@dataclass(frozen=True)
class WeightFile:
    """A file of a model.

    Attributes:
        name: Its path in the model's folder.
        size: Bytes; None if not known.
        sha256: Hexadecimal; None if not known, in which case the one seen first is pinned.
    """

    name: str
    size: int | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        parts = Path(self.name).parts
        if not parts or Path(self.name).is_absolute() or ".." in parts:
            msg = f"file '{self.name}' is not a path within the model's folder"
            raise ValueError(msg)
        if self.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            msg = f"sha256 of {self.name} is not 64 hexadecimal digits"
            raise ValueError(msg)
        if self.size is not None and self.size <= 0:
            msg = f"size of {self.name} is not a number of bytes"
            raise ValueError(msg)


@dataclass(frozen=True)
class Entry:
    """A model.

    Attributes:
        name: What it is called here.
        title: What it is.
        use: What this project does with it.
        licence: Of the weights, with what it forbids.
        input: The value range and colour order that it wants, and who brings pictures to it.
        labels: The order of its answers; None where it gives none.
        hub: Hub id, perhaps with ``@revision``; one of hub, url, page and path is given.
        url: Address of the folder that the files are in.
        page: Where a person gets it.
        path: Its folder in this repository.
        steps: What to do by hand: before (``page``) or after.
        files: Its weight files; for the Hub, those whose size or hash is known.
        patterns: Which files of the Hub's to fetch; all if empty.
        gated: Whether the Hub gives it only to those who agreed to its terms.
    """

    name: str
    title: str
    use: str
    licence: str
    input: str
    labels: str | None = None
    hub: str | None = None
    url: str | None = None
    page: str | None = None
    path: str | None = None
    steps: str | None = None
    files: tuple[WeightFile, ...] = ()
    patterns: tuple[str, ...] = ()
    gated: bool = False

    def __post_init__(self) -> None:
        if sum(getattr(self, source) is not None for source in SOURCES) != 1:
            msg = f"{self.name}: give exactly one of {', '.join(SOURCES)}"
            raise ValueError(msg)
        if self.page and not self.steps:
            msg = f"{self.name}: say in steps what to do by hand"
            raise ValueError(msg)
        if (self.url or self.page) and not self.files:
            msg = f"{self.name}: name its files"
            raise ValueError(msg)
        if any(address and not address.startswith("https://") for address in (self.url, self.page)):
            msg = f"{self.name}: addresses begin with https://"
            raise ValueError(msg)

    @property
    def source(self) -> str:
        """Where it is from, in one line."""
        if self.hub:
            return f"hf://{self.hub}"
        return self.url or (f"by hand: {self.page}" if self.page else f"ships here: {self.path}")

    @property
    def size(self) -> int | None:
        """Bytes of its files; None unless all are known."""
        sizes = [file.size for file in self.files]
        return sum(size or 0 for size in sizes) if sizes and None not in sizes else None


def read_registry(file: Path = FILE) -> dict[str, Entry]:
    """Entries by name.

    Raises:
        ValueError: If an entry is not as it should be.
    """
    known = {field.name for field in fields(Entry)} - {"name"}
    found = {}
    for name, facts in yaml.safe_load(file.read_text()).items():
        if unknown := sorted(set(facts) - known):
            msg = f"{file.name}: {name}: unknown {', '.join(unknown)}; an entry has {', '.join(sorted(known))}"
            raise ValueError(msg)
        given: dict[str, Any] = facts | {
            "files": tuple(WeightFile(**each) for each in facts.get("files", [])),
            "patterns": tuple(facts.get("patterns", [])),
        }
        try:
            found[name] = Entry(name, **given)
        except (TypeError, ValueError) as error:
            msg = f"{file.name}: {name}: {error}"
            raise ValueError(msg) from error
    return found


@cache
def registry() -> dict[str, Entry]:
    """This project's."""
    return read_registry()


def entry(name: str) -> Entry:
    """One model.

    Raises:
        ValueError: If there is none of that name.
    """
    if name in registry():
        return registry()[name]
    near = difflib.get_close_matches(name, registry(), n=3, cutoff=0.4)
    advice = f"near are {', '.join(near)}" if near else "python -m checkpoints list shows them"
    msg = f"no model '{name}' in the registry; {advice}. Other models of the Hub are hf://org/model"
    raise ValueError(msg)
