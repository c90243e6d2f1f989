"""Indices that activated images are optimized for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.files import file_digest
from indexing.activation_config import ActivationConfig
from indexing.faiss_files import read_faiss
from indexing.index import Index
from indexing.index_facts import TRAINED, index_files, read_facts
from indexing.targets import Kind, find_targets
from models.embedder_config import EmbedderConfig
from models.embedders import Embedder, open_embedder
from models.preprocessing import Preprocessing


@dataclass(frozen=True)
class TargetIndex:
    """An index that is to find the images.

    Attributes:
        trained: The trained faiss index; its entries do not matter.
        extractor: Network of its descriptors.
        facts: Content of its ``index.json``.
        digest: Sha256 of its file.
    """

    trained: Any
    extractor: Embedder
    facts: dict[str, Any]
    digest: str

    @property
    def view(self) -> Preprocessing:
        """Preprocessing of the extractor's input."""
        return self.extractor.preprocess

    def record(self) -> dict[str, Any]:
        """Return the index's entry in a manifest."""
        settings = {key: self.facts.get(key) for key in ("factory", "metric", "extractor")}
        return {"sha256": self.digest} | settings


def open_target_indices(
    folders: Sequence[Path],
    extractors: Sequence[EmbedderConfig],
) -> list[TargetIndex]:
    """Open indices with their extractors, each extractor once.

    Args:
        folders: Folders of the indices.
        extractors: One for all indices, or one for each.

    Raises:
        FileNotFoundError: If an index or extractor is missing.
        ValueError: If the numbers of indices and extractors do not match, an index was built with
            another extractor, or an extractor is not differentiable.
    """
    if len(extractors) not in (1, len(folders)):
        msg = (
            f"{len(folders)} indices and {len(extractors)} extractors: give one extractor for all, "
            "or one for each index"
        )
        raise ValueError(msg)
    opened = [open_embedder(config) for config in extractors]
    indices = []
    for number, folder in enumerate(folders):
        # extractor
        extractor = opened[number if len(opened) > 1 else 0]
        name = extractor.config.name
        if extractor.preprocess.on != "float":
            msg = (
                f"{name} resizes 8-bit values, which is not differentiable; activate for an index "
                "of another extractor"
            )
            raise ValueError(msg)
        # trained index; its entries are not needed
        facts = read_facts(folder)
        file = folder / TRAINED
        if not file.is_file():
            file = index_files(folder, facts)[0]
        trained = read_faiss(file, expected=facts.get("sha256", {}).get(file.name))
        index = Index(trained, [], facts)
        index.check(extractor.fingerprint, extractor.dimension, f"descriptors of {name}")
        indices.append(TargetIndex(trained, extractor, facts, file_digest(file)))
    return indices


def refuse_exact(
    indices: Sequence[TargetIndex],
    folders: Sequence[Path],
    kind: Kind,
    config: ActivationConfig,
) -> None:
    """Refuse indices without other targets than the descriptors, unless views are optimized.

    Args:
        indices: The indices.
        folders: Their folders, for the message.
        kind: Kind of targets.
        config: Settings of the optimization.

    Raises:
        ValueError: If an index has no such targets.
    """
    if config.views:
        return
    for index, folder in zip(indices, folders, strict=True):
        probe = np.random.default_rng(0).normal(size=(4, index.trained.d)).astype(np.float32)
        if find_targets(index.trained, probe, kind).kind == "feature":
            msg = (
                f"{folder}: {index.facts.get('factory')} stores exact descriptors, so a photo's "
                "only target is its own descriptor; set views to 4 or more to pull its edited "
                "copies there, or use an index with cells or codes"
            )
            raise ValueError(msg)
