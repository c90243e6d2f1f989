"""Batch jobs that write one image for each input image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from engine.job import Job, JobOptions, Report
from engine.run_job import run_job
from engine.tables import rows_of_table, write_table
from images.inputs import ImageInput, JobInputs, find_images
from images.kinds import header_size
from images.outputs import ImageTree
from images.overlap import refuse_overlap

Prepared = TypeVar("Prepared")
Result = TypeVar("Result")


def count_pixels(source: ImageInput) -> int:
    """Count an image's pixels from its header; see :func:`images.kinds.header_size`."""
    width, height = header_size(source.path if source.member is None else source.read())
    return width * height


@dataclass(frozen=True)
class SavedImage:
    """A finished image.

    Attributes:
        content: The encoded file.
        row: Columns of the job's table, beside source and output.
    """

    content: bytes
    row: dict[str, Any]


class ImageJob(Job[ImageInput, Prepared, Result, SavedImage]):
    """Batch job whose results are images, with one table row for each."""

    table: ClassVar[str]
    """File name of the table, such as ``protected.csv``."""

    columns: Sequence[str]
    """Columns of the table; ``source`` first and ``error`` last."""

    bytes_per_pixel: ClassVar[int] = 24
    """Peak memory of an image in the job."""

    tree: ImageTree
    """Writer of the results; set by subclasses."""

    def input_bytes(self, source: ImageInput) -> int:
        return count_pixels(source) * self.bytes_per_pixel

    def write(self, source: ImageInput, finished: SavedImage) -> dict[str, Any]:
        return {"output": self.tree.write(source, finished.content)} | finished.row

    def exists(self, source: ImageInput, row: dict[str, Any]) -> bool:
        return self.tree.exists(source, str(row.get("output") or ""))

    def begin_group(self, group: str) -> None:
        self.tree.abandon_group()

    def end_group(self, group: str) -> None:
        self.tree.close_group()

    def earlier_rows(self, record: Path) -> dict[str, dict[str, Any]]:
        return rows_of_table(record / self.table)


def plan_image_job(
    inputs: Sequence[Path], output: Path, ending: str
) -> tuple[JobInputs, ImageTree]:
    """Find a job's images and plan its output files.

    Args:
        inputs: Folders, image files, shards and lists; see :func:`images.inputs.find_images`.
        output: Folder of the results.
        ending: File name ending of the results, such as ``png``.

    Returns:
        The inputs, and the writer of the results.

    Raises:
        FileNotFoundError: If an input does not exist or has no images.
        ValueError: If a result would overwrite an input, or two results would share a name.
    """
    job_inputs = find_images(inputs)
    tree = ImageTree(output, job_inputs.images, ending)
    refuse_overlap(output, inputs, job_inputs.images, tree.targets())
    return job_inputs, tree


def run_image_job(
    job: ImageJob[Any, Any],
    job_inputs: JobInputs,
    settings: dict[str, Any],
    options: JobOptions,
    facts: dict[str, Any] | None = None,
) -> Report | None:
    """Run a job over images and write its table.

    Args:
        job: The job.
        job_inputs: Its inputs.
        settings: Values that identify the job; see :func:`engine.run_job.run_job`.
        options: Devices, batch size and workers.
        facts: Further entries of the manifest.

    Returns:
        The report; None on every process but the first.
    """
    output = job.tree.output
    report = run_job(
        job,
        job_inputs.images,
        output,
        settings,
        options,
        job_inputs.skipped,
        job_inputs.failed,
        facts,
    )
    if report is not None:
        rows = {name: {"source": name} | row for name, row in report.rows}
        rows |= {name: {"source": name, "error": error} for name, error in report.failed.items()}
        order = [*(image.name for image in job_inputs.images), *job_inputs.failed]
        write_table(output / job.table, job.columns, [rows[name] for name in order])
    return report
