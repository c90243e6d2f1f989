"""Pictures from archives, folders or other shards into WebDataset shards: their bytes as they are, and what is known of each."""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from datamodules.fake2m.annotations import Annotations
from datamodules.fake2m.catalogue import Group, Subset
from datamodules.fake2m.facts import read_facts
from engine.files import file_digest, name_bytes, remove_partials_of, write_bytes
from images.archives import Member
from images.formats import has_image_suffix
from images.headers import read_header
from images.io import UnreadableImage, decode_photo
from images.shard_writer import ShardWriter

NAMED = 200
"""File names an index lists of each kind of trouble; the counts are of all."""

REAL, GENERATED = 0, 1

FAILED = ("unreadable", "damaged", "in no known folder")
"""Kinds of trouble of images that ought to be in a shard."""

SKIPPED = ("no file", "no picture")
"""Kinds of trouble of everything else in a source."""


@dataclass(frozen=True)
class Origin:
    """What is known of all pictures of a source.

    Attributes:
        split: One of :data:`Split`.
        subset: The second.
        label: 1 generated, 0 real.
        generator: Model, where generated.
        family: As :class:`datamodules.fake2m.catalogue.Subset`'s; real for photographs.
        sampler: Its sampler, if any.
        steps: The sampler's steps.
        captions: The set of captions whose numbers are the file names, if they are.
        column: Column of MPBench's table.
    """

    split: str
    subset: str
    label: int
    generator: str | None = None
    family: str = "unknown"
    sampler: str | None = None
    steps: int | None = None
    captions: str | None = None
    column: str | None = None

    @classmethod
    def of(cls, group: Group, subset: Subset) -> Origin:
        """What the table of Fake2M says."""
        facts = {
            key: getattr(subset, key)
            for key in ("generator", "family", "sampler", "steps", "column")
        }
        return cls(
            split=group.split,
            subset=slug(subset.name),
            label=GENERATED,
            captions=group.captions,
            **facts,
        )


@dataclass(frozen=True)
class Limits:
    """When a shard is full.

    Attributes:
        samples: Pictures.
        megabytes: Of their bytes.
    """

    samples: int = 5000
    megabytes: int = 400

    def __post_init__(self) -> None:
        if min(self.samples, self.megabytes) < 1:
            msg = f"a shard holds at least 1 picture and 1 megabyte, got {self.samples} and {self.megabytes}"
            raise ValueError(msg)


class SubsetWriter:
    """The shards of one subset, ``SPLIT-SUBSET-NNNNNN.tar``; pictures of finished shards are passed over."""

    def __init__(self, folder: Path, origin: Origin, limits: Limits) -> None:
        self.folder, self.origin, self.limits = folder, origin, limits
        self.stem = f"{origin.split}-{origin.subset}"
        self.finished = finished_shards(folder, self.stem)
        self.done, self.keys = set(), set()
        for shard in self.finished:
            for key, facts in read_facts(shard):
                self.done.add(facts["source_path"])
                self.keys.add(key)
        self.shard: ShardWriter | None = None
        self.count = self.size = 0

    def add(self, path: str, ending: str, content: bytes, facts: dict[str, Any]) -> None:
        """One picture, whose place in the source is ``path``."""
        key = free_key(path, self.keys)
        self.keys.add(key)
        if self.shard is None:
            self.shard = ShardWriter(self.folder / f"{self.stem}-{len(self.finished):06d}.tar")
            self.count = self.size = 0
        self.shard.add(f"{key}.{ending}", content)
        self.shard.add(f"{key}.json", json.dumps(facts).encode())
        self.count, self.size = self.count + 1, self.size + len(content)
        if self.count >= self.limits.samples or self.size >= self.limits.megabytes << 20:
            self.close()

    def close(self) -> None:
        """Finish the shard begun, if there is one."""
        if self.shard is not None:
            self.shard.close()
            self.finished.append(self.shard.target)
            self.shard = None


@dataclass
class Troubles:
    """Files that did not become samples, and labels that no picture has, by kind."""

    counts: Counter[str] = field(default_factory=Counter)
    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, name: str) -> None:
        self.counts[kind] += 1
        if self.counts[kind] <= NAMED:
            self.names.setdefault(kind, []).append(name)


class NoPictures(ValueError):
    """A source has nothing to put into shards; says what it has."""


def shard_images(
    members: Iterable[Member],
    output: Path,
    origin_of: Callable[[str], Origin | None],
    annotations: Annotations | None = None,
    limits: Limits = Limits(),
    decode: bool = False,
) -> dict[str, dict[str, Any]]:
    """Write shards and, for each subset, ``SPLIT-SUBSET.json``: its shards with counts and hashes, and what was left out.

    A stopped run goes on: pictures in finished shards are not written again, and the shards come out as those of an unbroken run.

    Args:
        members: The source's files, always in the same order.
        output: Folder of the shards.
        origin_of: What is known of a file by its path; None leaves the file out.
        annotations: Labels of single pictures, which go before their origin's.
        limits: When a shard is full.
        decode: Decode every picture as a check, which takes several times as long; otherwise only headers are read.

    Returns:
        The indices, by subset.

    Raises:
        ValueError: If the source has no pictures; or as the source raises.
    """
    output.mkdir(parents=True, exist_ok=True)
    writers: dict[str, SubsetWriter] = {}
    troubles = Troubles()
    for member in members:
        named_image = has_image_suffix(member.name)
        if member.skip or member.fault:
            reason = f"{member.name}: {member.skip or member.fault}"
            troubles.add("unreadable" if named_image or member.fault else "no file", reason)
            continue
        origin = origin_of(member.name)
        if origin is None:
            troubles.add("in no known folder" if named_image else "no picture", member.name)
            continue
        stem = f"{origin.split}-{origin.subset}"
        if stem not in writers:
            writers[stem] = SubsetWriter(output, origin, limits)
        writer = writers[stem]
        label = annotations.label(member.name) if annotations else None
        if annotations and label is None and named_image:
            troubles.add("without a row in the metadata", member.name)
        if member.name in writer.done:
            continue
        content = member.read()
        header = read_header(content)
        if header is None:
            troubles.add("unreadable" if named_image else "no picture", member.name)
            continue
        if decode and not decodes(content, member.name):
            troubles.add("damaged", member.name)
            continue
        facts = describe(
            member.name, content, origin if label is None else relabelled(origin, label)
        ) | asdict(header)
        writer.add(member.name, header.codec, content, facts)
    for writer in writers.values():
        writer.close()
    if not any(writer.finished for writer in writers.values()):
        raise NoPictures(str(dict(troubles.counts) or "it is empty"))
    if annotations:
        unused = annotations.unused()
        troubles.counts["rows without a picture"] += len(unused)
        troubles.names["rows without a picture"] = unused[:NAMED]
    return {stem: index_shards(output, writer.origin, troubles) for stem, writer in writers.items()}


def describe(path: str, content: bytes, origin: Origin) -> dict[str, Any]:
    """The record beside an image, whose place in the source is ``path``, but for its header."""
    name = PurePosixPath(path).stem
    facts = {key: value for key, value in asdict(origin).items() if key != "captions"}
    caption = f"{origin.captions}/{int(name)}" if origin.captions and name.isdigit() else None
    digest = hashlib.sha256(content).hexdigest()
    return facts | {
        "source_path": path,
        "caption_id": caption,
        "nbytes": len(content),
        "sha256": digest,
    }


def relabelled(origin: Origin, label: int) -> Origin:
    """The origin of a picture whose own label is known; a photograph has no generator."""
    if label == origin.label:
        return origin
    if label == REAL:
        return replace(
            origin, label=REAL, generator=None, family="real", sampler=None, steps=None, column=None
        )
    return replace(origin, label=GENERATED, family="unknown", column=None)


def place_of(path: str) -> float:
    """A number from 0 to below 1 that a picture's file name decides; numbered files count as their number, however it is written."""
    stem = PurePosixPath(path).stem
    return zlib.crc32(name_bytes(str(int(stem)) if stem.isdecimal() else stem)) / 2**32


def decodes(content: bytes, name: str) -> bool:
    """Whether an image can be decoded to its end."""
    try:
        decode_photo(io.BytesIO(content), name)
    except UnreadableImage:
        return False
    return True


def free_key(path: str, taken: set[str]) -> str:
    """A sample's key: the path without its ending, without dots in the file name, which WebDataset would cut it at, and not yet taken."""
    place = PurePosixPath(path)
    key = str(place.with_name(place.stem.replace(".", "_") or "_"))
    number = 2
    while (name := key if number == 2 and key not in taken else f"{key}-{number}") in taken:
        number += 1
    return name


def slug(name: str) -> str:
    """A name that is safe in file names and brace patterns.

    Raises:
        ValueError: If nothing is left of it.
    """
    safe = "".join(letter if letter.isalnum() or letter in "+_" else "-" for letter in name).strip(
        "-"
    )
    if not safe:
        msg = f"the name '{name}' has no letter or digit: give another with --name"
        raise ValueError(msg)
    return safe


def finished_shards(folder: Path, stem: str) -> list[Path]:
    """A subset's shards, in order."""
    return sorted(
        path for path in folder.glob(f"{stem}-*.tar") if path.stem[len(stem) + 1 :].isdigit()
    )


def index_shards(folder: Path, origin: Origin, troubles: Troubles | None = None) -> dict[str, Any]:
    """``SPLIT-SUBSET.json``: shards with counts and hashes, classes, codecs, sizes, and the source's troubles."""
    stem, troubles = f"{origin.split}-{origin.subset}", troubles or Troubles()
    shards: list[dict[str, Any]] = []
    counts: dict[str, Counter[str]] = {
        key: Counter() for key in ("label", "codec", "size", "generator")
    }
    for path in finished_shards(folder, stem):
        facts = [facts for _, facts in read_facts(path)]
        for one in facts:
            sizes = {"size": f"{one['width']}x{one['height']}"}
            for key, counter in counts.items():
                counter[str((one | sizes)[key])] += 1
        shards.append(
            {
                "name": path.name,
                "samples": len(facts),
                "bytes": path.stat().st_size,
                "sha256": file_digest(path),
            }
        )
    index = {
        "origin": asdict(origin),
        "samples": sum(shard["samples"] for shard in shards),
        "shards": shards,
        "counts": {key: dict(counter.most_common(50)) for key, counter in counts.items()},
        "left_out": dict(troubles.counts),
        "left_out_names": troubles.names,
    }
    remove_partials_of([folder / f"{stem}.json"])
    write_bytes(folder / f"{stem}.json", json.dumps(index, indent=2).encode() + b"\n")
    return index
