"""``python -m eval purify``: one purification over a folder of images."""

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
from images.io import Photo, encode_photo, to_uint8
from images.job import ImageJob, SavedImage, plan_image_job, run_image_job
from images.outputs import ImageTree


class PurifyJob(ImageJob[Photo, NDArray[Any]]):
    """Washes images with a purifier.

    Args:
        method: The purification.
        tree: Where results go.
        seed: Every image has a seed of its own derived from it and from its place in the list.
    """

    command = "eval purify"
    table = "purified.csv"
    columns = ("source", "output", "notes", "error")

    def __init__(self, method: Purifier, tree: ImageTree, seed: int) -> None:
        self.method, self.tree, self.seed = method, tree, seed

    def setup(self, process: Process) -> None:
        self.method.to(process.device)

    def prepare(self, source: ImageInput) -> Photo:
        return source.open()

    def step(self, batch: Batch[ImageInput, Photo]) -> list[NDArray[Any]]:
        return [
            self._purified(photo, place)
            for photo, place in zip(batch.prepared, batch.positions, strict=True)
        ]

    def _purified(self, photo: Photo, place: int) -> NDArray[Any]:
        source = torch.Generator().manual_seed(self.seed * 1_000_003 + place)
        levels = to_uint8(self.method(photo.tensor().unsqueeze(0), source))
        return levels[0].permute(1, 2, 0).contiguous().cpu().numpy()

    def finish(self, prepared: Photo, result: NDArray[Any]) -> SavedImage:
        return SavedImage(
            encode_photo(replace(prepared, rgb=result)), {"notes": "; ".join(prepared.notes)}
        )


def purify_files(
    inputs: Sequence[Path],
    output: Path,
    method: Purifier,
    named: dict[str, Any],
    seed: int,
    options: JobOptions | None = None,
) -> Report | None:
    """Purify every image and save it as PNG at its own size; goes on with a stopped run.

    Args:
        inputs: Folders, images, shards (.tar) and lists (.txt).
        output: Folder of the results.
        method: The purification.
        named: Its class and settings, for the record.
        seed: Of all random draws.
        options: How the job runs.

    Returns:
        The outcome; None on every process but the first.

    Raises:
        FileNotFoundError: If there are no images.
        ValueError: If the folder is an input, or holds other files or images purified otherwise.
    """
    found, tree = plan_image_job(inputs, output, "png")
    settings = {"method": named, "seed": seed}
    return run_image_job(
        PurifyJob(method, tree, seed), found, settings, options or JobOptions(batch_size=1)
    )
