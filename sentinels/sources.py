"""Choice of the sources."""

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
from sentinels.record import Record


@dataclass(frozen=True)
class Sources:
    """The file ``sources.json``: names of the chosen sources, and the seed that keys and names are drawn from."""

    seed: int
    sources: list[str]


def choose_sources(
    photos: dict[str, ImageInput], config: PlantConfig, file: Path
) -> tuple[list[ImageInput], int]:
    """The sources of a job and its seed, the same after a stop."""
    if file.is_file():
        kept = read_json(file, Sources, "put a copy of it back, or plant into another folder")
        names, seed = kept.sources, kept.seed
    else:
        seed = secrets.randbits(128) if config.seed is None else config.seed
        rng = random.Random(f"{seed}/sources")
        names = (
            sorted(photos)[: config.count]
            if config.order == "first"
            else sorted(rng.sample(sorted(photos), config.count))
        )
    if gone := [name for name in names if name not in photos]:
        msg = f"{gone[0]} was chosen as a source and is gone: put it back, or plant into another folder"
        raise ValueError(msg)
    write_text(file, json.dumps(asdict(Sources(seed, names)), indent=1) + "\n")
    return [photos[name] for name in names], seed


def adopt_recorded(output: Path, chosen: Sequence[ImageInput], record: Record) -> None:
    """Put into the journal what the record alone knows of: sentinels of an earlier version, or of a batch that was stopped."""
    journal = read_journal(output)
    for photo in chosen:
        sentinel, entry = record.sentinels.get(photo.name), journal.get(photo.name)
        if sentinel is not None and (entry is None or entry.error):
            now = photo.digest()
            digest = str(sentinel.provenance.get("source_sha256") or now)
            mtime_ns = photo.mtime_ns if digest == now else 0  # it has changed since
            journal[photo.name] = Entry(
                photo.name, photo.size, mtime_ns, digest, {"sentinel": sentinel.generated}
            )
    join_journals(output, journal.values())
