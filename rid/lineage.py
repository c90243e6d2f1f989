"""Lineage: the models that a generator was trained against."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from checkpoints.folders import model_path
from datamodules.pairs import PairList, WithPairs
from engine.manifest import read_manifest

Fingerprint = dict[str, Any]
"""Name of a model and the sha256 of its weight files; see :func:`engine.manifest.fingerprint`."""

RECORD = "made_against"
"""Key of the lineage in a generator's ``manifest.json``."""


@dataclass(frozen=True)
class Lineage:
    """Models that a protection was trained against.

    Attributes:
        models: Their fingerprints.
        complete: False if a record is missing, so that there may be others.
    """

    models: list[Fingerprint]
    complete: bool

    def __add__(self, other: Lineage) -> Lineage:
        known = [model["sha256"] for model in self.models]
        new = [model for model in other.models if model["sha256"] not in known]
        return Lineage(self.models + new, self.complete and other.complete)

    def record(self) -> dict[str, Any]:
        """Return the lineage as a manifest entry."""
        return {RECORD: asdict(self)}


NOTHING = Lineage([], complete=True)
UNKNOWN = Lineage([], complete=False)


def lineage_of(generator: str) -> Lineage:
    """Read the models that a generator was trained against.

    They include, as far as recorded, those of the generators it was initialized from.

    Args:
        generator: Folder, checkpoint, registry name or Hub id.
    """
    place = model_path(generator)
    manifest = read_manifest(place) if place.is_dir() else None
    if manifest is None:
        return UNKNOWN
    if isinstance(record := manifest.get(RECORD), dict):
        return Lineage(fingerprints(record.get("models")), record.get("complete") is True)
    # manifests of version 0.1 record neither the models of the pairs nor the initial generator
    settings = manifest.get("settings")
    uses_surrogates = isinstance(settings, dict) and settings.get("sds_weight", 1) != 0
    models = fingerprints(manifest.get("surrogates")) if uses_surrogates else []
    return Lineage(models, complete=False)


def lineage_of_pairs(pairs: Path) -> Lineage:
    """Read the models that training pairs were attacked with.

    Args:
        pairs: List of pairs, or folder of their shards.
    """
    manifest = read_manifest(pairs if pairs.is_dir() else pairs.parent)
    settings = {} if manifest is None else manifest.get("settings")
    models = fingerprints(settings.get("weights") if isinstance(settings, dict) else None)
    return Lineage(models, complete=bool(models))


def lineage_of_training_data(train: Any) -> Lineage:
    """Read the models that a training set's pairs were attacked with.

    Args:
        train: Training set of pairs; of any other, the models are unknown.
    """
    pairs = train.pairs if isinstance(train, WithPairs) else train
    return lineage_of_pairs(pairs.path) if isinstance(pairs, PairList) else UNKNOWN


def fingerprints(values: Any) -> list[Fingerprint]:
    """Select the valid fingerprints of a record."""
    if not isinstance(values, Iterable):
        return []
    return [value for value in values if is_fingerprint(value)]


def is_fingerprint(value: Any) -> bool:
    """Return True if a value is a fingerprint."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("name"), str)
        and isinstance(value.get("sha256"), dict)
    )
