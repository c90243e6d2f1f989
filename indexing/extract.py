"""The ``extract`` job: a descriptor of every image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.job import JobOptions
from images.inputs import find_images
from images.overlap import refuse_overlap
from models.embed_job import EmbedReport, embed_images
from models.embedder_config import EmbedderConfig
from models.embedders import open_embedder


def extract(
    inputs: Sequence[Path],
    output: Path,
    extractor: EmbedderConfig,
    options: JobOptions,
    fts: bool = False,
) -> EmbedReport | None:
    """Describe every image into a folder; a stopped job in it goes on, and only new and changed images are described.

    Args:
        inputs: Folders, image files, shards and lists; see :func:`images.inputs.find_images`.
        output: Folder of ``features.npy``, ``filenames.txt`` and the record.
        extractor: The network.
        options: How it runs.
        fts: Write the matrix as ``fts.pt``, too, as active indexing's published programs do.

    Returns:
        The outcome; None on every process but the first.

    Raises:
        FileNotFoundError: If an input, its images or the network are not there.
        ValueError: If the network is not one, no image can be described, or the folder holds another job.
    """
    found = find_images(inputs)
    refuse_overlap(output, inputs, found.images)
    return embed_images(found, output, open_embedder(extractor), "indexing extract", options, fts)
