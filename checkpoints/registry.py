"""Registry of every model that this project uses or trains, read from ``registry.yaml``."""

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
    """File of a model.

    Attributes:
        name: Path in the model's folder.
        size: Size in bytes; None if unknown.
        sha256: Hexadecimal hash; None if unknown. An unknown hash is pinned at the first download.
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
    """Entry of the registry: one model.

    Exactly one of ``hub``, ``url``, ``page`` and ``path`` is given.

    Attributes:
        name: Name of the model in this project.
        title: Description of the model.
        use: Use of the model in this project.
        license: License of the weights, with its restrictions.
        input: Value range and color order of its input, and the code that converts images to it.
        labels: Order of its outputs; None if it has no labels.
        hub: Hub id, optionally with ``@revision``.
        url: Address of the folder of its files.
        page: Address of the page where a person can download it.
        path: Folder in this repository.
        steps: Manual steps, before the download (``page``) or after it.
        files: Weight files; for the Hub, those with a known size or hash.
        patterns: Patterns of the Hub files to download; empty for all.
        gated: The Hub asks users to accept terms first.
    """

    name: str
    title: str
    use: str
    license: str
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
        """Source of the model, in one line."""
        if self.hub:
            return f"hf://{self.hub}"
        return self.url or (f"by hand: {self.page}" if self.page else f"ships here: {self.path}")

    @property
    def size(self) -> int | None:
        """Total size of its files in bytes; None if a size is unknown."""
        sizes = [file.size for file in self.files]
        return sum(size or 0 for size in sizes) if sizes and None not in sizes else None


def read_registry(file: Path = FILE) -> dict[str, Entry]:
    """Read the entries of a registry by name.

    Raises:
        ValueError: If an entry is invalid.
    """
    known = {field.name for field in fields(Entry)} - {"name"}
    entries = {}
    for name, facts in yaml.safe_load(file.read_text()).items():
        if unknown := sorted(set(facts) - known):
            msg = (
                f"{file.name}: {name}: unknown {', '.join(unknown)}; "
                f"an entry has {', '.join(sorted(known))}"
            )
            raise ValueError(msg)
        values: dict[str, Any] = facts | {
            "files": tuple(WeightFile(**each) for each in facts.get("files", [])),
            "patterns": tuple(facts.get("patterns", [])),
        }
        try:
            entries[name] = Entry(name, **values)
        except (TypeError, ValueError) as error:
            msg = f"{file.name}: {name}: {error}"
            raise ValueError(msg) from error
    return entries


@cache
def registry() -> dict[str, Entry]:
    """Return the entries of this project's registry by name."""
    return read_registry()


def entry(name: str) -> Entry:
    """Return the entry of a model.

    Raises:
        ValueError: If the registry has no such model; the message suggests similar names.
    """
    if name in registry():
        return registry()[name]
    near = difflib.get_close_matches(name, registry(), n=3, cutoff=0.4)
    advice = (
        f"similar names: {', '.join(near)}" if near else "python -m checkpoints list shows them"
    )
    msg = f"no model '{name}' in the registry; {advice}. Other models of the Hub are hf://org/model"
    raise ValueError(msg)
