"""Answers of a system to each key, in the published JSON schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.files import private_files
from engine.records import read_json, write_readable_json

LAST_IMAGE_FIRST = ("final_image", "rephrased_image", "initial_image")
"""Fields of a trial with an image, the last stage first."""


@dataclass
class Trials:
    """The answers of one system: ``out.json`` and ``images/`` in a folder.

    Attributes:
        folder: Folder of the answers.
        entries: By the source's name: ``random_key``, ``original_image``, ``generated_image`` and
            ``trials``.
        name: Name of the JSON file, without the suffix.
    """

    folder: Path
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    name: str = "out"

    @classmethod
    def open(cls, folder: Path, name: str = "out", new: bool = False) -> Trials:
        """Read the answers of a system.

        Args:
            folder: Folder of the answers.
            name: Name of the JSON file, without the suffix.
            new: Begin empty if the file does not exist.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is damaged.
        """
        file = folder / f"{name}.json"
        if not file.is_file():
            if new:
                return cls(folder, {}, name)
            others = ", ".join(sorted(path.name for path in folder.glob("*.json")))
            msg = f"{file}: no such file of answers; the folder has {others or 'no JSON file'}"
            raise FileNotFoundError(msg)
        entries = read_json(
            file, dict[str, dict[str, Any]], "it should be the answers of a system to each key"
        )
        for key, entry in entries.items():
            trials = entry.get("trials")
            if not isinstance(trials, list) or not all(isinstance(trial, dict) for trial in trials):
                msg = f"{file}: not the answers of a system: {key} has no list of trials"
                raise ValueError(msg)
        return cls(folder, entries, name)

    def write(self) -> None:
        """Write the JSON file atomically; only its owner may read it, as it has the keys."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with private_files():
            write_readable_json(self.folder / f"{self.name}.json", self.entries)

    def outputs(self, entry: str) -> Iterator[tuple[dict[str, Any], Path | None]]:
        """Yield every trial of an entry with its final image; None if the image is missing."""
        for trial in self.entries[entry]["trials"]:
            recorded = next((trial[name] for name in LAST_IMAGE_FIRST if trial.get(name)), None)
            yield trial, self.locate(str(recorded)) if recorded else None

    def locate(self, recorded: str) -> Path | None:
        """Return the file of a recorded path; None if it does not exist.

        The path is relative to the answers, or a name in ``images/``, or a path by itself.
        """
        in_images = self.folder / "images" / Path(recorded).name
        for path in (self.folder / recorded, in_images, Path(recorded)):
            if path.is_file():
                return path
        return None


def triggered(trial: dict[str, Any]) -> bool:
    """Return True if the system searched its database."""
    return bool(trial.get("retrieved_images"))


def retrieved(trial: dict[str, Any]) -> list[str]:
    """Return the paths retrieved for the first caption, best first."""
    paths = trial.get("retrieved_images") or []
    if paths and isinstance(paths[0], list):
        paths = paths[0]
    return [str(path) for path in paths]
