"""Shards of precomputed backbone features."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from engine.files import write_bytes
from engine.records import parse_json
from images.sources import open_url

ENDING = ".safetensors"

MAX_HEADER_BYTES = 100 << 20
"""Largest header that is read; the safetensors format allows none larger."""

REMEDY = "write it again with python -m detectors features"


def write_features(
    target: Path, features: Tensor, records: Sequence[dict[str, Any]], origin: dict[str, Any]
) -> None:
    """Write a shard of features atomically.

    Equal features give equal bytes.

    Args:
        target: The file to write.
        features: (N, V, D), for N images with V views each.
        records: Records of the N images, with ``key`` and ``label``.
        origin: Settings that the features depend on: network, weights, view, shard.
    """
    notes = {"origin": json.dumps(origin), "records": json.dumps(list(records))}
    content = save({"features": features.contiguous()}, notes)
    end = 8 + int.from_bytes(content[:8], "little")
    # safetensors orders the notes at random: sort them, and pad to its alignment of 8 bytes
    header = json.dumps(json.loads(content[8:end]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    write_bytes(target, len(header).to_bytes(8, "little") + header + content[end:])


def read_features(url: str) -> Iterator[tuple[dict[str, Any], Tensor]]:
    """Yield record and features, (V, D), of every sample of a shard.

    Raises:
        ValueError: If the file is damaged or holds no features.
    """
    with open_url(url) as stream:
        content = stream.read()
    notes = _read_header(content, url).notes
    records = parse_json(notes["records"], list[dict[str, Any]], f"{url}: its records", REMEDY)
    try:
        features = load(content)["features"]
    except (SafetensorError, KeyError, ValueError) as error:
        msg = f"{url}: not a shard of features, or damaged ({error}); {REMEDY}"
        raise ValueError(msg) from error
    if len(records) != len(features) or not all("key" in record for record in records):
        msg = (
            f"{url}: damaged: {len(features)} samples have features, "
            f"{len(records)} have records; {REMEDY}"
        )
        raise ValueError(msg)
    yield from zip(records, features, strict=True)


def describe_features(url: str) -> tuple[int, int, dict[str, Any]]:
    """Read a feature shard's number of samples, width and origin.

    Only the header is read. The origin holds the settings that the features depend on.

    Raises:
        ValueError: If the file holds no features.
    """
    with open_url(url) as stream:
        content = stream.read(8)
        content += stream.read(min(int.from_bytes(content, "little"), MAX_HEADER_BYTES))
    header = _read_header(content, url)
    count, _, width = header.features.shape
    origin = parse_json(header.notes["origin"], dict[str, Any], f"{url}: its origin", REMEDY)
    return count, width, origin


@dataclass(frozen=True)
class _Shape:
    """Shape of the feature tensor: (samples, views, width)."""

    shape: tuple[int, int, int]


@dataclass(frozen=True)
class _Header:
    """Header of a safetensors file with features."""

    features: _Shape
    notes: dict[str, str]


def _read_header(content: bytes, url: str) -> _Header:
    """Parse the header of a feature shard.

    Raises:
        ValueError: If it is no such header.
    """
    fault = "not a shard of features, or damaged"
    length = min(int.from_bytes(content[:8], "little"), MAX_HEADER_BYTES)
    entries = parse_json(content[8 : 8 + length], dict[str, Any], f"{url}: {fault}", REMEDY)
    values = {"features": entries.get("features"), "notes": entries.get("__metadata__")}
    try:
        header = msgspec.convert(values, _Header)
    except msgspec.ValidationError as error:
        msg = f"{url}: {fault} ({error}); {REMEDY}"
        raise ValueError(msg) from error
    if missing := {"origin", "records"} - set(header.notes):
        msg = f"{url}: {fault} (no {min(missing)}); {REMEDY}"
        raise ValueError(msg)
    return header
