"""Indices that activated images are optimized for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.files import file_digest
from indexing.activation_config import ActivationConfig
from indexing.entry_lookup import EntryLookup
from indexing.faiss_files import read_faiss
from indexing.index import Index
from indexing.index_facts import TRAINED, index_files, read_facts
from indexing.targets import Kind, find_targets
from models.embedder_config import EmbedderConfig
from models.embedders import Embedder, open_embedder


@dataclass(frozen=True)
class TargetIndex:
    """An index that is to find the images.

    Attributes:
        label: Its folder's name, with as many parents as make it unique.
        folder: Its folder.
        trained: The trained faiss index; its entries do not matter.
        lookup: Search of the index with its entries.
        extractor: Network of its descriptors.
        digest: Sha256 of its file.
    """

    label: str
    folder: Path
    trained: Any
    lookup: EntryLookup
    extractor: Embedder
    digest: str

    @property
    def facts(self) -> dict[str, Any]:
        """Content of ``index.json``."""
        return self.lookup.filled.facts

    def record(self) -> dict[str, Any]:
        """Return the index's entry in a manifest."""
        settings = {key: self.facts.get(key) for key in ("factory", "metric", "extractor")}
        return {"sha256": self.digest} | settings


def recorded_extractor(folder: Path, trust_torchscript: bool = False) -> EmbedderConfig:
    """Return the extractor that an index was built with.

    Args:
        folder: Folder of the index.
        trust_torchscript: Allow running the code of a TorchScript file.

    Raises:
        FileNotFoundError: If there is no index.
        ValueError: If it does not record its extractor.
    """
    record = read_facts(folder).get("extractor", {})
    if not record.get("name"):
        msg = f"{folder}: this index does not record its extractor; name it with --extractor.name"
        raise ValueError(msg)
    return EmbedderConfig.from_record(record, trust_torchscript)


def open_target_indices(
    folders: Sequence[Path], extractors: Sequence[EmbedderConfig]
) -> list[TargetIndex]:
    """Open indices with their extractors, each extractor once, in the order of their labels.

    Args:
        folders: Folders of the indices.
        extractors: One for all indices, or one for each.

    Raises:
        FileNotFoundError: If an index or extractor is missing.
        ValueError: If the numbers of indices and extractors do not match, an index is given twice
            or was built with another extractor, or an extractor is not differentiable.
    """
    if len(extractors) not in (1, len(folders)):
        msg = (
            f"{len(folders)} indices and {len(extractors)} extractors: give one extractor for all, "
            "or one for each index"
        )
        raise ValueError(msg)
    configs = extractors if len(extractors) > 1 else [extractors[0]] * len(folders)
    opened: dict[EmbedderConfig, Embedder] = {}
    indices = []
    for folder, label, config in zip(folders, _labels(folders), configs, strict=True):
        if config not in opened:
            opened[config] = _open_differentiable(config)
        indices.append(_open_index(folder, label, opened[config]))
    return sorted(indices, key=lambda index: index.label)


def _labels(folders: Sequence[Path]) -> list[str]:
    """Name folders by their last parts, as few as make the names unique."""
    places = [folder.resolve() for folder in folders]
    if len(set(places)) < len(places):
        twice = next(str(folder) for folder in folders if places.count(folder.resolve()) > 1)
        msg = f"{twice} is given twice; give each index once"
        raise ValueError(msg)
    for length in range(1, max(len(place.parts) for place in places) + 1):
        labels = ["/".join(place.parts[-length:]) for place in places]
        if len(set(labels)) == len(labels):
            break
    return labels


def _open_differentiable(config: EmbedderConfig) -> Embedder:
    extractor = open_embedder(config)
    if extractor.preprocess.on != "float":
        msg = (
            f"{config.name} resizes 8-bit values, which is not differentiable; activate for an "
            "index of another extractor"
        )
        raise ValueError(msg)
    return extractor


def _open_index(folder: Path, label: str, extractor: Embedder) -> TargetIndex:
    # its entries are read from disk when they are searched
    filled = Index.open(folder, mapped=True)
    filled.check(
        extractor.fingerprint, extractor.dimension, f"descriptors of {extractor.config.name}"
    )
    file = folder / TRAINED
    if not file.is_file():
        file = index_files(folder, filled.facts)[0]
    trained = read_faiss(file, expected=filled.facts.get("sha256", {}).get(file.name))
    lookup = EntryLookup(filled, trained)
    return TargetIndex(label, folder, trained, lookup, extractor, file_digest(file))


def refuse_exact(indices: Sequence[TargetIndex], kind: Kind, config: ActivationConfig) -> None:
    """Refuse indices without other targets than the descriptors, unless views are optimized.

    Args:
        indices: The indices.
        kind: Kind of targets.
        config: Settings of the optimization.

    Raises:
        ValueError: If an index has no such targets.
    """
    if config.views:
        return
    for index in indices:
        probe = np.random.default_rng(0).normal(size=(4, index.trained.d)).astype(np.float32)
        try:
            found = find_targets(index.trained, probe, kind)
        except ValueError as error:
            msg = f"{index.folder}: {error}"
            raise ValueError(msg) from error
        if found.kind == "feature":
            msg = (
                f"{index.folder}: {index.facts.get('factory')} stores exact descriptors, so a "
                "photo's only target is its own descriptor; set views to 4 or more to pull its "
                "edited copies there, or use an index with cells or codes"
            )
            raise ValueError(msg)
