"""Models that a generator was made against, from the records that training runs and pair jobs leave."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from checkpoints.folders import model_place
from engine.manifest import read_manifest

Fingerprint = dict[str, Any]
"""Name of a model, and the sha256 of each of its weight files; see :func:`engine.manifest.fingerprint`."""

RECORD = "made_against"
"""Key of a generator's manifest."""


@dataclass(frozen=True)
class Lineage:
    """Models that a protection was made against.

    Attributes:
        models: Their fingerprints.
        complete: False if there may be others, because a record is missing.
    """

    models: list[Fingerprint]
    complete: bool

    def __add__(self, other: Lineage) -> Lineage:
        new = [model for model in other.models if model["sha256"] not in [known["sha256"] for known in self.models]]
        return Lineage(self.models + new, self.complete and other.complete)

    def record(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        return {RECORD: asdict(self)}


NOTHING = Lineage([], complete=True)
UNKNOWN = Lineage([], complete=False)


def lineage_of(generator: str) -> Lineage:
    """Read what a generator was made against: by its own training and, as far as recorded, by all before it.

    Args:
        generator: Folder, checkpoint, registry name or Hub id.
    """
    place = model_place(generator)
    manifest = read_manifest(place) if place.is_dir() else None
    if manifest is None:
        return UNKNOWN
    if isinstance(stated := manifest.get(RECORD), dict):
        return Lineage(fingerprints(stated.get("models")), stated.get("complete") is True)
    settings = manifest.get("settings")
    used = isinstance(settings, dict) and settings.get("sds_weight", 1) != 0
    # runs of version 0.1 record neither the pairs' models nor the generator they started from
    return Lineage(fingerprints(manifest.get("surrogates")) if used else [], complete=False)


def lineage_of_pairs(pairs: Path) -> Lineage:
    """Read which models a list of pairs, or a folder of their shards, was made against."""
    manifest = read_manifest(pairs if pairs.is_dir() else pairs.parent)
    settings = {} if manifest is None else manifest.get("settings")
    models = fingerprints(settings.get("weights") if isinstance(settings, dict) else None)
    return Lineage(models, complete=bool(models))


def fingerprints(values: Any) -> list[Fingerprint]:
    """Those of a record's values that are fingerprints."""

    def sound(value: Any) -> bool:
        return isinstance(value, dict) and isinstance(value.get("name"), str) and isinstance(value.get("sha256"), dict)

    return [value for value in values if sound(value)] if isinstance(values, Iterable) else []
