"""The ``protect`` job: photos of any kind and size in, protected photos of the same size out, lossless."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from checkpoints.folders import model_place
from engine.devices import Process
from engine.job import Batch, JobOptions, Report
from engine.manifest import fingerprint
from images.inputs import ImageInput
from images.io import Photo, clamp_to_budget, decode_photo, encode_photo, unsaved_metadata, without_metadata
from images.job import ImageJob, SavedImage, plan_image_job, run_image_job
from images.marks import Mark
from images.metrics import compare_images
from images.outputs import ImageTree
from images.transforms.geometry import center_crop_photo
from rid.protect.config import ProtectConfig
from rid.protect.protector import Protector
from rid.protect.windows import Windows

ENDING = {"png": "png", "jpeg": "jpg"}
JPEG_QUALITY = 95


@dataclass(frozen=True)
class Opened:
    """A photo to protect.

    Attributes:
        photo: The photo.
        windows: Where its windows lie.
        scaled: The photo as the windows lie on it, (3, *scaled), in [0, 1] or grey levels if uint8.
        sha256: Of the file.
    """

    photo: Photo
    windows: Windows
    scaled: Tensor
    sha256: str


class ProtectJob(ImageJob[Opened, Tensor]):
    """Adds a generator's perturbation to photos.

    Args:
        config: How.
        protector: The generator.
        tree: Where results go.
        weights: Sha256 of the weights, for the mark in each file.
    """

    command = "rid protect"
    unit = "photo"
    table = "protected.csv"
    columns = ("source", "output", "width", "height", "levels", "psnr", "ssim", "notes", "error")

    def __init__(self, config: ProtectConfig, protector: Protector, tree: ImageTree, weights: str) -> None:
        self.config, self.protector, self.tree, self.weights = config, protector, tree, weights

    def setup(self, process: Process) -> None:
        generator = self.protector.generator.to(process.device, process.dtype)
        if self.config.compile:
            generator.compile()

    def prepare(self, source: ImageInput) -> Opened:
        photo = source.open()
        if photo.metadata.marks:
            mark = photo.metadata.marks[-1]
            msg = (
                f"{source.location}: changed by this project before ({mark.job}); the changes would add up beyond the budget. "
                "Give the original photo"
            )
            raise ValueError(msg)
        if self.config.strip_metadata:
            photo = without_metadata(photo)
        side = self.protector.generator.image_size
        if self.config.fit == "crop":
            photo = center_crop_photo(photo, side)
        height, width = photo.rgb.shape[:2]
        windows = Windows.cover((height, width), side, "resize" if self.config.fit == "crop" else self.config.fit)
        whole = windows.scaled == windows.size
        scaled = torch.from_numpy(photo.rgb).permute(2, 0, 1) if whole else windows.scale(photo.tensor())
        return Opened(photo, windows, scaled, source.digest())

    def step(self, batch: Batch[ImageInput, Opened]) -> list[Tensor]:
        return self.protector.perturb([(opened.windows, opened.scaled) for opened in batch.prepared])

    def finish(self, prepared: Opened, result: Tensor) -> SavedImage:
        photo = prepared.photo
        protected = add_perturbation(photo, prepared.windows.enlarge(result), self.protector.budget)
        if np.array_equal(protected, photo.rgb):
            msg = "these weights change nothing in it, so it would not be protected; use trained weights"
            raise ValueError(msg)
        kind = self.config.format
        marked = replace(photo, rgb=protected).marked(Mark("protect", self.weights, prepared.sha256, self.protector.budget))
        content = encode_photo(marked, kind, JPEG_QUALITY)
        saved = protected if kind == "png" else decode_photo(content, "the result").rgb
        notes = "; ".join((*photo.notes, *unsaved_metadata(photo, kind)))
        return SavedImage(content, compare_images(photo.rgb, saved) | {"notes": notes})


def add_perturbation(photo: Photo, perturbation: Tensor, budget: float) -> NDArray[np.uint8]:
    """The protected photo, (H, W, 3) uint8; no value changed by more than ``budget`` grey levels after rounding.

    Args:
        photo: The decoded photo.
        perturbation: (3, H, W), for values in [0, 1]; overwritten.
        budget: The bound.
    """
    levels = torch.from_numpy(photo.rgb).permute(2, 0, 1)
    for band in range(levels.shape[0]):
        perturbation[band] += levels[band].float() / 255
    return clamp_to_budget(perturbation, levels, budget).permute(1, 2, 0).contiguous().numpy()


def protect(inputs: Sequence[Path], output: Path, config: ProtectConfig, options: JobOptions | None = None) -> Report | None:
    """Protect every photo of the inputs into a folder, with ``protected.csv`` and ``manifest.json``; goes on with a stopped run.

    Args:
        inputs: Folders, image files, shards and lists; see :func:`images.inputs.find_images`.
        output: Folder of the results.
        config: How they are protected.
        options: How the job runs.

    Returns:
        The outcome; None on every process but the first.

    Raises:
        FileNotFoundError: If an input, its images or the weights are not there.
        ValueError: If the weights are not a generator, the folder is an input or holds another job or other files, or two
            photos would be saved under one name.
    """
    options = options or JobOptions()
    protector = Protector.from_pretrained(config.weights, "resize" if config.fit == "crop" else config.fit)
    protector.window_batch = options.batch_size
    found, tree = plan_image_job(inputs, output, ENDING[config.format])
    weights = fingerprint(config.weights, model_place(config.weights))
    settings = {
        "weights": weights,
        "fit": config.fit,
        "format": config.format,
        "strip_metadata": config.strip_metadata,
    }
    job = ProtectJob(config, protector, tree, " ".join(weights["sha256"].values()))
    return run_image_job(job, found, settings, options, {"budget_levels": protector.budget})
