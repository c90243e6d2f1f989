"""Index on disk: faiss index, entry names and extractor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from checkpoints.folders import project_path
from engine.file_sets import write_set
from engine.files import check_digest, file_digest, read_lines, write_text
from images.given import Images, given_images
from indexing.faiss_files import REMEDY, is_joined, joined, read_faiss, write_part
from indexing.index_facts import FACTS, NAMES, TRAINED, facts_text, index_files, read_facts
from indexing.matches import Match, match_queries
from models.embedder_config import EmbedderConfig
from models.embedders import Embedder, open_embedder
from models.search import Metric, Neighbors, check_comparable, faiss_errors
from models.store import VectorStore, check_name


class Index:
    """A faiss index with named entries.

    Args:
        index: Trained faiss index; an ``IndexShards`` if it is in several files.
        names: One name per entry; an entry's id is its position.
        facts: Content of ``index.json``: ``factory``, ``metric``, ``extractor`` and ``training``.
    """

    def __init__(self, index: Any, names: list[str], facts: dict[str, Any]) -> None:
        self.index = index
        self.names = names
        self.facts = facts
        self._ids: dict[str, int] = {}

    @property
    def dimension(self) -> int:
        """Length of a descriptor."""
        return int(self.index.d)

    @property
    def metric(self) -> Metric:
        """Metric: ``l2``, smaller is nearer; ``ip``, larger is nearer."""
        return "ip" if self.index.metric_type == faiss.METRIC_INNER_PRODUCT else "l2"

    def __len__(self) -> int:
        return len(self.names)

    def id_of(self, name: str) -> int:
        """Return the id of an entry.

        Raises:
            KeyError: If no entry has this name.
        """
        # The table takes memory, so it is built on first use.
        if len(self._ids) < len(self.names):
            self._ids = {name: number for number, name in enumerate(self.names)}
        return self._ids[name]

    @property
    def parts(self) -> list[Any]:
        """Parts of the faiss index, one per file."""
        if not is_joined(self.index):
            return [self.index]
        count = self.index.count()
        return [faiss.downcast_index(self.index.at(number)) for number in range(count)]

    @classmethod
    def open(cls, folder: Path | str, mapped: bool = False, verify: bool = True) -> Self:
        """Open an index that ``python -m indexing build`` wrote.

        Args:
            folder: The folder.
            mapped: Memory-map the cells of an IVF index, or the descriptors or codes of others.
            verify: Compare the files' sha256 with the record, which reads them once.

        Raises:
            FileNotFoundError: If the folder holds no index.
            ValueError: If the index is damaged or not trained, or the numbers of names and entries
                differ.
        """
        folder = project_path(folder)
        facts = read_facts(folder)
        # Read the files, memory-mapped or not.
        flags = 0
        if mapped:
            is_ivf = "IVF" in str(facts.get("factory"))
            flags = faiss.IO_FLAG_MMAP if is_ivf else faiss.IO_FLAG_MMAP_IFC
        sums = facts.get("sha256", {}) if verify else {}
        parts = []
        for file in index_files(folder, facts):
            parts.append(read_faiss(file, flags, sums.get(file.name)))
        index = parts[0] if len(parts) == 1 else joined(parts)
        # Read the names.
        check_digest(folder / NAMES, sums.get(NAMES), REMEDY)
        names = read_lines(folder / NAMES)
        if index.ntotal != len(names):
            msg = f"{folder}: {index.ntotal} entries and {len(names)} names; build the index again"
            raise ValueError(msg)
        return cls(index, names, facts)

    def save(self, folder: Path) -> None:
        """Write ``index.faiss`` or its shards, and ``names.txt`` and ``index.json``, atomically."""
        parts = self.parts
        self.facts = self.facts | {"shards": len(parts)}
        files = index_files(folder, self.facts)
        writers: dict[str, Callable[[Path], None]] = {}
        for part, file in zip(parts, files, strict=True):
            writers[file.name] = partial(write_part, part, file)
        self._save(folder, writers)

    def save_names(self, folder: Path) -> None:
        """Write names and facts beside existing index files."""
        self._save(folder, {})

    def _save(self, folder: Path, writers: dict[str, Callable[[Path], None]]) -> None:
        """Write files of the index by name, with names and facts; hash the existing others."""
        files = index_files(folder, self.facts)
        digests = {}
        for file in (folder / TRAINED, *files):
            if file.name not in writers and file.is_file():
                digests[file.name] = file_digest(file)
        facts = self.facts | {"entries": len(self.names), "faiss": faiss.__version__}
        lines = "".join(f"{name}\n" for name in self.names)
        names = {NAMES: lambda target: write_text(target, lines)}

        def facts_with(sums: dict[str, str]) -> str:
            return facts_text(facts | {"sha256": digests | sums})

        write_set(folder, writers | names, FACTS, facts_with)
        for stale in set(folder.glob("index*.faiss")) - set(files):
            stale.unlink()

    def add(self, features: VectorStore, chunk: int = 65_536) -> None:
        """Insert descriptors in chunks.

        A sharded index gets them in its last file.

        Raises:
            ValueError: If the extractor or length differs, or a name is in the index already.
        """
        names = self.admit(features)
        for start in range(0, len(features), chunk):
            with faiss_errors(f"the index {self.facts.get('factory', '')} takes no such entries"):
                self.parts[-1].add(features.rows(start, start + chunk))
        if is_joined(self.index):
            self.index.syncWithSubIndexes()
        self.names = names

    def admit(self, features: VectorStore) -> list[str]:
        """Check descriptors and return all names after their insertion.

        Raises:
            ValueError: If the extractor or length differs, or a name is in the index already.
        """
        self.check(features.fingerprint, features.dimension, "these features")
        known = set(self.names)
        for name in features.names:
            check_name(name)
            if name in known:
                msg = f"{name} would be in the index twice; add each image once"
                raise ValueError(msg)
            known.add(name)
        return self.names + features.names

    def check(self, fingerprint: str, dimension: int, what: str) -> None:
        """Check that descriptors are comparable with the index's.

        Args:
            fingerprint: Fingerprint of their extractor; empty if unknown.
            dimension: Their length.
            what: Their name in the message.

        Raises:
            ValueError: If the length or the extractor differs.
        """
        record = self.facts.get("extractor", {})
        check_comparable(record, self.dimension, fingerprint, dimension, what)

    def search(self, queries: NDArray[np.float32], k: int, parameters: str = "") -> Neighbors:
        """Search the nearest entries of each query.

        Args:
            queries: (N, D).
            k: Entries per query, at least 1.
            parameters: faiss's search parameters, such as ``nprobe=16`` or ``efSearch=64``.

        Returns:
            Distances (squared L2, ascending, or inner products, descending) and ids, (N, k) each;
            an id of -1 means that no entry was found.

        Raises:
            ValueError: If ``k`` is below 1, or the index has no such parameter.
        """
        if k < 1:
            msg = f"at least 1 neighbor must be asked for, got {k}"
            raise ValueError(msg)
        self.tune(parameters)
        with faiss_errors(f"the index {self.facts.get('factory', '')} cannot be searched"):
            return self.index.search(np.ascontiguousarray(queries, dtype=np.float32), k)

    @cached_property
    def embedder(self) -> Embedder:
        """Network of the index's descriptors; assign another instance to change its device.

        Raises:
            FileNotFoundError: If the network is missing.
            ValueError: If the index does not record its network, or the network is a TorchScript
                program; open a program you trust with ``open_embedder`` and assign it.
        """
        return open_embedder(EmbedderConfig.from_record(self.facts.get("extractor", {})))

    def describe(self, images: Images) -> VectorStore:
        """Compute descriptors of images, in memory; arguments and errors as of :meth:`find`."""
        given = given_images(images)
        rgb = [image.photo.rgb for image in given]
        names = [image.name for image in given]
        vectors = np.zeros((0, self.dimension), np.float32)
        if rgb:
            vectors = self.embedder.embed_arrays(rgb).numpy()
        described = VectorStore(vectors, names, self.embedder.record())
        self.check(described.fingerprint, described.dimension, "these images' descriptors")
        return described

    def find(self, images: Images, k: int = 10, parameters: str = "") -> list[list[Match]]:
        """Search the entries that images are copies of.

        Args:
            images: One or several: paths, Pillow images, (H, W, 3) uint8 arrays, or tensors
                (3, H, W) or (B, 3, H, W) in [0, 1].
            k: Matches per image.
            parameters: faiss's search parameters; see :meth:`search`.

        Returns:
            Matches of each image, by rank.

        Raises:
            FileNotFoundError: If the index's network is missing.
            UnreadableImage: If an image cannot be decoded.
            ValueError: If an image has another shape or range, or the index has no such parameter.
        """
        queries = self.describe(images)
        return match_queries(self, queries.names, queries.matrix, k, parameters)

    def add_images(self, names: Sequence[str], images: Images) -> None:
        """Insert images in memory; :meth:`save` writes them.

        Args:
            names: One name per image.
            images: As for :meth:`find`.

        Raises:
            ValueError: If a name is in the index already, or the numbers differ; otherwise as of
                :meth:`find`.
        """
        described = self.describe(images)
        if len(names) != len(described):
            msg = f"{len(names)} names for {len(described)} images; give one for each"
            raise ValueError(msg)
        self.add(VectorStore(described.matrix, list(names), described.embedder))

    def tune(self, parameters: str) -> None:
        """Set faiss's search parameters; see :meth:`search`."""
        if not parameters:
            return
        factory = self.facts.get("factory", "")
        fault = f"the index {factory} does not take the search parameters '{parameters}'"
        with faiss_errors(fault):
            # faiss's stub lacks this overload.
            faiss.ParameterSpace().set_index_parameters(self.index, parameters)  # type: ignore[arg-type]
