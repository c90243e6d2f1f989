"""Pairs of a picture and its gradient-attacked version, for RID's regression term."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from images.shards import Entry, open_picture, read_entries
from images.transforms.geometry import center_crop_photo

Place = tuple[Path, Entry | None]
"""A picture file, or a shard and the entry in it that is one."""


class PairList(Dataset[dict[str, Tensor]]):
    """Pairs from a JSON file, or from WebDataset shards.

    The file is ``[{"source_path": ..., "attacked_path": ...}, ...]``, paths relative to it or absolute; shards hold
    ``KEY.source.png`` and ``KEY.attacked.png``. Both pictures of a pair are resized (shorter side to ``size``) and
    centre-cropped, each by its own size, so that an attacked crop fits a source that was not cropped yet.

    Args:
        path: The JSON file, a shard, or a folder of shards.
        size: Side in pixels.

    Raises:
        FileNotFoundError: If there is no such file or folder.
        ValueError: If it is not such a list, or empty.
    """

    def __init__(self, path: str, size: int = 512) -> None:
        self.path, self.size = Path(path), size
        if not self.path.exists():
            msg = f"{path}: no such pair list"
            raise FileNotFoundError(msg)
        sharded = self.path.is_dir() or self.path.suffix == ".tar"
        self.pairs: list[tuple[Place, Place]] = _from_shards(self.path) if sharded else _from_json(self.path)
        if not self.pairs:
            msg = f"{path}: the pair list is empty"
            raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """``source`` and ``attacked``, (3, size, size) in [0, 1]."""
        source, attacked = (center_crop_photo(open_picture(*place), self.size).tensor() for place in self.pairs[index])
        return {"source": source, "attacked": attacked}


class WithPairs(Dataset[dict[str, Any]]):
    """A picture data set with pairs beside it: item ``(k, j)`` is picture k with pair j, item ``k`` has pair k modulo their number."""

    def __init__(self, images: Dataset, pairs: Dataset) -> None:
        self.images, self.pairs = images, pairs

    def __len__(self) -> int:
        return len(self.images)  # type: ignore[arg-type]

    def __getitem__(self, index: int | tuple[int, int]) -> dict[str, Any]:
        picture, pair = index if isinstance(index, tuple) else (index, index % len(self.pairs))  # type: ignore[arg-type]
        return self.images[picture] | self.pairs[pair]


def _from_json(file: Path) -> list[tuple[Place, Place]]:
    try:
        rows = json.loads(file.read_text())
        return [((file.parent / row["source_path"], None), (file.parent / row["attacked_path"], None)) for row in rows]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        msg = f"{file}: expected a JSON list of objects with source_path and attacked_path ({error!r})"
        raise ValueError(msg) from error


def _from_shards(path: Path) -> list[tuple[Place, Place]]:
    pairs: list[tuple[Place, Place]] = []
    for shard in sorted(path.glob("*.tar")) if path.is_dir() else [path]:
        entries = {entry.name: entry for entry in read_entries(shard)}
        for name, entry in entries.items():
            if name.endswith(".source.png"):
                attacked = entries.get(name.removesuffix(".source.png") + ".attacked.png")
                if attacked is None:
                    msg = f"{shard}: {name} has no attacked version beside it"
                    raise ValueError(msg)
                pairs.append(((shard, entry), (shard, attacked)))
    return pairs
