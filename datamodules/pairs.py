"""Pairs of a picture and its gradient-attacked version, for RID's regression term."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from engine.records import read_json
from images.archives import index_tar
from images.inputs import ImageInput
from images.transforms.geometry import center_crop_photo

Pair = tuple[ImageInput, ImageInput]
ENDINGS = (".source.png", ".attacked.png")
"""Of the two images of a pair in a shard."""


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
        self.pairs = _from_shards(self.path) if sharded else _from_json(self.path)
        if not self.pairs:
            msg = f"{path}: the pair list is empty"
            raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """``source`` and ``attacked``, (3, size, size) in [0, 1]."""
        source, attacked = (
            center_crop_photo(image.open(), self.size).tensor() for image in self.pairs[index]
        )
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


@dataclass(frozen=True)
class ListedPair:
    """A row of a JSON list of pairs."""

    source_path: str
    attacked_path: str


def _from_json(file: Path) -> list[Pair]:
    rows = read_json(
        file, list[ListedPair], "expected a JSON list of objects with source_path and attacked_path"
    )
    paths = [(file.parent / row.source_path, file.parent / row.attacked_path) for row in rows]
    if missing := next((path for pair in paths for path in pair if not path.is_file()), None):
        msg = f"{file}: {missing} does not exist; make the pairs again with python -m rid pairs"
        raise FileNotFoundError(msg)
    return [
        (ImageInput.from_file(source), ImageInput.from_file(attacked)) for source, attacked in paths
    ]


def _from_shards(path: Path) -> list[Pair]:
    pairs: list[Pair] = []
    for shard in sorted(path.glob("*.tar")) if path.is_dir() else [path]:
        entries = {member.name: member for member in index_tar(shard)}
        names = {
            name.removesuffix(ending): None
            for name in entries
            for ending in ENDINGS
            if name.endswith(ending)
        }
        for name in names:
            members = [entries.get(name + ending) for ending in ENDINGS]
            for member, ending, other in zip(
                members, ENDINGS, ("source", "attacked version"), strict=True
            ):
                if member is None:
                    msg = f"{shard}: {name} has no {other} beside it, {name}{ending}"
                    raise ValueError(msg)
            source, attacked = (
                ImageInput(f"{shard.name}/{member.name}", shard, member)
                for member in members
                if member
            )
            pairs.append((source, attacked))
    return pairs
