"""The pages of a human test: plain HTML without scripts, from one small web server, with nothing fetched from elsewhere."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import uvicorn

from engine.files import file_digest
from engine.manifest import claim
from eval.human.admission import PER_ADDRESS
from eval.human.application import application
from eval.human.design import Design
from eval.human.pictures import PictureSource, prepare_all
from eval.human.store import Store

logger = logging.getLogger(__name__)


def prepare_study(design: Design, pictures: PictureSource, output: Path, seed: int) -> Store:
    """Make the study's folder: served pictures and an empty database; one that is there already goes on.

    Raises:
        ValueError: If the folder holds another study, or the pictures do not suffice.
        FileNotFoundError: If pictures are missing.
    """
    stimuli = pictures.stimuli()
    design.check(stimuli)
    listed = [
        [str(found.file), file_digest(found.file), found.label, found.category, found.item]
        for found in stimuli
    ]
    settings = {"design": vars(design), "seed": seed, "pictures": listed}
    begun = claim(output, "python -m eval study", settings)
    store = Store(output / "study.sqlite")
    if not store.file.is_file():
        own = list(
            dict.fromkeys(found.reference for found in stimuli if found.reference is not None)
        )
        try:
            prepare_all(
                [*(found.file for found in stimuli), *own],
                output / "pictures",
                design.size,
                design.codec,
            )
        except (ValueError, OSError):
            if not begun:  # what cannot be prepared is set right and tried again in the same folder
                shutil.rmtree(output)
            raise
        store.create(
            stimuli,
            [
                None if found.reference is None else len(stimuli) + own.index(found.reference)
                for found in stimuli
            ],
        )
    return store


def serve(
    design: Design,
    pictures: PictureSource,
    output: Path,
    seed: int = 0,
    host: str = "127.0.0.1",
    port: int = 8000,
    per_address: int = PER_ADDRESS,
) -> None:
    """Serve a study until it is stopped; answers are kept as they come, and the next start goes on.

    Args:
        design: What is asked.
        pictures: What is judged.
        output: Folder of the database and the served pictures.
        seed: Of every draw.
        host: Address to listen on; only this machine can reach the default.
        port: Port to listen on.
        per_address: Participants from one network address within an hour; more for a room of people behind one address, 0 for any.
    """
    app = application(
        design, prepare_study(design, pictures, output, seed), output, seed, host, per_address
    )
    logger.info(
        "%s: http://%s:%s/  (Ctrl-C stops; answers are kept in %s)",
        design.title,
        host,
        port,
        output,
    )
    uvicorn.run(
        app, host=host, port=port, log_level="warning", access_log=False, server_header=False
    )  # addresses are pages of people
