"""Record of planted sentinels: the published JSON schema, extended by provenance."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from engine.files import private_files
from engine.records import read_json, write_readable_json

FORMAT = 1
MAX_RECORD_BYTES = 512 * 2**20
"""Size of the largest record that is opened."""

CODE_FENCE = re.compile(r"^\s*```[a-zA-Z]*\s*\n?(.*?)\n?\s*```\s*$", re.DOTALL)


@dataclass(frozen=True)
class Sentinel:
    """Record entry of one sentinel.

    Attributes:
        key: Letters in the image.
        original: Path of the source, absolute or relative to the record.
        generated: Path of the sentinel, likewise.
        description: A model's description of the source, unparsed; empty without one.
        prompt: Prompt of the generator; empty for the local planter.
        timestamp: Time of planting, ``YYYY-MM-DD HH:MM:SS.ffffff``.
        provenance: Hashes, sizes, planter, seed and checks; empty in records of other programs.
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
        """Return the description as a JSON object; None if it is not one."""
        return parse_object(self.description)

    @property
    def replaces_source(self) -> bool:
        """Return True if the source is not to be published beside the sentinel."""
        return bool(self.provenance.get("replaces_source"))

    @property
    def published(self) -> str:
        """Return the path in the published collection: below ``images/``, or the file's name."""
        parts = PurePosixPath(self.generated).parts
        return "/".join(parts[parts.index("images") + 1 :]) if "images" in parts else parts[-1]


@dataclass
class Record:
    """A record file.

    Attributes:
        file: Path of the JSON file.
        sentinels: Entries by the source's path in the collection, with forward slashes.
        description_prompt: Prompt of the describing model; empty without one.
        provenance: Settings of the job that planted the sentinels.
    """

    file: Path
    sentinels: dict[str, Sentinel] = field(default_factory=dict)
    description_prompt: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, file: Path) -> Record:
        """Read a record of this or of the published program.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is not a record; the message names the faulty place.
        """
        if not file.is_file():
            msg = f"{file}: no such record; plant sentinels first"
            raise FileNotFoundError(msg)
        if file.stat().st_size > MAX_RECORD_BYTES:
            limit = f"{MAX_RECORD_BYTES >> 20} MiB"
            msg = f"{file}: larger than {limit}, so it is not a record of sentinels"
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

    @classmethod
    def open_or_new(cls, file: Path) -> Record:
        """Read a record if the file exists, else begin an empty one; errors as of :meth:`open`."""
        return cls.open(file) if file.is_file() else cls(file)

    @property
    def withheld(self) -> list[str]:
        """Return the sources that their sentinels replace, which are not to be published."""
        return [name for name, sentinel in self.sentinels.items() if sentinel.replaces_source]

    @property
    def folders(self) -> list[Path]:
        """Return the folders that hold no results: the collection, and the sentinels to publish."""
        collection = self.provenance.get("inputs")
        folders = [Path(collection)] if isinstance(collection, str) else []
        published = self.file.parent / "images"
        return [*folders, published] if published.is_dir() else folders

    def write(self) -> None:
        """Write the file atomically; only its owner may read it."""
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
            "provenance": {"format": FORMAT} | self.provenance | {"withhold": self.withheld},
        }
        with private_files():
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_readable_json(self.file, content)

    def relative(self, path: Path) -> str:
        """Return a path relative to the record, with forward slashes."""
        return Path(os.path.relpath(path.resolve(), self.file.parent.resolve())).as_posix()

    def locate(self, recorded: str) -> Path | None:
        """Return the file of a recorded path; None if it does not exist.

        Records of the published program name files relative to its working folder, which is beside
        the data's. So the record's folder, three folders above it, and a folder ``ImageSentinel``
        in each are searched.
        """
        here = self.file.parent.resolve()
        bases = [here]
        for folder in [here, *here.parents][:4]:
            bases += [folder, folder / "ImageSentinel"]
        for base in bases:
            path = Path(os.path.normpath(base / recorded))
            if path.is_file():
                return path
        return None

    def present(self) -> Iterator[tuple[str, Sentinel, Path]]:
        """Yield the source's name, the entry and the sentinel file of entries with a file."""
        for name, sentinel in self.sentinels.items():
            path = self.locate(sentinel.generated)
            if path is not None:
                yield name, sentinel, path

    def pairs(self) -> Iterator[tuple[str, Sentinel, Path]]:
        """Yield the source's name, the entry and the sentinel file of every entry.

        Raises:
            FileNotFoundError: If a sentinel file is missing.
        """
        for name, sentinel in self.sentinels.items():
            path = self.locate(sentinel.generated)
            if path is None:
                msg = (
                    f"{self.file}: the sentinel of {name}, {sentinel.generated}, is missing; "
                    "python -m sentinels verify lists all missing files"
                )
                raise FileNotFoundError(msg)
            yield name, sentinel, path


@dataclass
class _RecordFile:
    """Schema of a record's JSON file."""

    processed_images: dict[str, dict[str, Any]]
    description_prompt: str | None = None
    provenance: dict[str, Any] | None = None


def parse_object(text: str) -> dict[str, Any] | None:
    """Parse a model's answer as a JSON object, in a code fence or not; None if it is not one."""
    fenced = CODE_FENCE.match(text)
    try:
        answer = json.loads(fenced.group(1) if fenced else text)
    except (json.JSONDecodeError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _entry(file: Path, name: str, entry: dict[str, Any]) -> Sentinel:
    """Parse an entry of a record.

    Raises:
        ValueError: If a required field is missing, or the provenance is not an object.
    """
    for field_name in ("random_key", "original_image", "generated_image"):
        if not isinstance(entry.get(field_name), str):
            msg = f"{file}: the entry of {name} has no {field_name}"
            raise ValueError(msg)
    provenance = entry.get("provenance") or {}
    if not isinstance(provenance, dict):
        msg = f"{file}: the provenance of {name} is not an object"
        raise ValueError(msg)
    return Sentinel(
        key=entry["random_key"],
        original=entry["original_image"],
        generated=entry["generated_image"],
        description=str(entry.get("image_description") or ""),
        prompt=str(entry.get("generation_prompt") or ""),
        timestamp=str(entry.get("timestamp") or ""),
        provenance=provenance,
    )
