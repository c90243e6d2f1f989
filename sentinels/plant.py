"""Planting of sentinels: choose sources, draw keys, make and check sentinels, record them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.devices import is_first_process
from engine.files import locked, private_files
from engine.job import JobOptions, Report
from engine.manifest import claim
from engine.run_job import run_job
from images.inputs import find_images
from images.overlap import refuse_overlap
from sentinels.client import Client
from sentinels.describe import DESCRIPTION_PROMPT
from sentinels.keys import KeyMaker, Keys
from sentinels.plant_config import PlantConfig
from sentinels.plant_job import PlantJob
from sentinels.planters import Planter
from sentinels.reader import AsyncReader
from sentinels.record import Record
from sentinels.sources import adopt_recorded, choose_sources
from sentinels.word_keys import Grammar, WordKeyMaker

__all__ = ["PlantConfig", "plant"]


@private_files()
def plant(
    inputs: Path,
    output: Path,
    planter: Planter,
    config: PlantConfig,
    reader: AsyncReader | None,
    client: Client | None = None,
    read_by: dict[str, Any] | None = None,
) -> Report | None:
    """Plant sentinels, or resume planting in the folder of a stopped job.

    Args:
        inputs: Folder of the collection, flat or nested.
        output: Folder of ``record.json`` and ``images/``, outside the collection. Only its owner
            may read what is secret.
        planter: Maker of sentinels.
        config: Settings.
        reader: Reads the letters of a candidate; None accepts candidates unread.
        client: Service that planter and reader use, if they do.
        read_by: Identity of the reader, for the manifest.

    Returns:
        The outcome; None on every process but the first, which does all the work.

    Raises:
        FileNotFoundError: If there are no images.
        RunEnds: If the service rejects the API key, or the request limit is reached; all finished
            sentinels are kept.
        ValueError: If the collection is no folder or has too few image files, or the output folder
            holds another job.
    """
    if not is_first_process():
        return None
    # Find the images that can be sources.
    if inputs.is_file():
        msg = f"{inputs}: a file; sources are image files in a folder: give the collection's folder"
        raise ValueError(msg)
    images = find_images([inputs])
    photos = [photo for photo in images.images if photo.member is None]
    refuse_overlap(output, [inputs], images.images)
    if not photos:
        remedy = "unpack these, since sources are files of their own"
        msg = f"{inputs}: the images of this folder are in tar files; {remedy}"
        raise ValueError(msg)
    if len(photos) < config.count:
        msg = f"{config.count} sentinels need as many sources, there are {len(photos)}: lower count"
        raise ValueError(msg)
    # Claim the folder, and choose the sources or read the earlier choice.
    settings = {"inputs": str(inputs.resolve()), "config": config.settings()} | planter.settings()
    with locked(output):
        claim(output, PlantJob.command, settings)
        photos_by_name = {photo.name: photo for photo in photos}
        sources, seed = choose_sources(photos_by_name, config, output / "sources.json")
        record = Record.open_or_new(output / "record.json")
        adopt_recorded(output, sources, record)
        for file in output.iterdir():  # of earlier versions
            if file.is_file():
                file.chmod(0o600)
    if settings.get("planter") != "local":
        record.description_prompt = DESCRIPTION_PROMPT
    keys = key_maker(config, planter, seed)
    record.provenance = settings | keys.facts()
    # Plant, and report images that cannot be sources as skipped.
    job = PlantJob(
        sources=sources,
        seed=seed,
        keys=keys,
        planter=planter,
        config=config,
        reader=reader,
        client=client,
        record=record,
    )
    in_archives = {
        photo.group: "a tar file; sources are files of their own"
        for photo in images.images
        if photo.member is not None
    }
    return run_job(
        job,
        sources,
        output,
        settings,
        JobOptions(batch_size=config.concurrency, alone=True),
        skipped=images.skipped | images.failed | in_archives,
        facts={"keys_read_back": reader is not None, "reader": read_by},
    )


def key_maker(config: PlantConfig, planter: Planter, seed: int) -> Keys:
    """Create the maker of a job's keys.

    Args:
        config: Kind, length and distance of the keys.
        planter: Planter, which limits the words of keys.
        seed: Secret seed of the job.

    Raises:
        ValueError: If length, number or distance is out of range.
    """
    if config.key_kind == "letters":
        return KeyMaker(config.key_length, config.distance, seed)
    grammar = Grammar.draw(planter.vocabulary, seed, config.things)
    return WordKeyMaker(grammar, config.distance, seed)
