"""Recipes of the RID generator and the detector."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import yaml
from jsonargparse import ArgumentParser

from checkpoints.folders import ROOT
from detectors.cli import main as sentry
from detectors.evaluate import calibrate
from engine.devices import DeviceOptions
from engine.job import JobOptions
from engine.training import TrainingCLI
from rid.pairs.config import PairConfig
from rid.pairs.job import make_pairs
from rid.training.cli import main as rid
from rid.weights import save_generator
from tiny.detection import SEEN, DetectionSizes, make_detection_shards
from tiny.export import export_portraits
from tiny.fitting import Place, record

PAIRS_CONFIG = ROOT / "configs" / "rid" / "pairs_tiny.yaml"
REGRESSION_CONFIG = ROOT / "configs" / "rid" / "tiny_regression.yaml"
COMBINED_CONFIG = ROOT / "configs" / "rid" / "tiny_combined.yaml"
DETECTOR_CONFIGS = tuple(
    ROOT / "configs" / "detectors" / f"tiny_{name}.yaml" for name in ("npr", "patches")
)


def train_rid(
    place: Place, name: str, steps: int | None = None, people: int = 1500, pictures: int = 4
) -> None:
    """The protecting generator: gradient-based perturbations of training people are made, learned, and then joined by Adv-SDS."""
    start, work = time.monotonic(), place.work / name
    surrogates = [str(place.shipped / pipeline) for pipeline in ("sd-a1", "sd-a2", "sd-b")]
    export_portraits(work / "portraits", people, pictures, first=0)
    reader = ArgumentParser(exit_on_error=False)
    reader.add_class_arguments(PairConfig, "pairs")
    parsed = reader.parse_object(
        {"pairs": yaml.safe_load(PAIRS_CONFIG.read_text()) | {"models": surrogates}}
    )
    make_pairs(
        [work / "portraits"],
        work / "pairs",
        reader.instantiate_classes(parsed).pairs,
        JobOptions(DeviceOptions("cpu", 1)),
    )
    pairs, common = (
        str(work / "pairs" / "pairs.json"),
        {"model.surrogates": json.dumps(surrogates), "trainer.accelerator": "cpu"},
    )
    if steps:
        common |= {
            "trainer.max_steps": str(steps),
            "model.warmup_steps": "0",
            "trainer.val_check_interval": "1",
        }
    first = _fit(
        REGRESSION_CONFIG,
        work / "regression",
        common | {"data.init_args.train.init_args.path": pairs},
    )
    taught = {"model.generator.init_args.name": f"{first.trainer.log_dir}/generator"}
    run = _fit(
        COMBINED_CONFIG,
        work / "combined",
        common | taught | {"data.init_args.train.init_args.pairs.init_args.path": pairs},
    )
    shutil.copytree(
        Path(run.trainer.log_dir or "") / "generator", place.shipped / name, dirs_exist_ok=True
    )
    save_generator(run.model.generator.half(), place.shipped / name)
    note = f"{people * pictures} pairs of {people} identities; {first.trainer.global_step} steps of regression before"
    record(
        place.shipped / name,
        0,
        run.trainer.global_step,
        run.datamodule.batch_size,
        time.monotonic() - start,
        note,
    )


def train_detector(
    place: Place, name: str, steps: int | None = None, sizes: DetectionSizes = DetectionSizes()
) -> None:
    """The real-or-generated detector: two recipes are trained on the same shards, the better one on validation pictures is calibrated."""
    start, shards = time.monotonic(), place.work / "detection"
    make_detection_shards(place.shipped, shards, sizes)
    parts = [
        *(f"{pipeline}-0*" for pipeline in SEEN),
        f"{SEEN[0]}-vae-*",
    ]  # the 0 begins a shard's number
    settings = {
        "data.real": json.dumps([{"urls": f"{shards}/train-portraits-*.tar"}]),
        "data.generated": json.dumps([{"urls": f"{shards}/train-{part}.tar"} for part in parts]),
        "data.val": json.dumps([f"{shards}/val-*.tar"]),
    }
    if steps:
        settings |= {
            "trainer.max_steps": str(steps),
            "trainer.max_epochs": "-1",
            "model.warmup_steps": "0",
        }
        settings |= {
            "trainer.val_check_interval": str(steps),
            "trainer.check_val_every_n_epoch": "null",
        }
    runs = {}
    for config in DETECTOR_CONFIGS:
        given = settings | {"trainer.default_root_dir": str(place.work / config.stem)}
        runs[config.stem] = sentry(
            ["fit", "-c", str(config), *(f"--{key}={value}" for key, value in given.items())]
        )
    reached = {key: float(run.trainer.callback_metrics["val/auc"]) for key, run in runs.items()}
    best = max(reached, key=lambda key: reached[key])
    runs[best].model.detector.half().save_pretrained(place.shipped / name)
    calibrate(
        str(place.shipped / name),
        [f"{shards}/calibration-*.tar"],
        JobOptions(DeviceOptions("cpu"), batch_size=64, workers=0),
    )
    words = ", ".join(f"{key} {value:.3f}" for key, value in reached.items())
    note = f"{sizes.train} portraits, samples of {' and '.join(SEEN)}, reconstructions by {SEEN[0]}; validation AUC: {words}"
    run = runs[best]
    record(
        place.shipped / name,
        0,
        run.trainer.global_step,
        run.datamodule.batch_size,
        time.monotonic() - start,
        note,
    )


def _fit(config: Path, root: Path, settings: dict[str, str]) -> TrainingCLI:
    settings = settings | {"trainer.default_root_dir": str(root)}
    return rid(["fit", "-c", str(config), *(f"--{key}={value}" for key, value in settings.items())])
