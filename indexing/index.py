"""A faiss index on disk, with the names of its entries and the extractor whose descriptors it holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from checkpoints.manifest import write_text
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
        index: Trained.
        names: One for each entry; an entry's id is its place.
        facts: ``factory``, ``metric``, ``extractor`` and ``training``.
    """

    def __init__(self, index: Any, names: list[str], facts: dict[str, Any]) -> None:
        self.index, self.names, self.facts = index, names, facts
        self._ids = {name: place for place, name in enumerate(names)}

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
        return self._ids[name]

    @classmethod
    def open(cls, folder: Path, mapped: bool = False) -> Self:
        """Open a folder that ``python -m indexing build`` wrote.

        Args:
            folder: The folder.
            mapped: Leave the lists of an IVF index on disk until they are searched.

        Raises:
            FileNotFoundError: If it is not one.
            ValueError: If it is damaged or not trained, or names and entries do not match.
        """
        facts = read_facts(folder)
        index = read_faiss(folder / INDEX, faiss.IO_FLAG_MMAP if mapped else 0)
        names = (folder / NAMES).read_text(encoding="utf-8", errors="surrogateescape").splitlines() if (folder / NAMES).is_file() else []
        if index.ntotal != len(names):
            msg = f"{folder}: {index.ntotal} entries and {len(names)} names; build the index again"
            raise ValueError(msg)
        return cls(index, names, facts)

    def save(self, folder: Path) -> None:
        """Write ``index.faiss``, ``names.txt`` and ``index.json``, each whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        write_faiss(self.index, folder / INDEX)
        beside = folder / f"{NAMES}.partial"
        beside.write_text("".join(f"{name}\n" for name in self.names), encoding="utf-8", errors="surrogateescape")
        beside.replace(folder / NAMES)
        write_facts(folder, self.facts | {"entries": len(self.names), "faiss": faiss.__version__})

    def add(self, features: Features, chunk: int = 65_536) -> None:
        """Insert descriptors, a part at a time.

        Raises:
            ValueError: If they are of another extractor or length, or a name is there already.
        """
        self.check(features.fingerprint, features.matrix.shape[1], "these features")
        twice = [name for name in features.names if name in self._ids]
        if twice or len(set(features.names)) < len(features.names):
            name = twice[0] if twice else next(name for name in features.names if features.names.count(name) > 1)
            msg = f"{name} would be in the index twice; add each picture once"
            raise ValueError(msg)
        for start in range(0, len(features), chunk):
            self.index.add(features.rows(start, start + chunk))
        self._ids |= {name: len(self.names) + place for place, name in enumerate(features.names)}
        self.names = self.names + features.names

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
