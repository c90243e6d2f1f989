"""The ``protect`` job: protected copies of photos, at their own size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor

from engine.devices import Process
from engine.job import Batch, JobOptions, Report
from images.inputs import ImageInput
from images.io import decode_photo, encode_photo, unsaved_metadata, without_metadata
from images.job import ImageJob, SavedImage, plan_image_job, run_image_job
from images.metrics import compare_images
from images.outputs import ImageTree
from images.photo import Photo
from images.transforms.geometry import center_crop_photo
from rid.protect.config import RENAMED, ProtectConfig
from rid.protect.face_search import FaceSearch, choose_mode
from rid.protect.layout import Layout
from rid.protect.protector import Protector
from rid.protect.steps import protect_photo, refuse_changed

SUFFIXES = {"png": "png", "jpeg": "jpg"}
"""File suffix of each output format."""

JPEG_QUALITY = 95


@dataclass(frozen=True)
class OpenedPhoto:
    """A decoded photo, scaled for the generator.

    Attributes:
        photo: The decoded photo.
        layout: Areas of the photo at the generator's scale.
        sha256: Digest of the file.
    """

    photo: Photo
    layout: Layout
    sha256: str


class ProtectJob(ImageJob[OpenedPhoto, list[Tensor]]):
    """Batch job that adds a generator's perturbation to photos.

    Args:
        config: Settings of the protection.
        protector: The generator.
        tree: Output files.
    """

    command = "rid protect"
    renamed = RENAMED
    implied = MappingProxyType({"strength": 1.0, "face_detector": None})
    unit = "photo"
    table = "protected.csv"
    columns = ("source", "output", "width", "height", "levels", "psnr", "ssim", "notes", "error")

    def __init__(
        self,
        config: ProtectConfig,
        protector: Protector,
        tree: ImageTree,
    ) -> None:
        self.config = config
        self.protector = protector
        self.tree = tree

    def setup(self, process: Process) -> None:
        generator = self.protector.generator.to(process.device, process.dtype)
        if self.config.compile:
            generator.compile()

    def prepare(self, source: ImageInput) -> OpenedPhoto:
        # refuse photos that this project has changed before
        photo = source.open()
        refuse_changed(photo, source.location)
        # metadata, and size of the output
        if self.config.strip_metadata:
            photo = without_metadata(photo)
        side = self.protector.generator.image_size
        if self.config.resize_mode == "crop":
            photo = center_crop_photo(photo, side)
        # areas that the generator sees
        layout = self.protector.layout(torch.from_numpy(photo.rgb).permute(2, 0, 1))
        return OpenedPhoto(photo, layout, source.digest())

    def step(self, batch: Batch[ImageInput, OpenedPhoto]) -> list[list[Tensor]]:
        return self.protector.perturb([item.layout for item in batch.prepared])

    def finish(self, prepared: OpenedPhoto, result: list[Tensor]) -> SavedImage:
        # protected pixels
        photo = prepared.photo
        mark = self.protector.mark(prepared.sha256)
        protected = protect_photo(photo, prepared.layout.assemble(result), mark)
        # encoded file
        kind = self.config.format
        content = encode_photo(protected, kind, JPEG_QUALITY)
        # change of the saved pixels
        saved = protected.rgb if kind == "png" else decode_photo(content, "the result").rgb
        faces = prepared.layout.faces
        found = [] if faces is None else [f"faces found: {faces}"]
        notes = "; ".join((*photo.notes, *unsaved_metadata(photo, kind), *found))
        return SavedImage(content, compare_images(photo.rgb, saved) | {"notes": notes})


def protect(
    inputs: Sequence[Path],
    output: Path,
    config: ProtectConfig,
    options: JobOptions | None = None,
) -> Report | None:
    """Protect photos into a folder; a stopped run resumes.

    The folder also gets ``protected.csv`` and ``manifest.json``.

    Args:
        inputs: Folders, image files, shards and lists; see :func:`images.inputs.find_images`.
        output: Folder of the results.
        config: Settings of the protection.
        options: Devices, precision and batch size.

    Returns:
        The report of the job; None on every process but the first.

    Raises:
        FileNotFoundError: If an input, its images or the weights are missing.
        ValueError: If the weights are not a generator's; if the output folder is an input, or holds
            another job or other files; or if two photos would be saved under one name.
    """
    options = options or JobOptions()
    # generator, inputs and output files
    mode, detector = choose_mode(config.resize_mode, config.face_detector)
    config = replace(config, resize_mode=mode, face_detector=detector)  # type: ignore[arg-type]
    protector = Protector.from_pretrained(
        config.weights,
        "resize" if mode == "crop" else mode,  # type: ignore[arg-type]
        strength=config.strength,
        face_detector=detector,
    )
    protector.window_batch = options.batch_size
    found, tree = plan_image_job(inputs, output, SUFFIXES[config.format])
    # settings that the results depend on
    faces = protector.faces
    settings = {
        "weights": {"name": config.weights, "sha256": protector.weights},
        "resize_mode": config.resize_mode,
        "format": config.format,
        "strength": config.strength,
        "face_detector": faces.fingerprints() if isinstance(faces, FaceSearch) else None,
        "strip_metadata": config.strip_metadata,
    }
    job = ProtectJob(config, protector, tree)
    extra = {"budget_levels": protector.budget}
    return run_image_job(job, found, settings, options, extra)
