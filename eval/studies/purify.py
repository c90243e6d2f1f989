"""``python -m eval purify``: purification of a folder of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from engine.devices import Process
from engine.job import Batch, JobOptions, Report
from eval.attacks.purification import Purifier
from images.inputs import ImageInput
from images.io import encode_photo, to_rgb, to_uint8
from images.job import ImageJob, SavedImage, plan_image_job, run_image_job
from images.outputs import ImageTree
from images.photo import Photo


class PurifyJob(ImageJob[Photo, NDArray[Any]]):
    """Purifies images.

    Args:
        method: The purification.
        tree: Folder and names of the results.
        seed: Seed of all random draws; each image's seed is derived from it and its position.
    """

    command = "eval purify"
    table = "purified.csv"
    columns = ("source", "output", "notes", "error")

    def __init__(self, method: Purifier, tree: ImageTree, seed: int) -> None:
        self.method = method
        self.tree = tree
        self.seed = seed

    def setup(self, process: Process) -> None:
        self.method.to(process.device)

    def prepare(self, source: ImageInput) -> Photo:
        return source.open()

    def step(self, batch: Batch[ImageInput, Photo]) -> list[NDArray[Any]]:
        pairs = zip(batch.prepared, batch.positions, strict=True)
        return [self._purify(photo, position) for photo, position in pairs]

    def _purify(self, photo: Photo, position: int) -> NDArray[Any]:
        """Purify one image, (H, W, 3) uint8."""
        source = torch.Generator().manual_seed(self.seed * 1_000_003 + position)
        purified = to_uint8(self.method(photo.tensor().unsqueeze(0), source))
        return to_rgb(purified[0])

    def finish(self, prepared: Photo, result: NDArray[Any]) -> SavedImage:
        content = encode_photo(replace(prepared, rgb=result))
        return SavedImage(content, {"notes": "; ".join(prepared.notes)})


def purify_files(
    inputs: Sequence[Path],
    output: Path,
    method: Purifier,
    described: dict[str, Any],
    seed: int,
    options: JobOptions | None = None,
) -> Report | None:
    """Purify images and save them as PNG.

    Images keep their size. A stopped run goes on.

    Args:
        inputs: Folders, images, shards (.tar) and lists (.txt).
        output: Folder of the results.
        method: The purification.
        described: Class and settings of the purification, for the record.
        seed: Seed of all random draws.
        options: Devices, batch size and workers of the job.

    Returns:
        The outcome; None on every process but the first.

    Raises:
        FileNotFoundError: If there are no images.
        ValueError: If the folder is an input, or holds other files or images of other settings.
    """
    images, tree = plan_image_job(inputs, output, "png")
    settings = {"method": described, "seed": seed}
    job = PurifyJob(method, tree, seed)
    return run_image_job(job, images, settings, options or JobOptions(batch_size=1))
