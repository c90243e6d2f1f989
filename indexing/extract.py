"""The ``extract`` job: descriptors of images."""

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
    """Compute the descriptors of images; a stopped run resumes.

    A finished folder is updated with new and changed images only.

    Args:
        inputs: Folders, image files, shards and lists; see :func:`images.inputs.find_images`.
        output: Folder of ``features.npy``, ``filenames.txt`` and ``manifest.json``.
        extractor: The descriptor network.
        options: Devices, precision and batch size.
        fts: Also write the matrix as ``fts.pt``, as active indexing's published programs do.

    Returns:
        The report of the job; None on every process but the first.

    Raises:
        FileNotFoundError: If an input, its images or the network are missing.
        ValueError: If the network cannot be loaded, no image is readable, or the folder holds
            another job.
    """
    found = find_images(inputs)
    refuse_overlap(output, inputs, found.images)
    return embed_images(found, output, open_embedder(extractor), "indexing extract", options, fts)
