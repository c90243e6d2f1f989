"""Protecting a folder of photos: one forward pass each, saved losslessly at the photo's own size."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from numpy.typing import NDArray
from torch import Tensor

from checkpoints.command import parser
from checkpoints.folders import ROOT, model_folder
from checkpoints.manifest import fingerprint, write_manifest
from datamodules.images import Photo, save_png, to_levels
from datamodules.photos import PhotoBatch, PhotoDataModule, PhotoFolder
from rid.generator import PerturbationGenerator
from rid.weights import load_generator


@dataclass
class ProtectReport:
    """What became of a folder: outputs written, pictures that failed with the reason, files that are no pictures."""

    done: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


class ProtectTask(LightningModule):
    """The generator as a ``predict`` job: a batch of views in, their perturbations out."""

    def __init__(self, generator: PerturbationGenerator) -> None:
        super().__init__()
        self.generator = generator

    def predict_step(self, batch: PhotoBatch, _: int) -> Tensor:
        return self.generator(batch.image) if len(batch.image) else batch.image


class PhotoWriter(BasePredictionWriter):
    """Adds each perturbation to its photo and saves the result."""

    def __init__(self, root: Path, output: Path, names: dict[Path, Path], budget: float, report: ProtectReport) -> None:
        super().__init__("batch")
        self.root, self.output, self.names, self.budget, self.report = root, output, names, budget, report

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Tensor,
        batch_indices: Sequence[int] | None,
        batch: PhotoBatch,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        for file in batch.files:
            if file.photo is None:
                self.report.failed.append({"source": str(file.path.relative_to(self.root)), "reason": file.error})
        for file, perturbation in zip(batch.readable(), prediction.float().cpu(), strict=True):
            assert file.photo is not None
            source, name = str(file.path.relative_to(self.root)), self.names[file.path]
            protected = add_perturbation(file.photo, perturbation, self.budget)
            levels = int(np.abs(protected.astype(np.int16) - file.photo.rgb.astype(np.int16)).max())
            if levels == 0:
                reason = f"{file.path}: these weights change nothing in it, so it would not be protected; use trained weights"
                self.report.failed.append({"source": source, "reason": reason})
                continue
            save_png(replace(file.photo, rgb=protected), self.output / name)
            self.report.done.append({"source": source, "output": str(name), "levels": levels})


def add_perturbation(photo: Photo, perturbation: Tensor, budget: float) -> NDArray[np.uint8]:
    """The protected photo at its own size.

    Args:
        photo: The decoded photo.
        perturbation: (3, S, S), of the squeezed view; scaled back to the photo's size.
        budget: No value changes by more than this many grey levels, after rounding.

    Returns:
        (H, W, 3) uint8.
    """
    original = photo.tensor()
    full = F.interpolate(perturbation.unsqueeze(0), original.shape[-2:], mode="bilinear", antialias=True)[0]
    levels = to_levels(original + full).short()
    before, bound = to_levels(original).short(), int(budget)
    return levels.clamp(before - bound, before + bound).byte().permute(1, 2, 0).numpy()


def output_names(root: Path, paths: list[Path]) -> dict[Path, Path]:
    """A PNG name for each photo, in the same sub-folder: its own stem, or its whole name where two photos share a stem.

    Raises:
        ValueError: If two photos would still get one name.
    """
    stems = Counter(path.with_suffix("") for path in paths)
    names = {}
    for path in paths:
        name = path.stem if stems[path.with_suffix("")] == 1 else path.name
        names[path] = path.relative_to(root).with_name(name + ".png")
    if twice := [name for name, count in Counter(names.values()).items() if count > 1]:
        msg = f"two photos would both be saved as {twice[0]}: rename one of them"
        raise ValueError(msg)
    return names


def protect_folder(root: Path, output: Path, weights: str, batch_size: int = 8, accelerator: str = "auto") -> ProtectReport:
    """Protect every picture below ``root`` into ``output`` and record the run there in ``manifest.json``.

    Raises:
        FileNotFoundError: If the folder has no pictures or the weights are not there.
        ValueError: If the weights are not a generator, the output folder lies inside the input folder or holds other
            files, or two photos would be saved under one name.
    """
    generator = load_generator(weights)
    if output.resolve().is_relative_to(root.resolve()):
        msg = f"the output folder {output} lies inside the input folder {root}: choose another, or the next run would protect the results"
        raise ValueError(msg)
    if output.is_dir() and any(output.iterdir()) and not (output / "manifest.json").is_file():
        msg = f"the output folder {output} holds files that are not an earlier run's: choose an empty or a new one"
        raise ValueError(msg)
    photos = PhotoFolder(root, generator.image_size)
    names = output_names(root, photos.paths)
    output.mkdir(parents=True, exist_ok=True)
    report = ProtectReport(skipped=[str(path.relative_to(root)) for path in photos.others])
    writer = PhotoWriter(root, output, names, generator.budget, report)
    trainer = Trainer(
        accelerator=accelerator, devices=1, logger=False, callbacks=[writer], enable_model_summary=False, enable_checkpointing=False
    )
    trainer.predict(ProtectTask(generator), PhotoDataModule(photos, batch_size), return_predictions=False)
    write_manifest(
        output,
        command="rid protect",
        source=str(root),
        weights=fingerprint(weights, model_folder(weights)),
        budget_levels=generator.budget,
        counts={"done": len(report.done), "failed": len(report.failed), "skipped": len(report.skipped)},
        **vars(report),
    )
    return report


TINY = "checkpoints/tiny"


def main(arguments: list[str]) -> int:
    """The ``protect`` verb; 0 only if every picture was protected."""
    made = parser("python -m rid protect", "Protect every picture of a folder against personalization; the results are PNG files.")
    made.add_argument("photos", type=Path, help="folder of pictures, searched with its sub-folders")
    made.add_argument("-o", "--output", type=Path, required=True, help="folder of the protected pictures and manifest.json")
    made.add_argument("-w", "--weights", type=str, default=f"{TINY}/rid", help="generator folder or Hub id")
    made.add_argument("--batch_size", type=int, default=8, help="pictures per forward pass")
    made.add_argument("--accelerator", type=str, default="auto", help="auto, cpu or gpu")
    settings = made.parse_args(arguments)
    report = protect_folder(settings.photos, settings.output, settings.weights, settings.batch_size, settings.accelerator)
    for name in report.skipped:
        print(f"skipped {name}: not a picture by its name", file=sys.stderr)
    for failure in report.failed:
        print(f"error: {failure['reason']}", file=sys.stderr)
    if report.done:
        levels = max(row["levels"] for row in report.done)
        print(f"{len(report.done)} protected in {settings.output}, no value changed by more than {levels} of 255 levels")
    if model_folder(settings.weights).resolve().is_relative_to(ROOT / TINY):
        print(
            "note: these are the small weights that come with the code. They defend only against the small models beside them, "
            "not against Stable Diffusion or any other model in use; name released weights with --weights for that."
        )
    return 1 if report.failed else 0
