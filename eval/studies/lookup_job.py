"""Job of the copy-detection study: look-up of edited copies."""

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
from eval.studies.hash_database import PDQ, HashDatabase, packed
from eval.studies.renamed import RETRIEVAL_RENAMED
from images.inputs import ImageInput
from images.job import count_pixels
from images.transforms import Edit, RandomChain, edit_generator
from indexing.index import Index
from models.embedders import Embedder

BYTES_PER_PIXEL = 24
"""Memory per pixel of an image while it is edited."""

BYTES_PER_VIEW_PIXEL = 12
"""Memory per pixel of an edited view: three float32 channels."""

EDITS = "edits"
CHAINS = "chains"


@dataclass(frozen=True)
class Query:
    """An image to look up.

    Attributes:
        arm: Name of the arm; empty for distractors.
        file: The image.
        truth: Id of the entry that it shows; -1 for distractors.
        original: Name of the original image, which seeds the random edits.
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
    """Edits queries, looks up each copy, and saves the neighbors.

    Each query has a file with distances and ids, (edits, k) each. Random edits depend only on the
    seed, the original's name and the edit, so all arms have the same edits.

    Args:
        extractor: Embeds edited images.
        index: Index of the descriptors.
        edits: Edits of released images.
        chains: Look up random chains of edits as well. Distractors are looked up only after random
            chains.
        k: Number of neighbors, at least 1.
        seed: Seed of random edits.
        folder: Folder of the files.
        hashes: Hashes of the entries, to look copies up by PDQ as well; None without.
    """

    command = "eval retrieval"
    renamed = RETRIEVAL_RENAMED

    def __init__(
        self,
        extractor: Embedder,
        index: Index,
        edits: Sequence[Edit],
        chains: bool,
        k: int,
        seed: int,
        folder: Path,
        hashes: HashDatabase | None = None,
    ) -> None:
        self.extractor = extractor
        self.index = index
        self.k = k
        self.seed = seed
        self.folder = folder
        self.hashes = hashes
        self.edits: dict[str, list[Edit]] = {EDITS: list(edits)}
        if chains:
            self.edits[CHAINS] = [RandomChain()]

    def setup(self, process: Process) -> None:
        self.extractor.to(process.device, process.dtype)

    def input_bytes(self, source: Query) -> int:
        return count_pixels(source.file) * BYTES_PER_PIXEL + self.prepared_bytes(source)

    def prepared_bytes(self, source: Query) -> int:
        views = sum(map(len, self.edits.values()))
        return views * BYTES_PER_VIEW_PIXEL * self.extractor.preprocess.side**2

    def blocks(self, inputs: Sequence[Query], batch_size: int) -> list[list[int]]:
        return super().blocks([replace(query, group=query.arm) for query in inputs], batch_size)

    def prepare(self, source: Query) -> dict[str, Tensor]:
        rgb = source.file.open().on_white().rgb
        views = {}
        for kind, edits in self.edits.items():
            if source.arm or kind == CHAINS:
                edited = []
                for number, edit in enumerate(edits):
                    edited.append(edit(rgb, edit_generator(self.seed, source.original, number)))
                views[kind] = torch.stack([self.extractor.preprocess(one) for one in edited])
                if self.hashes is not None:
                    codes = np.stack([packed(one) for one in edited])
                    views[PDQ + kind] = torch.from_numpy(codes)
        return views

    @torch.inference_mode()
    def step(self, batch: Batch[Query, dict[str, Tensor]]) -> list[dict[str, NDArray[Any]]]:
        neighbors: list[dict[str, NDArray[Any]]] = [{} for _ in batch.inputs]
        for kind in batch.prepared[0]:
            # Embed all views of the batch together.
            views = torch.stack([prepared[kind] for prepared in batch.prepared])
            distances, ids = self._search(views.flatten(0, 1), kind)
            shape = (*views.shape[:2], self.k)
            for values, distance, number in zip(
                neighbors, distances.reshape(shape), ids.reshape(shape), strict=True
            ):
                values |= {f"{kind}.distances": distance, f"{kind}.ids": number}
        return neighbors

    def _search(self, views: Tensor, kind: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Search preprocessed images (N, 3, S, S), or hashes (N, 32)."""
        if kind.startswith(PDQ):
            assert self.hashes is not None
            sign = 1 if self.index.metric == "l2" else -1
            return self.hashes.search(views.numpy(), self.k, sign)
        vectors = self.extractor.embed_images(views).float().cpu().numpy()
        return self.index.search(vectors, self.k)

    def finish(
        self, prepared: dict[str, Tensor], result: dict[str, NDArray[Any]]
    ) -> dict[str, NDArray[Any]]:
        return result

    def write(self, source: Query, finished: dict[str, NDArray[Any]]) -> dict[str, Any]:
        arrays = {name: np.ascontiguousarray(values) for name, values in finished.items()}
        write_bytes(self.file(source), save(arrays))
        return {}

    def exists(self, source: Query, row: dict[str, Any]) -> bool:
        return self.file(source).is_file()

    def file(self, query: Query) -> Path:
        """Path of the neighbors of a query."""
        return self.folder / f"{query.name}.safetensors"

    def neighbors(
        self, queries: Sequence[Query], kind: str
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Load the neighbors of several queries.

        Args:
            queries: N queries.
            kind: ``edits`` or ``chains``, after ``pdq.`` for look-ups by hash.

        Returns:
            Distances and ids, (N, edits, k) each.
        """
        arrays = [load_file(self.file(query)) for query in queries]
        distances = np.stack([array[f"{kind}.distances"] for array in arrays])
        ids = np.stack([array[f"{kind}.ids"] for array in arrays])
        return distances, ids
