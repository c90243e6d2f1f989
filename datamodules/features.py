"""Shards of features: what a frozen network has made of the pictures of a shard, to be trained on instead of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fsspec
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

ENDING = ".safetensors"


def write_features(target: Path, features: Tensor, records: Sequence[dict[str, Any]], origin: dict[str, Any]) -> None:
    """Write a shard of features, whole or not at all.

    Args:
        target: The file.
        features: (N, V, D), of V views of each picture.
        records: Of the pictures, with ``key`` and ``label``.
        origin: What the features depend on: network, weights, view, shard.
    """
    partial = target.with_name(target.name + ".partial")
    save_file({"features": features.contiguous()}, partial, {"origin": json.dumps(origin), "records": json.dumps(list(records))})
    partial.replace(target)


def read_features(url: str) -> Iterator[dict[str, Any]]:
    """Samples as :func:`datamodules.streams.read_shards` gives them: ``__key__``, ``__url__``, ``json`` and ``features`` (V, D).

    Raises:
        ValueError: If the file is damaged or holds no features.
    """
    with fsspec.open(url, "rb") as stream:
        content = stream.read()
    try:
        features = load(content)["features"]
        records = json.loads(_notes(content)["records"])
    except (SafetensorError, KeyError, ValueError) as error:
        msg = f"{url}: not a shard of features, or damaged ({error}); write it again with python -m detectors features"
        raise ValueError(msg) from error
    for views, record in zip(features, records, strict=True):
        yield {"__key__": record["key"], "__url__": url, "json": json.dumps(record), "features": views}


def describe_features(url: str) -> tuple[int, int, dict[str, Any]]:
    """How many samples a shard of features has, how wide they are, and what they depend on; only its head is read.

    Raises:
        ValueError: If it holds no features.
    """
    try:
        with fsspec.open(url, "rb") as stream:
            head = stream.read(8)
            head += stream.read(min(int.from_bytes(head, "little"), LONGEST))
        count, _, width = json.loads(head[8:])["features"]["shape"]
        return count, width, json.loads(_notes(head)["origin"])
    except (KeyError, ValueError) as error:
        msg = f"{url}: not a shard of features, or damaged ({error}); write it again with python -m detectors features"
        raise ValueError(msg) from error


LONGEST = 100 << 20
"""Bytes of a head; no file of this format has a longer one."""


def _notes(content: bytes) -> dict[str, str]:
    return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
