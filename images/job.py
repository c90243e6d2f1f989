"""Jobs that change images: an image in, an image out, in the same tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from engine.job import Job, JobOptions, Report, run_job
from engine.tables import rows_of_table, write_table
from images.inputs import ImageInput, JobInputs, find_images, refuse_overlap
from images.kinds import header_size
from images.outputs import ImageTree

Prepared = TypeVar("Prepared")
Result = TypeVar("Result")


def count_pixels(source: ImageInput) -> int:
    """Pixels of an image, by its header; errors as :func:`images.kinds.header_size`."""
    width, height = header_size(source.path if source.member is None else source.read())
    return width * height


@dataclass(frozen=True)
class SavedImage:
    """A changed image: its file's bytes, and what its row says."""

    content: bytes
    row: dict[str, Any]


class ImageJob(Job[ImageInput, Prepared, Result, SavedImage]):
    """A job whose results are images; its table has a row for each.

    Args:
        tree: Where results go.
    """

    table: ClassVar[str]
    """File name of the table, such as ``protected.csv``."""

    columns: ClassVar[Sequence[str]]
    """Of the table; ``source`` first and ``error`` last."""

    bytes_per_pixel: ClassVar[int] = 24
    """Memory that an image takes while it is worked on."""

    tree: ImageTree

    def weigh(self, source: ImageInput) -> int:
        return count_pixels(source) * self.bytes_per_pixel

    def write(self, source: ImageInput, finished: SavedImage) -> dict[str, Any]:
        return {"output": self.tree.write(source, finished.content)} | finished.row

    def exists(self, source: ImageInput, row: dict[str, Any]) -> bool:
        return self.tree.exists(source)

    def begin_group(self, group: str) -> None:
        self.tree.abandon_group()

    def end_group(self, group: str) -> None:
        self.tree.close_group()

    def earlier_rows(self, record: Path) -> dict[str, dict[str, Any]]:
        return rows_of_table(record / self.table)


def plan_image_job(inputs: Sequence[Path], output: Path, ending: str) -> tuple[JobInputs, ImageTree]:
    """Find a job's images, plan where its results go, and keep both apart.

    Args:
        inputs: As for :func:`images.inputs.find_images`.
        output: Folder of the results.
        ending: Of the results, such as ``png``.

    Raises:
        FileNotFoundError: If an input or its images are not there.
        ValueError: If a result would overwrite an input, or two would have one name.
    """
    found = find_images(inputs)
    tree = ImageTree(output, found.images, ending)
    refuse_overlap(output, inputs, found.images, tree.targets())
    return found, tree


def run_image_job(
    job: ImageJob[Any, Any],
    found: JobInputs,
    settings: dict[str, Any],
    options: JobOptions,
    facts: dict[str, Any] | None = None,
) -> Report | None:
    """Run a job over images and write its table; see :func:`engine.job.run_job`."""
    output = job.tree.output
    report = run_job(job, found.images, output, settings, options, found.skipped, found.failed, facts)
    if report is not None:
        rows = {name: {"source": name} | row for name, row in report.rows}
        rows |= {name: {"source": name, "error": error} for name, error in report.failed.items()}
        order = [*(image.name for image in found.images), *found.failed]
        write_table(output / job.table, job.columns, [rows[name] for name in order])
    return report
