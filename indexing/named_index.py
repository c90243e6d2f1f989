"""faiss index with named entries, and its files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from checkpoints.folders import project_path
from engine.file_sets import write_set
from engine.files import check_digest, file_digest, read_lines, write_text
from indexing.entries import DIGESTS, Entries, Inserted, digests_of, read_digests, write_digests
from indexing.faiss_files import REMEDY, is_joined, joined, map_flags, read_faiss, write_part
from indexing.index_facts import FACTS, NAMES, TRAINED, facts_text, index_files, read_facts
from indexing.similarity import Similarity, code_bits, similarity_kind
from indexing.strangers import STRANGERS, Strangers, read_strangers
from models.search import Metric, Neighbors, check_comparable, faiss_errors
from models.store import VectorStore, check_name

CHUNK = 65_536
"""Most descriptors inserted at once."""


class NamedIndex:
    """A faiss index with named entries.

    An entry's id never changes.

    Args:
        index: Trained faiss index; an ``IndexShards`` if it is in several files.
        names: One name per id; empty for removed entries.
        facts: Content of ``index.json``: ``factory``, ``metric``, ``extractor`` and ``training``.

    Attributes:
        entries: Names and digests of the entries.
        strangers: Strangers that verdicts are calibrated on; None for an index without threshold.
    """

    def __init__(self, index: Any, names: list[str], facts: dict[str, Any]) -> None:
        self.index = index
        self.entries = Entries(names)
        self.facts = facts
        self.strangers: Strangers | None = None

    @property
    def dimension(self) -> int:
        """Length of a descriptor."""
        return int(self.index.d)

    @property
    def metric(self) -> Metric:
        """Metric: ``l2``, smaller is nearer; ``ip``, larger is nearer."""
        return "ip" if self.index.metric_type == faiss.METRIC_INNER_PRODUCT else "l2"

    @property
    def names(self) -> list[str]:
        """Name of each id; empty for removed entries."""
        return self.entries.names

    def __len__(self) -> int:
        return len(self.entries)

    def id_of(self, name: str) -> int:
        """Return the id of an entry, which never changes.

        Raises:
            KeyError: If no entry has this name.
        """
        return self.entries.ids()[name]

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
        flags = map_flags(str(facts.get("factory"))) if mapped else 0
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
        # Read what earlier versions did not write.
        opened = cls(index, names, facts)
        known = facts.get("sha256", {})
        if DIGESTS in known:
            check_digest(folder / DIGESTS, sums.get(DIGESTS), REMEDY)
            opened.entries.digests = read_digests(folder / DIGESTS, len(names))
        if STRANGERS in known and "threshold" in facts:
            check_digest(folder / STRANGERS, sums.get(STRANGERS), REMEDY)
            opened.strangers = read_strangers(folder / STRANGERS, facts["threshold"])
            opened.check("", opened.strangers.vectors.shape[1], f"those of {folder / STRANGERS}")
            try:
                opened.tune(opened.strangers.parameters)
            except ValueError as error:
                msg = f"{folder / FACTS}: {error}; {REMEDY}"
                raise ValueError(msg) from error
        return opened

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
        # Collect the files beside the parts.
        self.facts = {key: value for key, value in self.facts.items() if key != "threshold"}
        facts = self.facts | {"entries": len(self), "faiss": faiss.__version__}
        lines = "".join(f"{name}\n" for name in self.names)
        writers = writers | {NAMES: lambda target: write_text(target, lines)}
        if self.entries.digests is not None:
            writers[DIGESTS] = partial(write_digests, digests=self.entries.digests)
        if self.strangers is not None:
            writers[STRANGERS] = self.strangers.write
            facts["threshold"] = self.strangers.record()

        def facts_with(sums: dict[str, str]) -> str:
            return facts_text(facts | {"sha256": digests | sums})

        write_set(folder, writers, FACTS, facts_with)
        stale = set(folder.glob("index*.faiss")) - set(files)
        for file in stale | {folder / name for name in {DIGESTS, STRANGERS} - set(writers)}:
            file.unlink(missing_ok=True)

    def admit(self, features: VectorStore, known: set[str] | None = None) -> None:
        """Check descriptors before their insertion.

        Args:
            features: The descriptors.
            known: Names that are taken, to which theirs are added; those of the entries if None.

        Raises:
            ValueError: If the extractor or length differs, or a name is taken or has a line break.
        """
        self.check(features.fingerprint, features.dimension, "these features")
        known = set(self.names) if known is None else known
        for name in features.names:
            check_name(name)
            if name in known:
                msg = f"{name} would be in the index twice; add each image once"
                raise ValueError(msg)
            known.add(name)

    def insert(
        self, features: VectorStore, rows: NDArray[np.int64], chunk: int = CHUNK
    ) -> Inserted:
        """Insert rows of a store in chunks, unchecked; a sharded index gets them in its last file.

        Args:
            features: The store.
            rows: The rows, ascending.
            chunk: Rows read at once.

        Raises:
            ValueError: If a descriptor is not finite.
        """
        first = len(self.names)
        digests = [np.zeros(0, np.uint64)]
        for start in range(0, len(features) if len(rows) else 0, chunk):
            begin, end = np.searchsorted(rows, (start, start + chunk))
            vectors = features.rows(start, start + chunk)[rows[begin:end] - start]
            with faiss_errors(f"the index {self.facts.get('factory', '')} takes no such entries"):
                self.parts[-1].add(np.ascontiguousarray(vectors))
            digests.append(digests_of(vectors))
        if is_joined(self.index):
            self.index.syncWithSubIndexes()
        self.entries.append([features.names[row] for row in rows], np.concatenate(digests))
        return Inserted(features, rows, np.arange(first, len(self.names)))

    @property
    def compares_values(self) -> bool:
        """Return False if the index compares bits, as LSH does."""
        return code_bits(self.parts[0]) == 0

    def similarity(self, descriptors: NDArray[np.float32]) -> Similarity:
        """Return the conversion of distances to similarities.

        Args:
            descriptors: (N, D) some descriptors, from which the kind of an index of an earlier
                version is derived.
        """
        if bits := code_bits(self.parts[0]):
            return Similarity("equal bits", bits)
        kind = self.facts.get("similarity") or similarity_kind(self.metric, descriptors)
        return Similarity(kind)

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
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        most = max(1, self.index.ntotal)
        asked = k
        while True:
            with faiss_errors(f"the index {self.facts.get('factory', '')} cannot be searched"):
                distances, ids = self.index.search(queries, asked)
            if not len(self.entries.removed):
                return distances, ids
            # Ask for more until each query has k entries that are not removed, or all there are.
            live = self.entries.is_live(ids)
            is_complete = (live.sum(axis=1) >= k) | (ids[:, -1] < 0)
            if is_complete.all() or asked >= most:
                break
            asked = min(2 * asked, max(most, k))
        order = np.argsort(~live, axis=1, kind="stable")[:, :k]
        ids = np.where(live, ids, -1)
        return np.take_along_axis(distances, order, 1), np.take_along_axis(ids, order, 1)

    def tune(self, parameters: str) -> None:
        """Set faiss's search parameters; see :meth:`search`."""
        if not parameters:
            return
        factory = self.facts.get("factory", "")
        fault = f"the index {factory} does not take the search parameters '{parameters}'"
        with faiss_errors(fault):
            # faiss's stub lacks this overload.
            faiss.ParameterSpace().set_index_parameters(self.index, parameters)  # type: ignore[arg-type]
