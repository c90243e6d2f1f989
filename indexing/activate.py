"""The ``activate`` job: changed copies of photos for copy detection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor

from engine.devices import Process
from engine.job import Batch, JobOptions, Report
from images.inputs import ImageInput
from images.io import encode_photo
from images.job import ImageJob, SavedImage, plan_image_job, run_image_job
from images.outputs import ImageTree
from images.photo import Photo
from indexing.activation_config import ActivationConfig
from indexing.activator import Activator, apply_result
from indexing.extract import extract
from indexing.release import ActivationResult
from indexing.target_indices import TargetIndex, open_target_indices, refuse_exact
from indexing.targets import Kind
from models.embedder_config import EmbedderConfig

ORIGINALS = "originals"
"""Folder, among the results, of the original photos' descriptors, which the index needs."""

YES_NO = {True: "yes", False: "no"}

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
    columns: Sequence[str] = (
        *("source", "output", "width", "height", "levels", "psnr", "ssim", "activated"),
        *("found", "distance_before", "distance_after", "notes", "error"),
    )
    """Columns for one index; for several, see :func:`index_columns`."""
    implied = MappingProxyType({"batch_size": 16})

    def __init__(self, activator: Activator, tree: ImageTree) -> None:
        self.activator = activator
        self.tree = tree
        of_indices: list[str] = []
        for index in activator.indices:
            of_indices += index_columns(index.label, len(activator.indices))
        self.columns = (*self.columns[:8], *of_indices, *self.columns[-2:])

    def setup(self, process: Process) -> None:
        self.activator.to(process.device)

    def prepare(self, source: ImageInput) -> Photo:
        return source.open()

    def step(self, batch: Batch[ImageInput, Photo]) -> list[ActivationResult]:
        images = [photo.tensor() for photo in batch.prepared]
        results: list[ActivationResult] = []
        opacities = [photo.opacity() for photo in batch.prepared]
        for group in group_by_pixels(images):
            results += self.activator.activate(group, opacities[len(results) :][: len(group)])
        return results

    def finish(self, prepared: Photo, result: ActivationResult) -> SavedImage:
        photo, metrics = apply_result(prepared, result)
        notes = list(prepared.on_white().notes)
        if not result.activated:
            notes.append("not activated, the original is kept: no change of it is found")
        elif result.share < 1:
            notes.append(f"{result.share:.0%} of the change kept, to be found")
        row = metrics | {"activated": YES_NO[result.activated], "notes": "; ".join(notes)}
        for label, of_index in result.indices.items():
            values = (
                YES_NO[of_index.found],
                round(of_index.distance_before, 6),
                round(of_index.distance_after, 6),
            )
            columns = index_columns(label, len(result.indices))
            row |= zip(columns, values, strict=True)
        return SavedImage(encode_photo(photo), row)


def index_columns(label: str, count: int) -> list[str]:
    """Name the table's columns of an index: found, distance before, distance after.

    Args:
        label: Label of the index.
        count: Number of indices; with one, its columns have no label.
    """
    ending = f" in {label}" if count > 1 else ""
    return [f"{name}{ending}" for name in ("found", "distance_before", "distance_after")]


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


@dataclass(frozen=True)
class ActivateReport:
    """Result of an activation.

    Attributes:
        job: Report of done, failed and skipped photos.
        labels: Labels of the indices.
        originals: Folder of the originals' descriptors for each index, by the index's folder.
    """

    job: Report
    labels: list[str]
    originals: dict[Path, Path]

    @property
    def activated(self) -> list[dict[str, Any]]:
        """Rows of the photos that were changed."""
        return [row for _, row in self.job.rows if row.get("activated") != YES_NO[False]]

    def counts(self, label: str) -> dict[str, int]:
        """Count the photos that an index finds, and those nearer to their target in it."""
        found, before, after = index_columns(label, len(self.labels))
        of_found = [row for _, row in self.job.rows if row.get(found) == YES_NO[True]]
        nearer = sum(row[after] < row[before] for row in of_found)
        return {"found": len(of_found), "nearer": nearer}


def activate_photos(
    inputs: Sequence[Path],
    output: Path,
    indices: Sequence[Path],
    extractors: Sequence[EmbedderConfig],
    config: ActivationConfig,
    target: Kind = "auto",
    options: JobOptions | None = None,
) -> ActivateReport | None:
    """Activate photos into a folder; a stopped run resumes.

    Each image is found by a search after rounding, or stays unchanged and is named so. The folder
    also gets ``activated.csv``, ``manifest.json`` and the originals' descriptors; see
    :func:`originals_folders`. The order of the indices does not matter.

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
    refuse_exact(opened, target, config)
    # activation
    settings = {
        "target": target,
        "activation": asdict(config),
        "indices": [index.record() for index in opened],
        "batch_size": options.batch_size,  # rounds the networks' sums
    }
    job = ActivateJob(Activator(opened, target, config), tree)
    report = run_image_job(job, found, settings, options)
    if report is None:
        return None
    # the originals' descriptors; only this process knows that there are results
    originals = originals_folders(output, opened)
    if report.rows:
        extract_options = replace(options, batch_size=4 * options.batch_size, alone=True)
        configs = {originals[index.folder]: index.extractor.config for index in opened}
        for folder, extractor in configs.items():
            extract(inputs, folder, extractor, extract_options)
    return ActivateReport(report, [index.label for index in opened], originals)


def originals_folders(output: Path, indices: Sequence[TargetIndex]) -> dict[Path, Path]:
    """Return the folder of the originals' descriptors for each index.

    With one extractor it is ``originals``. With several, each has a folder in it, which is named
    after the first of its indices.
    """
    by_extractor: dict[str, str] = {}
    for index in indices:
        by_extractor.setdefault(index.extractor.fingerprint, index.label)
    several = len(by_extractor) > 1
    folders = {}
    for index in indices:
        name = by_extractor[index.extractor.fingerprint] if several else ""
        folders[index.folder] = output / ORIGINALS / name
    return folders
