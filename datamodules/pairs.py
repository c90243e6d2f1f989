"""Pairs of images and PGD-attacked versions, for RID's regression loss."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from engine.records import read_json
from images.archives import Member, index_tar
from images.inputs import ImageInput
from images.transforms.geometry import center_crop_photo

Pair = tuple[ImageInput, ImageInput]

SUFFIXES = {".source.png": "source", ".attacked.png": "attacked version"}
"""File name suffixes of a pair's two images in a shard."""


class PairList(Dataset[dict[str, Tensor]]):
    """Pairs from a JSON file or from WebDataset shards.

    The file is ``[{"source_path": ..., "attacked_path": ...}, ...]``, with paths relative to it or
    absolute. Shards hold ``KEY.source.png`` and ``KEY.attacked.png``.

    An item is ``{"source": (3, size, size), "attacked": (3, size, size)}``, float32 RGB in [0, 1].
    Both images are resized (shorter side to ``size``) and center-cropped, each by its own size. An
    attacked crop therefore fits a source that is not cropped yet.

    Args:
        path: The JSON file, a shard, or a folder of shards.
        size: Side in pixels.

    Raises:
        FileNotFoundError: If there is no such file or folder, or a listed image is missing.
        ValueError: If the list is malformed or empty, or an image of a pair is missing in a shard.
    """

    def __init__(self, path: str, size: int = 512) -> None:
        self.path = Path(path)
        self.size = size
        if not self.path.exists():
            msg = f"{path}: no such pair list"
            raise FileNotFoundError(msg)
        sharded = self.path.is_dir() or self.path.suffix == ".tar"
        self.pairs = _read_shards(self.path) if sharded else _read_list(self.path)
        if not self.pairs:
            msg = f"{path}: the pair list is empty"
            raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        source, attacked = self.pairs[index]
        return {
            "source": center_crop_photo(source.open(), self.size).tensor(),
            "attacked": center_crop_photo(attacked.open(), self.size).tensor(),
        }


class WithPairs(Dataset[dict[str, Any]]):
    """Data set of images, each joined with a pair.

    Item ``(k, j)`` is image k with pair j. Item ``k`` is image k with pair k modulo their number.
    """

    def __init__(self, images: Dataset, pairs: Dataset) -> None:  # type: ignore[type-arg]
        self.images = images
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.images)  # type: ignore[arg-type]

    def __getitem__(self, index: int | tuple[int, int]) -> dict[str, Any]:
        if isinstance(index, tuple):
            image, pair = index
        else:
            image = index
            pair = index % len(self.pairs)  # type: ignore[arg-type]
        return self.images[image] | self.pairs[pair]


@dataclass(frozen=True)
class ListedPair:
    """Row of a JSON list of pairs."""

    source_path: str
    attacked_path: str


def _read_list(file: Path) -> list[Pair]:
    """Read a JSON list of pairs and check that its images exist."""
    schema = "expected a JSON list of objects with source_path and attacked_path"
    pairs: list[Pair] = []
    for row in read_json(file, list[ListedPair], schema):
        source = file.parent / row.source_path
        attacked = file.parent / row.attacked_path
        for path in (source, attacked):
            if not path.is_file():
                msg = (
                    f"{file}: {path} does not exist; make the pairs again with python -m rid pairs"
                )
                raise FileNotFoundError(msg)
        pairs.append((ImageInput.from_file(source), ImageInput.from_file(attacked)))
    return pairs


def _read_shards(path: Path) -> list[Pair]:
    """List the pairs of one shard, or of all shards of a folder."""
    pairs: list[Pair] = []
    for shard in sorted(path.glob("*.tar")) if path.is_dir() else [path]:
        members = {member.name: member for member in index_tar(shard)}
        for key in _pair_keys(members):
            source, attacked = (_pair_image(shard, members, key, suffix) for suffix in SUFFIXES)
            pairs.append((source, attacked))
    return pairs


def _pair_keys(names: dict[str, Member]) -> list[str]:
    """List the keys of complete and incomplete pairs, in file order."""
    keys: dict[str, None] = {}
    for name in names:
        for suffix in SUFFIXES:
            if name.endswith(suffix):
                keys[name.removesuffix(suffix)] = None
    return list(keys)


def _pair_image(shard: Path, members: dict[str, Member], key: str, suffix: str) -> ImageInput:
    """Return one image of a pair.

    Raises:
        ValueError: If the shard lacks it.
    """
    member = members.get(key + suffix)
    if member is None:
        msg = f"{shard}: {key} has no {SUFFIXES[suffix]} beside it, {key}{suffix}"
        raise ValueError(msg)
    return ImageInput(f"{shard.name}/{member.name}", shard, member)
