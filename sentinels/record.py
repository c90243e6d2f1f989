"""The record of planted sentinels, in the published JSON schema, with where each came from beside it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.records import read_json, write_readable_json

FORMAT = 1
LARGEST = 512 * 2**20
"""Bytes of a record that is still opened."""

FENCE = re.compile(r"^\s*```[a-zA-Z]*\s*\n?(.*?)\n?\s*```\s*$", re.DOTALL)


@dataclass(frozen=True)
class Sentinel:
    """One planted picture.

    Attributes:
        key: The letters in it.
        original: Its source picture, as recorded: absolute, or relative to the record.
        generated: The sentinel, likewise.
        description: What a model said of the source, as it said it; empty without one.
        prompt: What the generator was asked for; empty for the local one.
        timestamp: When, ``YYYY-MM-DD HH:MM:SS.ffffff``.
        provenance: Hashes, sizes, planter, seed and what was checked; empty in records of other programs.
    """

    key: str
    original: str
    generated: str
    description: str = ""
    prompt: str = ""
    timestamp: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def described(self) -> dict[str, Any] | None:
        """The description as an object; None if it is none."""
        return parse_object(self.description)


@dataclass
class Record:
    """A record file.

    Attributes:
        file: Where it is.
        sentinels: By the source's name: its path in the collection, with forward slashes.
        description_prompt: What the describing model was asked.
        provenance: Facts of the whole record.
    """

    file: Path
    sentinels: dict[str, Sentinel] = field(default_factory=dict)
    description_prompt: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, file: Path) -> Record:
        """Read a record of this or of the published program.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is not one; the message says where.
        """
        if not file.is_file():
            msg = f"{file}: no such record; plant sentinels first"
            raise FileNotFoundError(msg)
        if file.stat().st_size > LARGEST:
            msg = f"{file}: larger than {LARGEST >> 20} MiB, so not a record of sentinels"
            raise ValueError(msg)
        content = read_json(
            file,
            _RecordFile,
            "a record of sentinels has processed_images with an object for each source",
        )
        sentinels = {
            name: _entry(file, name, entry) for name, entry in content.processed_images.items()
        }
        return cls(file, sentinels, content.description_prompt or "", content.provenance or {})

    def write(self) -> None:
        """Write the file, whole or not at all."""
        entries = {
            name: {
                "random_key": sentinel.key,
                "original_image": sentinel.original,
                "generated_image": sentinel.generated,
                "image_description": sentinel.description,
                "generation_prompt": sentinel.prompt,
                "timestamp": sentinel.timestamp,
                "provenance": dict(sentinel.provenance),
            }
            for name, sentinel in self.sentinels.items()
        }
        content = {
            "description_prompt": self.description_prompt,
            "processed_images": entries,
            "provenance": {"format": FORMAT} | self.provenance,
        }
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_readable_json(self.file, content)

    def relative(self, path: Path) -> str:
        """A path as it is recorded: relative to the record, with forward slashes."""
        return Path(os.path.relpath(path.resolve(), self.file.parent.resolve())).as_posix()

    def locate(self, recorded: str) -> Path | None:
        """The file a recorded path means; None if it is nowhere.

        Records of the published program name files relative to the folder it was started in, a neighbour of the data's.
        """
        here = self.file.parent.resolve()
        bases = [
            here,
            *(
                base / inside
                for base in [here, *here.parents][:4]
                for inside in ("", "ImageSentinel")
            ),
        ]
        return next(
            (path for base in bases if (path := Path(os.path.normpath(base / recorded))).is_file()),
            None,
        )

    def pairs(self) -> Iterator[tuple[str, Sentinel, Path]]:
        """Name, entry and sentinel file of every entry.

        Raises:
            FileNotFoundError: If a file is missing.
        """
        for name, sentinel in self.sentinels.items():
            path = self.locate(sentinel.generated)
            if path is None:
                msg = f"{self.file}: the sentinel of {name}, {sentinel.generated}, is nowhere; python -m sentinels verify lists all such"
                raise FileNotFoundError(msg)
            yield name, sentinel, path


@dataclass
class _RecordFile:
    """The JSON file of a record."""

    processed_images: dict[str, dict[str, Any]]
    description_prompt: str | None = None
    provenance: dict[str, Any] | None = None


def parse_object(text: str) -> dict[str, Any] | None:
    """A JSON object out of a model's answer, with or without a code fence around it; None if there is none."""
    fenced = FENCE.match(text)
    try:
        found = json.loads(fenced.group(1) if fenced else text)
    except (json.JSONDecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _entry(file: Path, name: str, entry: dict[str, Any]) -> Sentinel:
    wanted = {"random_key": "key", "original_image": "original", "generated_image": "generated"}
    optional = {
        "image_description": "description",
        "generation_prompt": "prompt",
        "timestamp": "timestamp",
    }
    if missing := [key for key in wanted if not isinstance(entry.get(key), str)]:
        msg = f"{file}: the entry of {name} has no {missing[0]}"
        raise ValueError(msg)
    texts = {
        field_name: str(entry.get(key) or "") for key, field_name in (wanted | optional).items()
    }
    provenance = entry.get("provenance") or {}
    if not isinstance(provenance, dict):
        msg = f"{file}: the provenance of {name} is no object"
        raise ValueError(msg)
    return Sentinel(**texts, provenance=provenance)
