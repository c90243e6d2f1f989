"""A faiss index on disk, with the names of its entries and the extractor whose descriptors it holds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from engine.files import write_text
from indexing.features import Features

FORMAT = 1
INDEX, TRAINED, NAMES, FACTS = "index.faiss", "trained.faiss", "names.txt", "index.json"

Metric = Literal["l2", "ip"]
METRICS = {"l2": faiss.METRIC_L2, "ip": faiss.METRIC_INNER_PRODUCT}

faiss.omp_set_num_threads(torch.get_num_threads())  # each library would take all cores, and they would wait for one another


@contextmanager
def told(what: str) -> Iterator[None]:
    """Errors of faiss, whose first line names one of its source files, as one line that says what was tried."""
    try:
        yield
    except RuntimeError as error:
        words = str(error).split("Error: ")[-1].strip().split("\n")[0]
        msg = f"{what}: {words}"
        raise ValueError(msg) from error


class Index:
    """A faiss index, the name of each entry, and what is known of it.

    Args:
        index: Trained; an ``IndexShards`` if it is in several files.
        names: One for each entry; an entry's id is its place.
        facts: ``factory``, ``metric``, ``extractor`` and ``training``.
    """

    def __init__(self, index: Any, names: list[str], facts: dict[str, Any]) -> None:
        self.index, self.names, self.facts = index, names, facts
        self._ids: dict[str, int] = {}

    @property
    def dimension(self) -> int:
        """Length of a descriptor."""
        return int(self.index.d)

    @property
    def metric(self) -> Metric:
        """``l2``: smaller is nearer; ``ip``: larger is nearer."""
        return "ip" if self.index.metric_type == faiss.METRIC_INNER_PRODUCT else "l2"

    def __len__(self) -> int:
        return len(self.names)

    def id_of(self, name: str) -> int:
        """Id of an entry.

        Raises:
            KeyError: If there is none of this name.
        """
        if len(self._ids) < len(self.names):  # made when it is first asked for: with millions of names it takes its memory
            self._ids = {name: place for place, name in enumerate(self.names)}
        return self._ids[name]

    @property
    def parts(self) -> list[Any]:
        """The faiss indices it consists of, one for each file."""
        whole = self.index
        return [faiss.downcast_index(whole.at(n)) for n in range(whole.count())] if is_joined(whole) else [whole]

    @classmethod
    def open(cls, folder: Path, mapped: bool = False) -> Self:
        """Open a folder that ``python -m indexing build`` wrote.

        Args:
            folder: The folder.
            mapped: Leave the cells of an IVF index, and the descriptors or codes of others, on disk until they are searched.

        Raises:
            FileNotFoundError: If it is not one.
            ValueError: If it is damaged or not trained, or names and entries do not match.
        """
        facts = read_facts(folder)
        of_kind = faiss.IO_FLAG_MMAP if "IVF" in str(facts.get("factory")) else faiss.IO_FLAG_MMAP_IFC
        parts = [read_faiss(file, of_kind if mapped else 0) for file in index_files(folder, facts)]
        index = parts[0] if len(parts) == 1 else joined(parts)
        names = (folder / NAMES).read_text(encoding="utf-8", errors="surrogateescape").splitlines() if (folder / NAMES).is_file() else []
        if index.ntotal != len(names):
            msg = f"{folder}: {index.ntotal} entries and {len(names)} names; build the index again"
            raise ValueError(msg)
        return cls(index, names, facts)

    def save(self, folder: Path) -> None:
        """Write ``index.faiss`` (or its shards), ``names.txt`` and ``index.json``, each whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        parts = self.parts
        self.facts = self.facts | {"shards": len(parts)}
        for part, file in zip(parts, index_files(folder, self.facts), strict=True):
            write_faiss(part, file)
        self.save_names(folder)

    def save_names(self, folder: Path) -> None:
        """Write what goes with the index's files."""
        beside = folder / f"{NAMES}.partial"
        with beside.open("w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.writelines(f"{name}\n" for name in self.names)
        beside.replace(folder / NAMES)
        write_facts(folder, self.facts | {"entries": len(self.names), "faiss": faiss.__version__})
        for stale in set(folder.glob("index*.faiss")) - set(index_files(folder, self.facts)):
            stale.unlink()

    def add(self, features: Features, chunk: int = 65_536) -> None:
        """Insert descriptors, a part at a time; where the index is in several files, into the last.

        Raises:
            ValueError: If they are of another extractor or length, or a name is there already.
        """
        names = self.admit(features)
        for start in range(0, len(features), chunk):
            self.parts[-1].add(features.rows(start, start + chunk))
        if is_joined(self.index):
            self.index.syncWithSubIndexes()
        self.names = names

    def admit(self, features: Features) -> list[str]:
        """All names once these descriptors are inserted.

        Raises:
            ValueError: If they are of another extractor or length, or a name is there already.
        """
        self.check(features.fingerprint, features.matrix.shape[1], "these features")
        known = set(self.names)
        for name in features.names:
            if name in known:
                msg = f"{name} would be in the index twice; add each picture once"
                raise ValueError(msg)
            known.add(name)
        return self.names + features.names

    def check(self, fingerprint: str, dimension: int, what: str) -> None:
        """Refuse descriptors that cannot be compared with the index's.

        Raises:
            ValueError: If their length or their extractor is another.
        """
        if dimension != self.dimension:
            msg = f"{what} have {dimension} values each, the index's descriptors {self.dimension}; use the extractor it was built with"
            raise ValueError(msg)
        own = self.facts.get("extractor", {})
        if fingerprint and own.get("fingerprint") and fingerprint != own["fingerprint"]:
            msg = (
                f"{what} are of another extractor than the index, which was built with {own.get('name')} (size {own.get('size')}, "
                f"antialias {own.get('antialias')}, unit {own.get('unit')}); distances between the two mean nothing"
            )
            raise ValueError(msg)

    def search(self, queries: NDArray[np.float32], k: int, parameters: str = "") -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The nearest entries of each query.

        Args:
            queries: (N, D).
            k: How many.
            parameters: faiss's own search parameters, such as ``nprobe=16`` or ``efSearch=64``; works on any index that has them.

        Returns:
            Distances (squared L2, ascending, or inner products, descending) and ids, (N, k) each; ids of -1 where nothing was found.

        Raises:
            ValueError: If the index has no such parameter.
        """
        if k < 1:
            msg = f"at least one neighbour must be asked for, got {k}"
            raise ValueError(msg)
        self.tune(parameters)
        return self.index.search(np.ascontiguousarray(queries, dtype=np.float32), k)

    def tune(self, parameters: str) -> None:
        """Set faiss's search parameters; see :meth:`search`."""
        if parameters:
            with told(f"the index {self.facts.get('factory', '')} does not take the search parameters '{parameters}'"):
                faiss.ParameterSpace().set_index_parameters(self.index, parameters)  # type: ignore[arg-type]  # its stub knows another overload alone


def index_files(folder: Path, facts: Mapping[str, Any]) -> list[Path]:
    """The files of an index: ``index.faiss``, or its shards."""
    count = int(facts.get("shards", 1))
    return [folder / INDEX] if count == 1 else [folder / f"index-{place:05d}-of-{count:05d}.faiss" for place in range(count)]


def joined(parts: Sequence[Any]) -> Any:
    """Several indices as one, whose ids go on from part to part."""
    shards = faiss.IndexShards(parts[0].d, torch.get_num_threads() > 1, True)  # type: ignore[call-arg]  # its stub knows another overload alone
    for part in parts:
        shards.add_shard(part)
    return shards


def is_joined(index: Any) -> bool:
    """Whether it is one of :func:`joined`."""
    return isinstance(index, faiss.IndexShards)


def read_faiss(file: Path, flags: int = 0) -> Any:
    """A faiss file, opened.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged or not trained.
    """
    if not file.is_file():
        msg = f"{file}: no such index; python -m indexing build makes one"
        raise FileNotFoundError(msg)
    with told(f"{file} is damaged or not an index; build it again"):
        index = faiss.read_index(str(file), flags)
    if not index.is_trained:
        msg = f"{file}: this index is not trained; build it with training features"
        raise ValueError(msg)
    return index


def write_faiss(index: Any, file: Path) -> None:
    """Write beside its place, then move it there."""
    beside = file.with_name(file.name + ".partial")
    faiss.write_index(index, str(beside))
    beside.replace(file)


def read_facts(folder: Path) -> dict[str, Any]:
    """``index.json`` of an index's folder.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is of another kind.
    """
    file = folder / FACTS
    if not file.is_file():
        msg = f"{folder}: no index here ({FACTS} is missing); python -m indexing build makes one"
        raise FileNotFoundError(msg)
    try:
        facts = json.loads(file.read_text())
    except json.JSONDecodeError as error:
        msg = f"{file}: damaged ({error}); build the index again"
        raise ValueError(msg) from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        msg = f"{file}: not of this project's indices (format {FORMAT}); build the index again"
        raise ValueError(msg)
    return facts


def write_facts(folder: Path, facts: dict[str, Any]) -> None:
    """Write ``index.json``."""
    write_text(folder / FACTS, json.dumps({"format": FORMAT} | facts, indent=2, default=str) + "\n")


def make_index(factory: str, dimension: int, metric: Metric) -> Any:
    """An empty, untrained index.

    Raises:
        ValueError: If faiss knows no such string, or not for descriptors of this length.
    """
    with told(f"faiss makes no index of '{factory}' for descriptors of {dimension} values"):
        return faiss.index_factory(dimension, factory, METRICS[metric])
