"""Bounds weighted by visibility, against one bound for all pixels.

Run ``python -m benchmarks.visibility``.

Momentum ascent on the denoising error of two toy pipelines, through the image and its half size,
with one bound for all pixels, and with a bound in proportion to the just noticeable difference
(JND; see :mod:`indexing.jnd`), up to ``CEILING`` levels of it. The table shows protection beside
visibility: the rise of the denoising error, SSIM, PSNR, and the share of values above the JND.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure as ssim

from checkpoints.folders import ROOT
from eval.attacks.purification import DownUp, Purifier
from eval.metrics.denoising import denoising_error
from eval.metrics.quality import quantize
from indexing.jnd import just_noticeable_difference
from rid.edits import OverEdits
from rid.ensemble import DiffusionEnsemble
from rid.pairs.objectives import Denoising
from tiny.dataset import PortraitDataset

CEILING = 12.0
"""JND at which a pixel gets the whole bound, in gray levels of 255."""

PEOPLE = 24
STEPS = 30
EDITS: tuple[Purifier | None, ...] = (None, DownUp(0.5))


def ascend(attacked: Denoising, images: Tensor, bounds: Tensor) -> Tensor:
    """Protect images within a bound for each pixel.

    Args:
        attacked: The denoising error that rises.
        images: (B, 3, S, S) in [0, 1].
        bounds: Bounds of the same shape, in [0, 1].

    Returns:
        Protected images with 8-bit values, same shape.
    """
    objective = OverEdits(attacked, EDITS)
    generator = torch.Generator().manual_seed(0)
    perturbation = torch.zeros_like(images)
    velocity = torch.zeros_like(images)
    for _ in range(STEPS):
        current = (images + perturbation).clamp(0, 1).requires_grad_(True)
        (gradient,) = torch.autograd.grad(objective(current, generator).sum(), current)
        velocity = 0.9 * velocity + gradient / gradient.abs().mean((1, 2, 3), keepdim=True)
        perturbation = perturbation + velocity.sign() * bounds / 6
        perturbation = torch.maximum(torch.minimum(perturbation, bounds), -bounds)
    return quantize((images + perturbation).clamp(0, 1).detach())


def main() -> None:
    """Print the table."""
    items = PortraitDataset(900_100, PEOPLE, 1).__getitems__(list(range(PEOPLE)))
    images = quantize(torch.stack([item["image"] for item in items]))
    models = [str(ROOT / "checkpoints" / "tiny" / name) for name in ("sd-a1", "sd-a2")]
    attacked = Denoising(models, prompt=" ")
    ensemble = attacked.ensemble
    jnd = just_noticeable_difference(images, "reflect").expand_as(images)
    weights = {"one bound": torch.ones_like(jnd), "JND": (255 / CEILING * jnd).clamp(max=1)}
    clean = [_error(ensemble, images, edit) for edit in EDITS]
    print("| bound | levels | error | error at half size | SSIM | PSNR dB | above JND |")
    print("|---|---|---|---|---|---|---|")
    for name, levels in [("one bound", n) for n in (3, 4, 5, 6)] + [("JND", n) for n in (6, 7, 8)]:
        protected = ascend(attacked, images, weights[name] * levels / 255)
        rises = []
        for edit, before in zip(EDITS, clean, strict=True):
            rises.append(f"+{_error(ensemble, protected, edit) / before - 1:.1%}")
        change = (protected - images).abs()
        psnr = -10 * change.square().mean((1, 2, 3)).log10().mean()
        cells = [
            name,
            str(levels),
            *rises,
            f"{ssim(protected, images, data_range=1.0):.4f}",
            f"{psnr:.1f}",
            f"{(change > jnd).float().mean():.1%}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


def _error(ensemble: DiffusionEnsemble, images: Tensor, edit: Purifier | None) -> float:
    """Compute the denoising error of edited images."""
    edited = images if edit is None else edit(images, torch.Generator())
    with torch.no_grad():
        return denoising_error(ensemble, quantize(edited), 6)


if __name__ == "__main__":
    main()
