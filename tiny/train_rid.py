"""Recipes of the RID generators."""

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
COMBINED_CONFIG = ROOT / "configs" / "rid" / "tiny_combined.yaml"
ROBUST_CONFIG = ROOT / "configs" / "rid" / "tiny_robust.yaml"
FURTHER_CONFIG = ROOT / "configs" / "rid" / "tiny_robust_further.yaml"


def train_rid(
    place: Place, name: str, steps: int | None = None, people: int = 1500, pictures: int = 4
) -> None:
    """Train the RID generator: regression to gradient-attacked copies, then Adv-SDS.

    Args:
        place: Folders.
        name: Name of the model.
        steps: Optimizer steps; None takes the recipe's.
        people: Number of identities with pairs.
        pictures: Images of each of them.
    """
    start = time.monotonic()
    pipelines = ("sd-a1", "sd-a2", "sd-b")
    settings, pairs, note = _regression(place, name, pipelines, steps, people, pictures)
    settings["data.init_args.train.init_args.pairs.init_args.path"] = pairs
    run = _fit(COMBINED_CONFIG, place.work / name / "combined", settings)
    _ship(place, name, run, start, f"{note} before")


def train_robust_rid(
    place: Place, name: str, steps: int | None = None, people: int = 1500, pictures: int = 2
) -> None:
    """Train the RID generator whose protection survives edits.

    Regression to gradient-attacked copies, then the denoising error through edits, twice: the
    second time with more weight on scaling to half. The pipeline sd-b stays unseen, for black-box
    attacks. For the arguments see :func:`train_rid`.
    """
    start = time.monotonic()
    pipelines = ("sd-a1", "sd-a2")
    settings, _, note = _regression(place, name, pipelines, steps, people, pictures)
    settings["model.edits"] = json.dumps(_edits(ROBUST_CONFIG, place.shipped))
    run = _fit(ROBUST_CONFIG, place.work / name / "robust", settings)
    settings |= _start(run)
    settings["model.edits"] = json.dumps(_edits(FURTHER_CONFIG, place.shipped))
    note += f" and {run.trainer.global_step} of {ROBUST_CONFIG.name}"
    run = _fit(FURTHER_CONFIG, place.work / name / "further", settings)
    _ship(place, name, run, start, f"drawn portraits; {note} before")


def _regression(
    place: Place,
    name: str,
    pipelines: tuple[str, ...],
    steps: int | None,
    people: int,
    pictures: int,
) -> tuple[dict[str, str], str, str]:
    """Make pairs, and train by regression to them.

    Returns:
        Settings of the training that follows, the file of the pairs, and a note on both.
    """
    work = place.work / name
    # Draw portraits, and make pairs of clean and perturbed images.
    surrogates = [str(place.shipped / pipeline) for pipeline in pipelines]
    export_portraits(work / "portraits", people, pictures, first=0)
    options = JobOptions(DeviceOptions("cpu", 1))
    make_pairs([work / "portraits"], work / "pairs", _pair_config(surrogates), options)
    pairs = str(work / "pairs" / "pairs.json")
    # Train by regression.
    settings = {"model.surrogates": json.dumps(surrogates), "trainer.accelerator": "cpu"}
    if steps:
        settings |= {
            "trainer.max_steps": str(steps),
            "model.warmup_steps": "0",
            "trainer.val_check_interval": "1",
        }
    path = {"data.init_args.train.init_args.path": pairs}
    run = _fit(REGRESSION_CONFIG, work / "regression", settings | path)
    note = (
        f"{people * pictures} pairs of {people} identities; "
        f"{run.trainer.global_step} steps of regression"
    )
    return settings | _start(run), pairs, note


def _start(run: TrainingCLI) -> dict[str, str]:
    """Setting of a training that starts from the generator of another."""
    return {"model.generator.init_args.name": f"{run.trainer.log_dir}/generator"}


def _ship(place: Place, name: str, run: TrainingCLI, start: float, note: str) -> None:
    """Save the generator of a run in float16, and note how it was trained."""
    folder = place.shipped / name
    shutil.copytree(Path(run.trainer.log_dir or "") / "generator", folder, dirs_exist_ok=True)
    save_generator(run.model.generator.half(), folder)
    steps = run.trainer.global_step
    record(folder, 0, steps, run.datamodule.batch_size, time.monotonic() - start, note)


def _pair_config(surrogates: list[str]) -> PairConfig:
    """Read the settings of pairs from the config, with other surrogates."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(PairConfig, "pairs")
    settings = yaml.safe_load(PAIRS_CONFIG.read_text())
    settings["objective"]["init_args"]["models"] = surrogates
    parsed = parser.parse_object({"pairs": settings})
    config: PairConfig = parser.instantiate_classes(parsed).pairs
    return config


def _edits(config: Path, shipped: Path) -> list[dict[str, Any] | None]:
    """Read the edits from a config, with a purifier from the folder of models."""
    edits: list[dict[str, Any] | None] = yaml.safe_load(config.read_text())["model"]["edits"]
    for edit in edits:
        if edit and "model" in edit["init_args"]:
            edit["init_args"]["model"] = str(shipped / Path(edit["init_args"]["model"]).name)
    return edits


def _fit(config: Path, root: Path, settings: dict[str, str]) -> TrainingCLI:
    """Train RID from a config with some settings replaced."""
    return run_rid(fit_arguments(config, root, settings))
