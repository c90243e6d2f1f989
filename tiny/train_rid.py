"""Recipe of the RID generator."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser

from checkpoints.folders import ROOT
from engine.devices import DeviceOptions
from engine.job import JobOptions
from engine.training import TrainingCLI
from rid.pairs.config import PairConfig
from rid.pairs.job import make_pairs
from rid.training.cli import main as run_rid
from rid.weights import save_generator
from tiny.export import export_portraits
from tiny.fitting import Place, fit_arguments, record

PAIRS_CONFIG = ROOT / "configs" / "rid" / "pairs_tiny.yaml"
REGRESSION_CONFIG = ROOT / "configs" / "rid" / "tiny_regression.yaml"
ROBUST_CONFIG = ROOT / "configs" / "rid" / "tiny_robust.yaml"

SURROGATES = ("sd-a1", "sd-a2")
"""Pipelines to protect against. The third one, sd-b, stays unseen for black-box attacks."""


def train_rid(
    place: Place, name: str, steps: int | None = None, people: int = 1500, pictures: int = 2
) -> None:
    """Train the RID generator.

    Gradient-attacked copies of portraits are made, the generator learns them by regression, and
    then training goes on through edits on the denoising error of the surrogates.

    Args:
        place: Folders.
        name: Name of the model.
        steps: Optimizer steps; None takes the recipe's.
        people: Number of identities with pairs.
        pictures: Images of each of them.
    """
    start = time.monotonic()
    work = place.work / name
    # Draw portraits, and make pairs of clean and perturbed images.
    surrogates = [str(place.shipped / pipeline) for pipeline in SURROGATES]
    export_portraits(work / "portraits", people, pictures, first=0)
    options = JobOptions(DeviceOptions("cpu", 1))
    make_pairs([work / "portraits"], work / "pairs", _pair_config(surrogates), options)
    # Train by regression.
    settings = {"model.surrogates": json.dumps(surrogates), "trainer.accelerator": "cpu"}
    if steps:
        settings |= {
            "trainer.max_steps": str(steps),
            "model.warmup_steps": "0",
            "trainer.val_check_interval": "1",
        }
    pairs = {"data.init_args.train.init_args.path": str(work / "pairs" / "pairs.json")}
    regression = _fit(REGRESSION_CONFIG, work / "regression", settings | pairs)
    # Continue through edits.
    robust_settings = settings | {
        "model.generator.init_args.name": f"{regression.trainer.log_dir}/generator",
        "model.edits": json.dumps(_edits(place.shipped)),
    }
    robust = _fit(ROBUST_CONFIG, work / "robust", robust_settings)
    # Ship the generator in float16.
    folder = place.shipped / name
    shutil.copytree(Path(robust.trainer.log_dir or "") / "generator", folder, dirs_exist_ok=True)
    save_generator(robust.model.generator.half(), folder)
    note = (
        f"drawn portraits; before, {regression.trainer.global_step} steps of regression on "
        f"{people * pictures} pairs of {people} identities"
    )
    batch_size = robust.datamodule.batch_size
    record(folder, 0, robust.trainer.global_step, batch_size, time.monotonic() - start, note)


def _pair_config(surrogates: list[str]) -> PairConfig:
    """Read the settings of pairs from the config, with other surrogates."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(PairConfig, "pairs")
    settings = yaml.safe_load(PAIRS_CONFIG.read_text())
    settings["objective"]["init_args"]["models"] = surrogates
    parsed = parser.parse_object({"pairs": settings})
    config: PairConfig = parser.instantiate_classes(parsed).pairs
    return config


def _edits(shipped: Path) -> list[dict[str, Any] | None]:
    """Read the edits from the config, with a purifier from the folder of models."""
    edits: list[dict[str, Any] | None] = yaml.safe_load(ROBUST_CONFIG.read_text())["model"]["edits"]
    for edit in edits:
        if edit and "model" in edit["init_args"]:
            edit["init_args"]["model"] = str(shipped / Path(edit["init_args"]["model"]).name)
    return edits


def _fit(config: Path, root: Path, settings: dict[str, str]) -> TrainingCLI:
    """Train RID from a config with some settings replaced."""
    return run_rid(fit_arguments(config, root, settings))
