"""Effect of training RID through edits, measured after edits.

Run ``python -m benchmarks.robustness --start GENERATOR``.

A generator from regression alone (``configs/rid/tiny_regression.yaml``) is trained further with
``configs/rid/tiny_robust.yaml``, for the same number of steps through each list of edits, with
three seeds. Protection raises the surrogates' denoising error, which is measured on protected
images of validation people after every edit.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from checkpoints.folders import ROOT
from eval.attacks.purification import Crop, DownUp, GaussianBlur, Jpeg, Purifier
from eval.metrics.denoising import denoising_error
from eval.metrics.quality import quantize
from rid.ensemble import DiffusionEnsemble
from rid.generator import PerturbationGenerator
from rid.training.cli import main as rid
from rid.weights import load_generator
from tiny.dataset import PortraitDataset

CONFIG = ROOT / "configs" / "rid" / "tiny_robust.yaml"


def edit(name: str, **settings: Any) -> dict[str, Any]:
    """Name an edit and its settings, as in a config."""
    return {"class_path": f"eval.attacks.purification.{name}", "init_args": settings}


HALF = edit("DownUp", scale=0.5)
JPEG = edit("Jpeg", quality=75)
CROP = edit("RandomCrop", keep=0.75)

TRAINED = {
    "no edit": [None],
    "half size": [None, HALF],
    "JPEG 75": [None, JPEG],
    "crop 75 %": [None, CROP],
    "all of them": [None, HALF, JPEG, CROP],
}
"""Edits in training."""

MEASURED: dict[str, Purifier | None] = {
    "no edit": None,
    "half size": DownUp(0.5),
    "JPEG 75": Jpeg(75),
    "crop 75 %": Crop(0.75),
    "blur 1.0": GaussianBlur(1.0),
}
"""Edits before measuring."""

SEEDS = (0, 1, 2)
PEOPLE = 64
NOISE_SAMPLES = 6


@torch.no_grad()
def errors(ensemble: DiffusionEnsemble, images: Tensor) -> list[float]:
    """Compute the ensemble's mean denoising error on 8-bit images after every edit.

    The noise is the same for all edits.
    """
    values = []
    for purifier in MEASURED.values():
        edited = images if purifier is None else purifier(images, torch.Generator())
        values.append(denoising_error(ensemble, quantize(edited), NOISE_SAMPLES))
    return values


def train(start: str, edits: list[Any], seed: int, steps: int, root: Path) -> PerturbationGenerator:
    """Train further through edits, and return the generator."""
    arguments = [
        "fit",
        "-c",
        str(CONFIG),
        f"--seed_everything={seed}",
        f"--trainer.default_root_dir={root}",
        "--trainer.accelerator=cpu",
        f"--trainer.max_steps={steps}",
        f"--trainer.val_check_interval={steps}",
        f"--model.generator.init_args.name={start}",
        f"--model.edits={json.dumps(edits)}",
    ]
    generator: PerturbationGenerator = rid(arguments, quiet=True).model.generator.eval()
    return generator


def main() -> None:
    """Print the table: mean rise over the seeds, and the lowest and highest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start", required=True, help="folder of the generator to train further")
    parser.add_argument("--steps", type=int, default=300)
    settings = parser.parse_args()
    items = PortraitDataset(900_100, PEOPLE, 1).__getitems__(list(range(PEOPLE)))
    clean = torch.stack([item["image"] for item in items])
    ensemble = DiffusionEnsemble([str(ROOT / "checkpoints/tiny/sd-a1")])
    base = errors(ensemble, clean)

    def rises(generator: PerturbationGenerator) -> list[float]:
        """Compute the relative rise of the error after every edit."""
        with torch.no_grad():
            protected = quantize(generator.protect(clean))
        pairs = zip(errors(ensemble, protected), base, strict=True)
        return [after / before - 1 for after, before in pairs]

    print(f"| trained through | {' | '.join(MEASURED)} |")
    print("|---" * (len(MEASURED) + 1) + "|")
    start = rises(load_generator(settings.start).eval())
    print("| not trained further | " + " | ".join(f"+{rise:.1%}" for rise in start) + " |")
    for name, edits in TRAINED.items():
        runs = []
        for seed in SEEDS:
            root = Path("outputs") / "robustness" / f"{name.replace(' ', '_')}_{seed}"
            runs.append(rises(train(settings.start, edits, seed, settings.steps, root)))
        cells = [name]
        for values in zip(*runs, strict=True):
            spread = f"{min(values):.1%} to {max(values):.1%}"
            cells.append(f"+{statistics.mean(values):.1%} ({spread})")
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
