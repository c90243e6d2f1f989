"""What a system answered to each key, in the published JSON schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.records import read_json, write_readable_json


@dataclass
class Trials:
    """The answers of one system: ``out.json`` and ``images/`` in a folder.

    Attributes:
        folder: Where.
        entries: By the source's name: ``random_key``, ``original_image``, ``generated_image`` and ``trials``.
        name: Of the JSON file, without its ending.
    """

    folder: Path
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    name: str = "out"

    @classmethod
    def open(cls, folder: Path, name: str = "out", new: bool = False) -> Trials:
        """Read them.

        Args:
            folder: Where.
            name: Of the JSON file.
            new: Begin empty where there is none.

        Raises:
            FileNotFoundError: If there are none.
            ValueError: If the file is damaged.
        """
        file = folder / f"{name}.json"
        if not file.is_file():
            if new:
                return cls(folder, {}, name)
            others = (
                ", ".join(sorted(path.name for path in folder.glob("*.json"))) or "no JSON file"
            )
            msg = f"{file}: no answers there; the folder has {others}"
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
        """Write the file, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_readable_json(self.folder / f"{self.name}.json", self.entries)

    def outputs(self, entry: str) -> Iterator[tuple[dict[str, Any], Path | None]]:
        """Every trial of an entry with the picture the system gave in the end; None where that is missing."""
        for trial in self.entries[entry]["trials"]:
            named = (
                trial.get("final_image")
                or trial.get("rephrased_image")
                or trial.get("initial_image")
            )
            yield trial, self.locate(str(named)) if named else None

    def locate(self, recorded: str) -> Path | None:
        """The file a recorded path means: beside the answers, or among the pictures by its name."""
        places = (
            self.folder / recorded,
            self.folder / "images" / Path(recorded).name,
            Path(recorded),
        )
        return next((place for place in places if place.is_file()), None)


def triggered(trial: dict[str, Any]) -> bool:
    """Did the system look into its database?"""
    return bool(trial.get("retrieved_images"))


def retrieved(trial: dict[str, Any]) -> list[str]:
    """Paths found for the first caption, best first."""
    found = trial.get("retrieved_images") or []
    return [str(path) for path in (found[0] if found and isinstance(found[0], list) else found)]
