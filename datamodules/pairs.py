"""Pictures beside pairs of a source and its gradient-attacked version, for the regression term."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from datamodules.images import centre_square, open_photo


class PairList(Dataset[dict[str, Tensor]]):
    """Pairs listed in a JSON file: ``[{"source_path": ..., "attacked_path": ...}, ...]``, relative to the file or absolute.

    Both pictures of a pair are resized (shorter side to ``size``) and centre-cropped alike.

    Args:
        path: The JSON file.
        size: Side in pixels.

    Raises:
        FileNotFoundError: If the list is missing.
        ValueError: If it is not such a list, or empty.
    """

    def __init__(self, path: str, size: int = 512) -> None:
        self.file, self.size = Path(path), size
        if not self.file.is_file():
            msg = f"{path}: no such pair list"
            raise FileNotFoundError(msg)
        try:
            rows = json.loads(self.file.read_text())
            self.pairs = [(self.file.parent / row["source_path"], self.file.parent / row["attacked_path"]) for row in rows]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            msg = f"{path}: expected a JSON list of objects with source_path and attacked_path ({error!r})"
            raise ValueError(msg) from error
        if not self.pairs:
            msg = f"{path}: the pair list is empty"
            raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """``source`` and ``attacked``, (3, size, size) in [0, 1].

        Raises:
            ValueError: If the two pictures differ in size.
        """
        source, attacked = (open_photo(path).tensor() for path in self.pairs[index])
        if source.shape != attacked.shape:
            msg = f"{self.pairs[index][1]} is not the size of its source {self.pairs[index][0]}: attack the same crop that is listed"
            raise ValueError(msg)
        return {"source": centre_square(source, self.size), "attacked": centre_square(attacked, self.size)}


class WithPairs(Dataset[dict[str, Any]]):
    """A picture data set with a pair beside every picture: picture k comes with pair k modulo the number of pairs."""

    def __init__(self, images: Dataset, pairs: Dataset) -> None:
        self.images, self.pairs = images, pairs

    def __len__(self) -> int:
        return len(self.images)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.images[index] | self.pairs[index % len(self.pairs)]  # type: ignore[arg-type]
