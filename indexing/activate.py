"""The ``activate`` job: changed copies of photos for copy detection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from torch import Tensor

from engine.devices import Process
from engine.job import Batch, JobOptions, Report
from images.inputs import ImageInput
from images.io import encode_photo
from images.job import ImageJob, SavedImage, plan_image_job, run_image_job
from images.outputs import ImageTree
from images.photo import Photo
from indexing.activation_config import ActivationConfig
from indexing.activator import (
    ActivationResult,
    Activator,
    apply_result,
)
from indexing.extract import extract
from indexing.target_indices import open_target_indices, refuse_exact
from indexing.targets import Kind
from models.embedder_config import EmbedderConfig

ORIGINALS = "originals"
"""Folder, among the results, of the original photos' descriptors, which the index needs."""

MAX_PIXELS = 16_000_000
"""Most pixels optimized together: about 2 GB with the optimizer's state."""


class ActivateJob(ImageJob[Photo, ActivationResult]):
    """Batch job that activates photos.

    Args:
        activator: The activation.
        tree: Output files.
    """

    command = "indexing activate"
    unit = "photo"
    table = "activated.csv"
    columns = (
        *("source", "output", "width", "height", "levels", "psnr", "ssim"),
        *("distance_before", "distance_after", "notes", "error"),
    )

    def __init__(self, activator: Activator, tree: ImageTree) -> None:
        self.activator = activator
        self.tree = tree

    def setup(self, process: Process) -> None:
        self.activator.to(process.device)

    def prepare(self, source: ImageInput) -> Photo:
        return source.open()

    def step(self, batch: Batch[ImageInput, Photo]) -> list[ActivationResult]:
        images = [photo.tensor() for photo in batch.prepared]
        results = []
        for group in group_by_pixels(images):
            results += self.activator.activate(group)
        return results

    def finish(self, prepared: Photo, result: ActivationResult) -> SavedImage:
        photo, metrics = apply_result(prepared, result)
        distances = {
            "distance_before": round(result.distance_before, 6),
            "distance_after": round(result.distance_after, 6),
        }
        row = metrics | distances | {"notes": "; ".join(prepared.notes)}
        return SavedImage(encode_photo(photo), row)


def group_by_pixels(images: Sequence[Tensor]) -> list[list[Tensor]]:
    """Group consecutive images up to :data:`MAX_PIXELS`; larger ones stay alone.

    The optimizer holds several copies of each image.
    """
    groups: list[list[Tensor]] = []
    total = MAX_PIXELS + 1
    for image in images:
        pixels = image.shape[-2] * image.shape[-1]
        if total + pixels > MAX_PIXELS:
            groups.append([])
            total = 0
        groups[-1].append(image)
        total += pixels
    return groups


def activate_photos(
    inputs: Sequence[Path],
    output: Path,
    indices: Sequence[Path],
    extractors: Sequence[EmbedderConfig],
    config: ActivationConfig,
    target: Kind = "auto",
    options: JobOptions | None = None,
) -> Report | None:
    """Activate photos into a folder; a stopped run resumes.

    The folder also gets ``activated.csv``, ``manifest.json`` and the originals' descriptors.

    Args:
        inputs: Folders, image files, shards and lists; see :func:`images.inputs.find_images`.
        output: Folder of the results.
        indices: Folders of the indices that are to find the photos.
        extractors: One for all indices, or one for each.
        config: Settings of the optimization.
        target: Kind of targets; see :func:`indexing.targets.find_targets`.
        options: Devices, precision and batch size.

    Returns:
        The report of the job; None on every process but the first.

    Raises:
        FileNotFoundError: If an input, its images, an index or an extractor is missing.
        ValueError: If an index is of another extractor or has no targets; if two photos would be
            saved under one name; or if the output folder is an input, or holds another job or other
            files.
    """
    options = options or JobOptions(batch_size=16)
    # indices, inputs and output files
    opened = open_target_indices(indices, extractors)
    found, tree = plan_image_job(inputs, output, "png")
    refuse_exact(opened, indices, target, config)
    # activation
    settings = {
        "target": target,
        "activation": asdict(config),
        "indices": [index.record() for index in opened],
    }
    job = ActivateJob(Activator(opened, target, config), tree)
    report = run_image_job(job, found, settings, options)
    # the originals' descriptors; only this process knows that there are results
    if report is not None and report.rows:
        extract_options = replace(options, batch_size=4 * options.batch_size, alone=True)
        extract(inputs, output / ORIGINALS, extractors[0], extract_options)
    return report
