"""Shards of features: what a frozen network has made of the pictures of a shard, to be trained on instead of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import msgspec
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from engine.files import write_bytes
from engine.records import parse_json

ENDING = ".safetensors"


def write_features(
    target: Path, features: Tensor, records: Sequence[dict[str, Any]], origin: dict[str, Any]
) -> None:
    """Write a shard of features, whole or not at all; the same bytes for the same features.

    Args:
        target: The file.
        features: (N, V, D), of V views of each picture.
        records: Of the pictures, with ``key`` and ``label``.
        origin: What the features depend on: network, weights, view, shard.
    """
    notes = {"origin": json.dumps(origin), "records": json.dumps(list(records))}
    content = save({"features": features.contiguous()}, notes)
    end = 8 + int.from_bytes(content[:8], "little")
    head = json.dumps(
        json.loads(content[8:end]), sort_keys=True
    ).encode()  # safetensors orders notes by chance
    head += b" " * (-len(head) % 8)
    write_bytes(target, len(head).to_bytes(8, "little") + head + content[end:])


def read_features(url: str) -> Iterator[tuple[dict[str, Any], Tensor]]:
    """Record and features, (V, D), of every sample of a shard.

    Raises:
        ValueError: If the file is damaged or holds no features.
    """
    with fsspec.open(url, "rb") as stream:
        content = stream.read()
    head = _head(content, url)
    records = parse_json(head.notes["records"], list[dict[str, Any]], f"{url}: its records", AGAIN)
    try:
        features = load(content)["features"]
    except (SafetensorError, KeyError, ValueError) as error:
        msg = f"{url}: not a shard of features, or damaged ({error}); {AGAIN}"
        raise ValueError(msg) from error
    if len(records) != len(features) or not all("key" in record for record in records):
        msg = f"{url}: damaged: {len(features)} samples have features, {len(records)} have records; {AGAIN}"
        raise ValueError(msg)
    yield from zip(records, features, strict=True)


def describe_features(url: str) -> tuple[int, int, dict[str, Any]]:
    """How many samples a shard of features has, how wide they are, and what they depend on; only its head is read.

    Raises:
        ValueError: If it holds no features.
    """
    with fsspec.open(url, "rb") as stream:
        content = stream.read(8)
        content += stream.read(min(int.from_bytes(content, "little"), LONGEST))
    head = _head(content, url)
    count, _, width = head.features.shape
    return (
        count,
        width,
        parse_json(head.notes["origin"], dict[str, Any], f"{url}: its origin", AGAIN),
    )


LONGEST = 100 << 20
"""Bytes of a head; no file of this format has a longer one."""

AGAIN = "write it again with python -m detectors features"


@dataclass(frozen=True)
class _Shape:
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class _Head:
    """What a file of safetensors says of itself."""

    features: _Shape
    notes: dict[str, str]


def _head(content: bytes, url: str) -> _Head:
    kind = "not a shard of features, or damaged"
    length = min(int.from_bytes(content[:8], "little"), LONGEST)
    about = parse_json(content[8 : 8 + length], dict[str, Any], f"{url}: {kind}", AGAIN)
    try:
        head = msgspec.convert(
            {"features": about.get("features"), "notes": about.get("__metadata__")}, _Head
        )
    except msgspec.ValidationError as error:
        msg = f"{url}: {kind} ({error}); {AGAIN}"
        raise ValueError(msg) from error
    if missing := {"origin", "records"} - set(head.notes):
        msg = f"{url}: {kind} (no {min(missing)}); {AGAIN}"
        raise ValueError(msg)
    return head
