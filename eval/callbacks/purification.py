"""Callback: remaining perturbation after purification, without an attack."""

from __future__ import annotations

from typing import Any

import torch
from lightning import Trainer
from torch import Tensor
from torch.utils.data import Dataset
from torchmetrics import MeanMetric

from checkpoints.folders import model_folder
from datamodules.identities import as_people
from eval.attacks.purification import Purifier
from eval.callbacks.periodic import PeriodicEvaluation, Scalars
from eval.callbacks.pictures import labeled_rows
from eval.metrics.quality import quantize

SEED = 0


class PurificationCallback(PeriodicEvaluation):
    """Purifies protected images and logs the remaining perturbation.

    Images are protected by the module's ``protect``. ``METHOD/kept`` is the root mean square of the
    remaining perturbation over that of the perturbation. The remaining perturbation is the
    difference of purified protected and purified clean images under the same random draws.

    A module with an ``ensemble`` (see rid.ensemble) also logs its denoising error on purified
    images, ``METHOD/denoising_clean`` and ``METHOD/denoising_protected``. The protection is
    effective as long as the second is larger.

    Args:
        people: Data set of persons, shared out over the ranks; their training images are protected.
        purifications: Purifications, by name.
        every_n_steps: Optimizer steps between two evaluations, at least 1.
        name: Values are logged as ``NAME/METHOD/VALUE``.
        pictures: Images in each row of the grid: clean, protected, and purified by each method.

    Raises:
        ValueError: If ``people`` is not a data set of persons, there is no method, or
            ``every_n_steps`` is below 1.
    """

    required_methods = ("protect",)
    supported_trainings = "python -m rid fit, such as -c configs/rid/tiny_watched.yaml"

    def __init__(
        self,
        people: Dataset,  # type: ignore[type-arg]
        purifications: dict[str, Purifier],
        every_n_steps: int = 1000,
        name: str = "purification",
        pictures: int = 8,
    ) -> None:
        super().__init__(every_n_steps, name)
        if not purifications:
            msg = "purifications is empty: name at least one method"
            raise ValueError(msg)
        self.people = as_people(people)
        self.purifications = purifications
        self.pictures = pictures

    def check(self, module: Any) -> None:
        module.protect(self.people[0]["train"][:1].to(module.device))
        for method in self.purifications.values():
            for model in method.models():
                model_folder(model)

    def evaluate(self, trainer: Trainer, module: Any) -> tuple[Scalars, Tensor]:
        rows: dict[str, Tensor] = {}
        for method in self.purifications.values():
            method.to(module.device)

        # Every rank has all metrics, even a rank without a person.
        ensemble = getattr(module, "ensemble", None)
        means = {key: MeanMetric().to(module.device) for key in self._keys(bool(ensemble))}
        for index in range(trainer.global_rank, len(self.people), trainer.world_size):
            clean = quantize(self.people[index]["train"].to(module.device))
            protected = quantize(module.protect(clean))
            shown = {"clean": clean, "protected": protected}
            for name, method in self.purifications.items():
                purified = {
                    "clean": quantize(method(clean, _generator())),
                    "protected": quantize(method(protected, _generator())),
                }
                remaining = rms(purified["protected"] - purified["clean"])
                means[f"{name}/kept"].update(remaining / rms(protected - clean).clamp(min=1e-6))
                if ensemble:
                    for kind, images in purified.items():
                        error = ensemble.denoising_loss(images, _generator()).mean()
                        means[f"{name}/denoising_{kind}"].update(error.float())
                shown[f"protected, after {name}"] = purified["protected"]
            rows = rows or {name: images[: self.pictures] for name, images in shown.items()}

        # Free the device's memory for the training.
        for method in self.purifications.values():
            method.to("cpu")
        return {key: mean.compute() for key, mean in means.items()}, labeled_rows(rows)

    def _keys(self, with_denoising: bool) -> list[str]:
        """List the names of all values."""
        keys = [f"{method}/kept" for method in self.purifications]
        if with_denoising:
            for method in self.purifications:
                keys += [f"{method}/denoising_clean", f"{method}/denoising_protected"]
        return keys


def rms(values: Tensor) -> Tensor:
    """Root mean square, a scalar."""
    return values.square().mean().sqrt()


def _generator() -> torch.Generator:
    """Create a generator with the fixed seed."""
    return torch.Generator().manual_seed(SEED)
