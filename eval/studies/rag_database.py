"""Database of the retrieval attack."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.devices import DeviceOptions
from engine.files import file_digest
from engine.job import JobOptions
from eval.attacks.rag.retriever import Method
from images.inputs import ImageInput, JobInputs, contents_digest, find_images
from images.overlap import refuse_overlap
from models.embed_job import embed_images
from models.embedders import Embedder
from models.store import VectorStore
from sentinels.record import Record
from sentinels.retrieve import read_captions

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Database:
    """Collection that the attacked system searches.

    Attributes:
        originals: Folder of the collection.
        embedder: clip, siglip, a folder or a Hub id.
        method: cosine, bm25, fusion or rerank.
        captions: JSON list with the collection's captions, for bm25 and fusion.
        size: Number of originals that are searched, the first ones, at most as many as there are;
            None for all.
        vectors: Folder of the vectors, for reuse; None puts it into the results.
        batch_size: Images embedded at a time.
        accelerator: Accelerator for embedding, as in Lightning: auto, cpu, gpu.
        refuses_keys: Do not search for queries with letters that are no word, as a thief may.

    Raises:
        ValueError: If size, batch size or accelerator is out of range, or captions are needed.
    """

    originals: Path
    embedder: str = "clip"
    method: Method = "cosine"
    captions: Path | None = None
    size: int | None = None
    vectors: Path | None = None
    batch_size: int = 32
    accelerator: str = "auto"
    refuses_keys: bool = False

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            msg = f"size must be at least 1, or null for all originals, got {self.size}"
            raise ValueError(msg)
        _ = self.options
        if self.method in ("bm25", "fusion") and self.captions is None:
            msg = f"method {self.method} searches captions: give --database.captions"
            raise ValueError(msg)

    @property
    def options(self) -> JobOptions:
        """Options of the embedding."""
        return JobOptions(DeviceOptions(self.accelerator), self.batch_size)

    def find(self, output: Path, planted: Record, sources: Iterable[str]) -> JobInputs:
        """Find the images of the collection.

        Args:
            output: Folder of the results.
            planted: Record of the sentinels.
            sources: Names of images, of which the collection must have one.

        Raises:
            ValueError: If results would lie in the collection or among the sentinels to publish, or
                overwrite them; or the collection has none of the named images, fewer than are to be
                searched.
        """
        found = find_images([self.originals])
        inputs = [self.originals, *planted.folders]
        for folder in (output, *([self.vectors] if self.vectors else [])):
            refuse_overlap(folder, inputs, [*found.images, *planted_images(planted)])
        if self.size is not None and self.size > len(found.images):
            msg = (
                f"size must be at most the {len(found.images)} images in {self.originals}, or null "
                f"for all, got {self.size}"
            )
            raise ValueError(msg)
        expected = set(sources)
        if expected and expected.isdisjoint(image.name for image in found.images):
            msg = (
                f"{self.originals}: none of the sentinels' {len(expected)} sources is in this "
                "folder; give the folder that they were planted in"
            )
            raise ValueError(msg)
        return found

    def check_captions(self, originals: JobInputs) -> None:
        """Refuse captions that are of no image of the collection; there must be a caption file.

        Raises:
            ValueError: If there is none with a caption.
        """
        if self.captions is not None:
            captioned = read_captions(self.captions).keys()
            if captioned.isdisjoint(image.name for image in originals.images):
                msg = f"{self.captions}: none of its captions is of an image in {self.originals}"
                raise ValueError(msg)

    def contents(self, record: Record, originals: JobInputs) -> dict[str, Any]:
        """Hash everything that is searched, for the settings of a run.

        Args:
            record: Record of the sentinels.
            originals: Images of the collection.
        """
        return {
            "record": {"file": str(record.file.resolve()), "sha256": file_digest(record.file)},
            "contents": {
                "originals": contents_digest(originals.images),
                "sentinels": contents_digest(planted_images(record)),
                "captions": file_digest(self.captions) if self.captions else None,
            },
        }


def planted_images(record: Record) -> list[ImageInput]:
    """List the images of a record's sentinels, under their published names."""
    return [ImageInput.from_file(path, sentinel.published) for _, sentinel, path in record.pairs()]


def open_stores(
    records: Mapping[str, Record],
    originals: JobInputs,
    database: Database,
    embedder: Embedder,
    output: Path,
) -> dict[str, VectorStore]:
    """Embed originals, sentinels and decoys, unless they are up to date.

    Args:
        records: Records of what is planted, by the name of its store.
        originals: Images of the collection.
        database: The collection.
        embedder: The open embedder.
        output: Folder of the results.

    Returns:
        Vectors by name: ``originals``, and the names of ``records``.

    Raises:
        ValueError: If the program runs in several processes.
    """
    folder = database.vectors or output / "vectors"
    inputs = {"originals": originals}
    inputs |= {name: JobInputs(planted_images(record)) for name, record in records.items()}
    stores = {}
    for name, images in inputs.items():
        report = embed_images(images, folder / name, embedder, "sentinels embed", database.options)
        if report is None:
            msg = "eval rag runs in one process; start it without torchrun or srun"
            raise ValueError(msg)
        for error in report.job.failed.values():
            logger.warning("not searched: %s", error)
        stores[name] = report.store
    return stores
