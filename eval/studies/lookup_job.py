"""Looking edited copies of images up in an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save
from torch import Tensor

from engine.devices import Process
from engine.files import write_bytes
from engine.job import Batch, Job
from images.inputs import ImageInput
from images.job import count_pixels
from images.transforms import Edit, RandomChain, RGBImage, edit_generator
from indexing.index import Index
from models.embedders import Embedder

BYTES_PER_PIXEL = 24
"""Memory that an image takes while it is edited."""


@dataclass(frozen=True)
class Query:
    """An image to look up.

    Attributes:
        arm: What it was released in; empty for strangers.
        file: The image.
        truth: The entry it shows; -1 for strangers.
        original: Name of the image it is made of, which seeds its random edits.
        group: Unused; see :class:`engine.job.Input`.
    """

    arm: str
    file: ImageInput
    truth: int
    original: str
    group: str = ""

    @property
    def name(self) -> str:
        return f"arms/{self.arm}/{self.original}" if self.arm else f"strangers/{self.original}"

    @property
    def size(self) -> int:
        return self.file.size

    @property
    def mtime_ns(self) -> int:
        return self.file.mtime_ns

    def digest(self) -> str:
        return self.file.digest()


class LookUpJob(Job[Query, dict[str, Tensor], dict[str, NDArray[Any]], dict[str, NDArray[Any]]]):
    """Edits queries, looks each up, and keeps distances and ids, (edits, k) each, in a file of its own.

    Random edits depend on the seed, the original's name and the edit alone, so that all arms meet the same ones.

    Args:
        extractor: Describes an edited image.
        index: Where descriptors are looked up.
        edits: What is done to a released image.
        chains: Look random chains up, too; of strangers they are all that is looked up.
        k: Neighbours kept.
        seed: Of random edits.
        folder: Of the files.
    """

    command = "eval retrieval"

    def __init__(
        self,
        extractor: Embedder,
        index: Index,
        edits: Sequence[Edit],
        chains: bool,
        k: int,
        seed: int,
        folder: Path,
    ) -> None:
        self.extractor, self.index, self.k, self.seed, self.folder = (
            extractor,
            index,
            k,
            seed,
            folder,
        )
        self.edits = {"edits": list(edits)} | ({"chains": [RandomChain()]} if chains else {})

    def setup(self, process: Process) -> None:
        self.extractor.to(process.device, process.dtype)

    def input_bytes(self, source: Query) -> int:
        return count_pixels(source.file) * BYTES_PER_PIXEL + self.prepared_bytes(source)

    def prepared_bytes(self, source: Query) -> int:
        return sum(map(len, self.edits.values())) * 12 * self.extractor.preprocess.side**2

    def blocks(self, inputs: Sequence[Query], batch_size: int) -> list[list[int]]:
        return super().blocks([replace(query, group=query.arm) for query in inputs], batch_size)

    def prepare(self, source: Query) -> dict[str, Tensor]:
        rgb = source.file.open().rgb
        return {
            kind: self._views(rgb, source.original, edits)
            for kind, edits in self.edits.items()
            if source.arm or kind == "chains"
        }

    def _views(self, rgb: RGBImage, name: str, edits: Sequence[Edit]) -> Tensor:
        """An image as the extractor sees it after each edit, (edits, 3, S, S)."""
        edited = [
            edit(rgb, edit_generator(self.seed, name, number)) for number, edit in enumerate(edits)
        ]
        return torch.stack([self.extractor.preprocess(one) for one in edited])

    @torch.inference_mode()
    def step(self, batch: Batch[Query, dict[str, Tensor]]) -> list[dict[str, NDArray[Any]]]:
        found: list[dict[str, NDArray[Any]]] = [{} for _ in batch.inputs]
        for kind in batch.prepared[0]:
            views = torch.stack([one[kind] for one in batch.prepared])
            described = self.extractor.embed_images(views.flatten(0, 1)).float().cpu().numpy()
            shape = (*views.shape[:2], self.k)
            distances, ids = (
                values.reshape(shape) for values in self.index.search(described, self.k)
            )
            for place, one in enumerate(found):
                one |= {f"{kind}.distances": distances[place], f"{kind}.ids": ids[place]}
        return found

    def finish(
        self, prepared: dict[str, Tensor], result: dict[str, NDArray[Any]]
    ) -> dict[str, NDArray[Any]]:
        return result

    def write(self, source: Query, finished: dict[str, NDArray[Any]]) -> dict[str, Any]:
        write_bytes(
            self.file(source),
            save({name: np.ascontiguousarray(values) for name, values in finished.items()}),
        )
        return {}

    def exists(self, source: Query, row: dict[str, Any]) -> bool:
        return self.file(source).is_file()

    def file(self, query: Query) -> Path:
        """Where it is kept what was found for a query."""
        return self.folder / f"{query.name}.safetensors"

    def found(
        self, queries: Sequence[Query], kind: str
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Distances and ids of several queries, (N, edits, k) each, of ``edits`` or ``chains``."""
        kept = [load_file(self.file(query)) for query in queries]
        return np.stack([one[f"{kind}.distances"] for one in kept]), np.stack(
            [one[f"{kind}.ids"] for one in kept]
        )
