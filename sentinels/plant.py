"""``python -m sentinels plant``: choose sources, draw keys, make sentinels, check each, and record it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from engine.devices import first_process
from engine.files import locked
from engine.job import JobOptions, Report
from engine.manifest import claim
from engine.run_job import run_job
from images.inputs import find_images
from images.overlap import refuse_overlap
from sentinels.client import Client
from sentinels.describe import DESCRIPTION_PROMPT
from sentinels.plant_config import PlantConfig
from sentinels.plant_job import Letters, PlantJob
from sentinels.planters import Planter
from sentinels.record import Record
from sentinels.sources import adopt_recorded, choose_sources


def plant(
    inputs: Path,
    output: Path,
    planter: Planter,
    config: PlantConfig,
    letters: Letters | None,
    client: Client | None = None,
) -> Report | None:
    """Plant sentinels; in a folder with a stopped job's it goes on.

    Args:
        inputs: Folder of the collection, flat or nested.
        output: Folder of ``record.json`` and ``images/``; apart from the collection.
        planter: How sentinels are made.
        config: What is planted.
        letters: Reads what is written in a candidate; unread candidates are taken if None.
        client: The service that planter and reader ask, if they do.

    Returns:
        The outcome; None on every process but the first, which does the work alone.

    Raises:
        FileNotFoundError: If there are no images.
        RunEnds: If the service refuses the key, or the limit is reached; what was made so far is kept.
        ValueError: If there are too few images, or the folder holds another job.
    """
    if not first_process():
        return None
    found = find_images([inputs])
    photos = [photo for photo in found.images if photo.member is None]
    refuse_overlap(output, [inputs], found.images)
    if len(photos) < config.count:
        msg = f"{config.count} sentinels need as many sources, there are {len(photos)}: lower count"
        raise ValueError(msg)
    settings = {"inputs": str(inputs.resolve()), "config": asdict(config)} | planter.settings()
    with locked(output):
        claim(output, PlantJob.command, settings)
        chosen, seed = choose_sources(
            {photo.name: photo for photo in photos}, config, output / "sources.json"
        )
        record = (
            Record.open(output / "record.json")
            if (output / "record.json").is_file()
            else Record(output / "record.json")
        )
        adopt_recorded(output, chosen, record)
    if settings.get("planter") != "local":
        record.description_prompt = DESCRIPTION_PROMPT
    record.provenance = settings | {"key_length": config.key_length}
    job = PlantJob(
        chosen,
        {Path(photo.name).name for photo in photos},
        seed,
        planter,
        config,
        letters,
        client,
        record,
    )
    passed_over = {
        photo.group: "a tar file; sources are files of their own"
        for photo in found.images
        if photo.member is not None
    }
    options = JobOptions(batch_size=config.concurrency, alone=True)
    facts = {"keys_read_back": letters is not None}
    return run_job(
        job,
        chosen,
        output,
        settings,
        options,
        skipped=found.skipped | found.failed | passed_over,
        facts=facts,
    )
