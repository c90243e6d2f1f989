"""Answers of a system to each key, in the published JSON schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.files import private_files
from engine.records import read_json, write_readable_json
from sentinels.record import Record

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
            if fault := _fault(entry):
                msg = f"{file}: not the answers of a system: {key} has {fault}"
                raise ValueError(msg)
        return cls(folder, entries, name)

    @property
    def file(self) -> Path:
        """The JSON file."""
        return self.folder / f"{self.name}.json"

    def check_keys(self, record: Record) -> None:
        """Refuse answers to the keys of another record.

        A mixture of answers to two records proves nothing either. Entries without a key pass.

        Args:
            record: Record whose keys the system was asked for.

        Raises:
            ValueError: If an entry has another key than the record.
        """
        keyed = [
            name
            for name, entry in self.entries.items()
            if name in record.sentinels and entry.get("random_key") is not None
        ]
        keys = {name: self.entries[name]["random_key"] for name in keyed}
        others = [name for name in keyed if keys[name] != record.sentinels[name].key]
        if not others:
            return
        what = "these answers are to another record"
        if len(others) < len(keyed):
            what = f"{len(others)} of {len(keyed)} answers are to another record"
        first = others[0]
        msg = (
            f"{self.file}: {what}: the key of {first} is {keys[first]}, but "
            f"{record.sentinels[first].key} in {record.file}"
        )
        raise ValueError(msg)

    def write(self) -> None:
        """Write the JSON file atomically; only its owner may read it, as it has the keys."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with private_files():
            write_readable_json(self.file, self.entries)

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


def _fault(entry: dict[str, Any]) -> str:
    """Describe what an entry has that answers may not have; empty if it is valid."""
    trials = entry.get("trials")
    if not isinstance(trials, list) or not all(isinstance(trial, dict) for trial in trials):
        return "no list of trials"
    if not isinstance(entry.get("random_key"), str | None):
        return "a random_key that is no text"
    for trial in trials:
        if not _are_paths(trial.get("retrieved_images")):
            return "retrieved_images that are no list of paths"
        for name in LAST_IMAGE_FIRST:
            if not isinstance(trial.get(name), str | None):
                return f"a {name} that is no path"
    return ""


def _are_paths(value: Any) -> bool:
    """Return True for a list of paths, lists of paths for several captions, or nothing."""
    if value is None:
        return True
    if not isinstance(value, list):
        return False
    lists = value if all(isinstance(one, list) for one in value) else [value]
    return all(isinstance(path, str) for one in lists for path in one)


def triggered(trial: dict[str, Any]) -> bool:
    """Return True if the system searched its database."""
    return bool(trial.get("retrieved_images"))


def retrieved(trial: dict[str, Any]) -> list[str]:
    """Return the paths retrieved for the first caption, best first."""
    paths = trial.get("retrieved_images") or []
    if paths and isinstance(paths[0], list):
        paths = paths[0]
    return [str(path) for path in paths]
