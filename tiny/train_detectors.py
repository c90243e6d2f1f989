"""Recipes of the detectors."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from checkpoints.folders import ROOT
from detectors.calibrate import calibrate
from detectors.cli import main as run_detectors
from detectors.crop_rule import CENTER, CropRule
from engine.devices import DeviceOptions
from engine.job import JobOptions
from engine.training import TrainingCLI
from images.inputs import find_images
from tiny.detection import TRAIN_PIPELINES, DetectionSizes, make_detection_shards
from tiny.fitting import Place, fit_arguments, record
from tiny.photo_fakes import TRAINING_SUBSETS, make_photo_shards
from tiny.unlike import UnlikeSizes, make_unlike_shards

RATES = (0.001, 0.01, 0.05)
"""Error rates of the detector's operating points."""

DETECTOR_CONFIGS = (ROOT / "configs" / "detectors" / "tiny_histories.yaml",)

PHOTO_DETECTOR_CONFIGS = (
    ROOT / "configs" / "detectors" / "photo_npr.yaml",
    ROOT / "configs" / "detectors" / "photo_dct.yaml",
)
PHOTO_SEED = 21
HISTORIES = 0.8
"""Share of the calibration's images with a random history of edits."""

MIN_PHOTOS = 12
"""Least number of photos: two for each split that has fewest."""


def train_detector(
    place: Place,
    name: str,
    steps: int | None = None,
    sizes: DetectionSizes = DetectionSizes(),
    unlike: UnlikeSizes = UnlikeSizes(),
) -> None:
    """Train the detector on edited images, and calibrate it on edited ones.

    Args:
        place: Folders.
        name: Name of the model.
        steps: Optimizer steps; None takes the recipe's.
        sizes: Numbers of portraits by split.
        unlike: Numbers of images that teach its guard what to be unsure of.
    """
    start = time.monotonic()
    # Make the shards. The 0 begins a shard's number.
    shards = place.work / "detection"
    make_detection_shards(place.shipped, shards, sizes)
    make_unlike_shards(shards / "unlike", unlike)
    parts = [f"{pipeline}-0*" for pipeline in TRAIN_PIPELINES]
    parts.append(f"{TRAIN_PIPELINES[0]}-vae-*")
    # Train.
    settings = {
        "data.real": json.dumps([{"urls": f"{shards}/train-portraits-*.tar"}]),
        "data.generated": json.dumps([{"urls": f"{shards}/train-{part}.tar"} for part in parts]),
        "data.val": json.dumps([f"{shards}/val-*.tar"]),
    }
    settings |= _fewer_steps(steps)
    run, auc_text = _best_run(DETECTOR_CONFIGS, place.work, settings)
    # Ship and calibrate.
    data, others = ([f"{folder}/calibration-*.tar"] for folder in (shards, shards / "unlike"))
    _ship(run, place.shipped / name, data, CENTER, HISTORIES, others)
    note = (
        f"{sizes.train} portraits, samples of {' and '.join(TRAIN_PIPELINES)}, "
        f"reconstructions by {TRAIN_PIPELINES[0]}, edited at random; validation AUC: {auc_text}"
    )
    _record_run(place.shipped / name, run, time.monotonic() - start, note)


def train_photo_detector(
    place: Place, name: str, steps: int | None = None, crops: int = 10
) -> None:
    """Train a detector on photographs and their reconstructions by autoencoders.

    Two configs are trained on the same shards; the one with the better AUC on the validation
    photographs, some of them reconstructed by an autoencoder that training does not show, is
    calibrated on further photographs.

    Args:
        place: Folders, with photos in ``data`` and TAEF2's files in ``autoencoder``.
        name: Name of the model.
        steps: Optimizer steps; None takes the recipe's.
        crops: Crops of each photo.

    Raises:
        ValueError: If there are too few photos, or TAEF2 is missing.
    """
    photos = find_images([place.data] if place.data else []).complete()
    if len(photos) < MIN_PHOTOS or place.autoencoder is None:
        msg = (
            f"{name} needs --data with at least {MIN_PHOTOS} photos, got {len(photos)}, "
            "and --autoencoder, the folder of TAEF2's files"
        )
        raise ValueError(msg)
    start = time.monotonic()
    work = place.work / name
    shards = work / "shards"
    make_photo_shards(photos, place.autoencoder, shards, crops, PHOTO_SEED)
    real = f"{shards}/train-photos-*.tar"
    twins = [
        {"real": real, "made": f"{shards}/train-{made}-*.tar", "weight": weight}
        for made, weight in TRAINING_SUBSETS.items()
    ]
    settings = {"data.twins": json.dumps(twins), "data.val": json.dumps([f"{shards}/val-*.tar"])}
    settings |= _fewer_steps(steps)
    run, auc_text = _best_run(PHOTO_DETECTOR_CONFIGS, work, settings)
    data = [f"{shards}/calibration-*.tar"]
    _ship(run, place.shipped / name, data, CropRule("tiles"), HISTORIES)
    note = f"{len(photos)} photos, {crops} crops of each; validation AUC: {auc_text}"
    _record_run(place.shipped / name, run, time.monotonic() - start, note, PHOTO_SEED)


def _fewer_steps(steps: int | None) -> dict[str, str]:
    """Return the settings of a trial with fewer optimizer steps of a detector."""
    if not steps:
        return {}
    return {
        "trainer.max_steps": str(steps),
        "trainer.max_epochs": "-1",
        "model.warmup_steps": "0",
        "trainer.val_check_interval": str(steps),
        "trainer.check_val_every_n_epoch": "null",
    }


def _best_run(
    configs: tuple[Path, ...], work: Path, settings: dict[str, str]
) -> tuple[TrainingCLI, str]:
    """Train detectors, and return the run with the best validation AUC and all their AUCs."""
    runs = {}
    for config in configs:
        runs[config.stem] = run_detectors(fit_arguments(config, work / config.stem, settings))
    auc = {key: float(run.trainer.callback_metrics["val/auc"]) for key, run in runs.items()}
    text = ", ".join(f"{key} {value:.3f}" for key, value in auc.items())
    return runs[max(auc, key=lambda key: auc[key])], text


def _ship(
    run: TrainingCLI,
    folder: Path,
    data: list[str],
    rule: CropRule,
    histories: float,
    unlike: Sequence[str] = (),
) -> None:
    """Save the detector of a run in float16, and calibrate it; see :func:`calibrate`."""
    run.model.detector.half().save_pretrained(folder)
    options = JobOptions(DeviceOptions("cpu"), batch_size=64, workers=0)
    calibrate(str(folder), data, RATES, rule, options, histories, unlike)


def _record_run(folder: Path, run: TrainingCLI, seconds: float, note: str, seed: int = 0) -> None:
    """Write ``training.json`` of a run from a config with a seed."""
    record(folder, seed, run.trainer.global_step, run.datamodule.batch_size, seconds, note)
