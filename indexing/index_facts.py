"""Files of an index, and the facts in its ``index.json``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import msgspec

from engine.file_sets import move_staged_files
from engine.files import write_text
from engine.records import read_json, to_json
from indexing.faiss_files import REMEDY
from indexing.similarity import Kind
from models.search import Metric

FORMAT = 1
INDEX = "index.faiss"
TRAINED = "trained.faiss"
NAMES = "names.txt"
FACTS = "index.json"


class ThresholdFacts(TypedDict):
    """Calibration on strangers; see :meth:`indexing.strangers.Strangers.record`."""

    source: Literal["index", "background"]
    strangers: int
    normalizers: int
    excluded: int
    parameters: str
    date: str
    bounds: str
    thresholds: dict[str, float | None]


class IndexFacts(TypedDict, total=False):
    """Content of ``index.json``.

    ``sha256`` holds the digests of the folder's other files, ``extractor`` the embedder's record.
    """

    format: int
    factory: str
    metric: Metric
    extractor: dict[str, Any]
    training: Any
    similarity: Kind
    threshold: ThresholdFacts
    shards: Annotated[int, msgspec.Meta(ge=1, le=65_536)]
    entries: int
    faiss: str
    sha256: dict[str, str]


def index_files(folder: Path, facts: Mapping[str, Any]) -> list[Path]:
    """List the files of an index: ``index.faiss``, or its shards."""
    count = int(facts.get("shards", 1))
    if count == 1:
        return [folder / INDEX]
    return [folder / f"index-{number:05d}-of-{count:05d}.faiss" for number in range(count)]


def read_facts(folder: Path) -> dict[str, Any]:
    """Read ``index.json`` of an index's folder.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is damaged or of another format.
    """
    file = folder / FACTS
    if not file.is_file():
        msg = f"{folder}: no index here ({FACTS} is missing); python -m indexing build makes one"
        raise FileNotFoundError(msg)
    facts = read_json(file, IndexFacts, REMEDY)
    if facts.get("format") != FORMAT:
        msg = f"{file}: not an index of this project (format {FORMAT}); {REMEDY}"
        raise ValueError(msg)
    move_staged_files(folder, facts.get("sha256", {}))
    return dict(facts)


def write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write ``index.json``."""
    write_text(folder / FACTS, facts_text(facts))


def facts_text(facts: Mapping[str, Any]) -> str:
    """Format the content of ``index.json``."""
    return to_json({"format": FORMAT} | dict(facts))
