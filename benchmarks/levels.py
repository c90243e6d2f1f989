"""Protection by the size of its bound, after edits.

Run ``python -m benchmarks.levels``.

The shipped generator, its perturbation scaled down as ``rid protect --strength`` does, and gradient
ascent for each image through edits. The table shows by how much each raises the denoising error of
a toy pipeline, over clean images with the same edit.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure as ssim

from checkpoints.folders import ROOT
from engine.pages.shell import in_brackets
from engine.statistics import mean_interval
from engine.statistics.bootstrap import Values
from eval.attacks.purification import Crop, DownUp, GridPure, Jpeg, Purifier
from eval.metrics.denoising import denoising_errors
from eval.metrics.quality import quantize
from rid.edits import OverEdits
from rid.ensemble import DiffusionEnsemble
from rid.pairs.config import PGDConfig
from rid.pairs.objectives import Denoising
from rid.pairs.pgd import pgd
from rid.weights import load_generator
from tiny.dataset import PortraitDataset

MODELS = ROOT / "checkpoints" / "tiny"
PEOPLE = 32
LEVELS = (3, 4, 6, 8, 12)
TRAINED: tuple[Purifier | None, ...] = (None, DownUp(0.5), Jpeg(75), Crop(0.75))
"""Edits in each step of the ascent."""


def measured_edits() -> dict[str, Purifier | None]:
    """Return the edits before measuring, by name."""
    return {
        "no edit": None,
        "half size": DownUp(0.5),
        "JPEG 75": Jpeg(75),
        "crop 75 %": Crop(0.75),
        "GrIDPure": GridPure(str(MODELS / "ddpm"), steps=10, iterations=5),
    }


def errors(ensemble: DiffusionEnsemble, images: Tensor, edit: Purifier | None) -> Values:
    """Compute each image's denoising error after an edit.

    Args:
        ensemble: The attacked model.
        images: (B, 3, S, S) in [0, 1].
        edit: The edit; None for none.

    Returns:
        (B,).
    """
    edited = images if edit is None else edit(images, torch.Generator().manual_seed(0))
    values: Values = denoising_errors(ensemble, quantize(edited)).double().numpy()
    return values


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default=str(MODELS / "rid"), help="folder of the generator")
    parser.add_argument("--steps", type=int, default=60, help="steps of the ascent")
    settings = parser.parse_args()
    items = PortraitDataset(1_000_100, PEOPLE, 1).__getitems__(list(range(PEOPLE)))
    clean = quantize(torch.stack([item["image"] for item in items]))
    ensemble = DiffusionEnsemble([str(MODELS / "sd-a1")])
    edits = measured_edits()
    before = {name: errors(ensemble, clean, edit) for name, edit in edits.items()}
    print(f"| protection | levels | SSIM | {' | '.join(edits)} |")
    print("|---" * (3 + len(edits)) + "|")

    def row(name: str, levels: float, protected: Tensor) -> None:
        """Print the mean rises over the images, with their intervals."""
        protected = quantize(protected)
        cells = [name, f"{levels:g}", f"{ssim(protected, clean, data_range=1.0):.3f}"]
        for edit_name, edit in edits.items():
            rises = errors(ensemble, protected, edit) / before[edit_name] - 1
            spread = in_brackets(mean_interval(rises), "+.0%")
            cells.append(f"{np.mean(rises):+.0%}{spread}")
        print(f"| {' | '.join(cells)} |", flush=True)

    generator = load_generator(settings.weights).eval()
    with torch.no_grad():
        perturbation = generator(clean)
    for levels in LEVELS:
        if levels <= generator.budget:
            change = perturbation * levels / generator.budget
            row("generator", levels, (clean + change).clamp(0, 1))
    surrogates = [str(MODELS / name) for name in ("sd-a1", "sd-a2")]
    objective = OverEdits(Denoising(surrogates, prompt=" "), TRAINED)
    for levels in LEVELS:
        config = PGDConfig(settings.steps, step_size=levels / 10)
        source = torch.Generator().manual_seed(0)
        row("ascent", levels, pgd(clean, [objective], levels, config, source))


if __name__ == "__main__":
    main()
