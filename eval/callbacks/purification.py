"""How much of a protection is left after purification, without an attack."""

from __future__ import annotations

from typing import Any

import torch
from lightning import Trainer
from torch import Tensor
from torch.utils.data import Dataset
from torchmetrics import MeanMetric
from torchvision.utils import make_grid

from checkpoints.folders import model_folder
from datamodules.identities import as_people
from eval.attacks.purification import Purifier
from eval.callbacks.periodic import PeriodicEvaluation, Scalars
from eval.metrics.quality import quantised

SEED = 0


class PurificationCallback(PeriodicEvaluation):
    """Purifies pictures that the module's ``protect`` protected, and logs what is left of the perturbation.

    ``METHOD/kept`` is the root mean square of what is left, purified protected minus purified clean pictures under the same random
    draws, over that of the perturbation. A module with an ``ensemble`` (see rid.ensemble) also gets ``METHOD/denoising_clean`` and
    ``METHOD/denoising_protected``, its error on either: protection holds as long as the second is above the first.

    Args:
        people: Data set of persons; their pictures to be protected are used, shared out over the ranks by person.
        purifications: Ways to purify, by name.
        every_n_steps: Optimiser steps between two evaluations.
        name: Values are logged as ``NAME/METHOD/VALUE``.
        pictures: Pictures in each line of the grid: clean, protected, and purified by each method.

    Raises:
        ValueError: If ``people`` is no data set of persons, there is no method, or ``every_n_steps`` is below 1.
    """

    needs = ("protect",)
    fits = "python -m rid fit, such as -c configs/rid/tiny_watched.yaml"

    def __init__(
        self,
        people: Dataset,
        purifications: dict[str, Purifier],
        every_n_steps: int = 1000,
        name: str = "purification",
        pictures: int = 8,
    ) -> None:
        super().__init__(every_n_steps, name)
        if not purifications:
            msg = "purifications is empty: name at least one method"
            raise ValueError(msg)
        self.people, self.purifications, self.pictures = as_people(people), purifications, pictures

    def check(self, module: Any) -> None:
        module.protect(self.people[0]["train"][:1].to(module.device))
        for method in self.purifications.values():
            if method.model is not None:
                model_folder(method.model)

    def evaluate(self, trainer: Trainer, module: Any) -> tuple[Scalars, Tensor]:
        lines: list[Tensor] = []
        for method in self.purifications.values():
            method.to(module.device)
        keys = [f"{method}/kept" for method in self.purifications]
        if ensemble := getattr(module, "ensemble", None):
            keys += [
                f"{method}/denoising_{kind}"
                for method in self.purifications
                for kind in ("clean", "protected")
            ]
        means = {
            key: MeanMetric().to(module.device) for key in keys
        }  # on every rank, even one that has no person
        for index in range(trainer.global_rank, len(self.people), trainer.world_size):
            clean = quantised(self.people[index]["train"].to(module.device))
            protected = quantised(module.protect(clean))
            shown = [clean, protected]
            for name, method in self.purifications.items():
                washed = [
                    quantised(method(images, torch.Generator().manual_seed(SEED)))
                    for images in (clean, protected)
                ]
                means[f"{name}/kept"].update(
                    rms(washed[1] - washed[0]) / rms(protected - clean).clamp(min=1e-6)
                )
                for kind, images in zip(("clean", "protected"), washed, strict=True):
                    if ensemble:
                        error = ensemble.denoising_loss(
                            images, torch.Generator().manual_seed(SEED)
                        ).mean()
                        means[f"{name}/denoising_{kind}"].update(error.float())
                shown.append(washed[1])
            lines = lines or [images[: self.pictures].float().cpu() for images in shown]
        for method in self.purifications.values():
            method.to("cpu")
        picture = make_grid(torch.cat(lines), nrow=len(lines[0])) if lines else torch.zeros(3, 1, 1)
        return {key: mean.compute() for key, mean in means.items()}, picture


def rms(values: Tensor) -> Tensor:
    """Root mean square, a scalar."""
    return values.square().mean().sqrt()
