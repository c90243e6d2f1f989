"""``python -m eval study``: the server of a human test."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import uvicorn

from engine.files import file_digest, locked
from engine.manifest import claim, write_manifest
from eval.human.application import MAX_PER_ADDRESS, application
from eval.human.choice import left_out
from eval.human.design import Design
from eval.human.pictures import SERVED, ImageSource, Stimulus, prepare_all
from eval.human.store import Store
from eval.web.listening import configuration, listen, url_of
from images.inputs import ImageInput
from images.overlap import refuse_overlap

logger = logging.getLogger(__name__)

COMMAND = "python -m eval study"


def prepare_study(design: Design, pictures: ImageSource, output: Path, seed: int) -> Store:
    """Prepare the served images and an empty database, unless they exist.

    Images that nobody can be asked about are named in warnings and in the manifest.

    Args:
        design: The study.
        pictures: The images to judge.
        output: The study's folder.
        seed: Seed of the participants' questions.

    Raises:
        ValueError: If the folder holds another study or overlaps with the images, or there are too
            few images.
        FileNotFoundError: If images are missing.
    """
    store = Store(output / "study.sqlite")
    if not store.file.is_file():
        design.check_words()
    given = pictures.stimuli()
    shown_files = [one.file for one in given] + [one.reference for one in given if one.reference]
    inputs = [ImageInput.from_file(file) for file in dict.fromkeys(shown_files)]
    refuse_overlap(output, pictures.roots, inputs)
    design.check_labels(given)
    digests = {one.file: file_digest(one.file) for one in given}
    reasons = left_out(design, given, digests)
    stimuli = [one for one in given if one.file not in reasons]
    for file, reason in reasons.items():
        logger.warning("left out: %s: %s", file, reason)
    design.check_number(stimuli)
    listed = [
        [str(one.file), digests[one.file], one.label, one.category, one.item] for one in given
    ]
    settings = {"design": vars(design), "seed": seed, "pictures": listed}
    begun = claim(output, COMMAND, settings)
    write_manifest(
        output,
        command=COMMAND,
        finished=False,
        settings=settings,
        given=len(given),
        left_out={str(file): reason for file, reason in reasons.items()},
    )
    if store.file.is_file():
        check_served(store, output / SERVED)
        return store

    # Prepare stimuli first, then references, each once.
    references = list(dict.fromkeys(one.reference for one in stimuli if one.reference is not None))
    files = [one.file for one in stimuli] + references
    try:
        prepare_all(files, output / SERVED, design.size, design.codec)
    except BaseException:
        # Let the user correct the images and try again in the same folder, after Ctrl-C as well.
        if not begun:
            shutil.rmtree(output)
        raise

    def reference_index(stimulus: Stimulus) -> int | None:
        if stimulus.reference is None:
            return None
        return len(stimuli) + references.index(stimulus.reference)

    store.create(stimuli, [reference_index(one) for one in stimuli])
    return store


def check_served(store: Store, folder: Path) -> None:
    """Check that the served images are there.

    Raises:
        FileNotFoundError: If one is missing.
    """
    for number in store.image_numbers():
        file = folder / f"{number}.bin"
        if not file.is_file():
            msg = f"{file}: no such file; restore a copy of it: participants are shown this image"
            raise FileNotFoundError(msg)


def serve(
    design: Design,
    pictures: ImageSource,
    output: Path,
    seed: int = 0,
    host: str = "127.0.0.1",
    port: int = 8000,
    per_address: int = MAX_PER_ADDRESS,
) -> None:
    """Serve a study until it is stopped.

    Answers are saved as they come. The next start goes on.

    Args:
        design: The study: questions, labels and number of participants.
        pictures: The images to judge.
        output: Folder of the database and of the served images.
        seed: Seed of the participants' questions.
        host: Address to listen on; only this machine can reach the default.
        port: Port to listen on.
        per_address: Participants from one network address within an hour; raise it for a room of
            people behind one address, 0 for any number.

    Raises:
        ValueError: If another server uses the folder, or as :func:`prepare_study`.
        OSError: If nothing can listen on the address.
    """
    if per_address < 0:
        msg = f"--per-address is at least 0, got {per_address}"
        raise ValueError(msg)
    with locked(output), listen(host, port) as listening:
        store = prepare_study(design, pictures, output, seed)
        app = application(design, store, output, seed, host, per_address)
        logger.info(
            "%s: %s  (Ctrl-C stops; answers are kept in %s)",
            design.title,
            url_of(host, listening),
            output,
        )
        uvicorn.Server(configuration(app, host, port)).run([listening])
