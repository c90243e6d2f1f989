"""Choice of the source images, and recovery of sentinels planted before."""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.files import write_text
from engine.journal import Entry, join_journals, read_journal
from engine.records import read_json
from images.inputs import ImageInput
from sentinels.plant_config import PlantConfig
from sentinels.record import Record, Sentinel


@dataclass(frozen=True)
class ChosenSources:
    """The file ``sources.json``.

    Attributes:
        seed: Seed of keys, places and names.
        sources: Names of the chosen images.
    """

    seed: int
    sources: list[str]


def choose_sources(
    photos: dict[str, ImageInput], config: PlantConfig, file: Path
) -> tuple[list[ImageInput], int]:
    """Choose the sources of a job; a resumed job keeps its choice.

    Args:
        photos: Images of the collection, by name.
        config: Count, order and seed.
        file: ``sources.json``, which is read if it exists, and written.

    Returns:
        The sources in order of their names, and the seed.

    Raises:
        ValueError: If ``file`` is damaged, or a chosen image is missing.
    """
    if file.is_file():
        remedy = "put a copy of it back, or plant into another folder"
        stored = read_json(file, ChosenSources, remedy)
        names = stored.sources
        seed = stored.seed
    else:
        seed = secrets.randbits(128) if config.seed is None else config.seed
        names = _choose_names(sorted(photos), config, seed)
    missing = [name for name in names if name not in photos]
    if missing:
        msg = f"the source {missing[0]} is missing: put it back, or plant into another folder"
        raise ValueError(msg)
    write_text(file, json.dumps(asdict(ChosenSources(seed, names)), indent=1) + "\n")
    return [photos[name] for name in names], seed


def _choose_names(names: Sequence[str], config: PlantConfig, seed: int) -> list[str]:
    """Return ``config.count`` of the sorted names, sorted."""
    if config.order == "first":
        return list(names[: config.count])
    return sorted(random.Random(f"{seed}/sources").sample(names, config.count))


def adopt_recorded(output: Path, sources: Sequence[ImageInput], record: Record) -> None:
    """Add sentinels to the journal that only the record lists.

    They come from an earlier version, or from a batch that was stopped.

    Args:
        output: Folder of the journal.
        sources: Chosen sources.
        record: Record in that folder.
    """
    journal = read_journal(output)
    for source in sources:
        sentinel = record.sentinels.get(source.name)
        entry = journal.get(source.name)
        if sentinel is not None and (entry is None or entry.error):
            journal[source.name] = _journal_entry(source, sentinel)
    join_journals(output, journal.values())


def _journal_entry(source: ImageInput, sentinel: Sentinel) -> Entry:
    """Return the journal's entry of a recorded sentinel.

    A source that has changed since gets the modification time 0, so that it is planted again.
    """
    current = source.digest()
    digest = str(sentinel.provenance.get("source_sha256") or current)
    mtime_ns = source.mtime_ns if digest == current else 0
    row = {"sentinel": sentinel.generated}
    return Entry(source.name, source.size, mtime_ns, digest, row)
