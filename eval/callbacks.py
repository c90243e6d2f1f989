"""Evaluation during training: pictures of the perturbation, and the attack on held-out people."""

from __future__ import annotations

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.utils import make_grid

from datamodules.identities import as_people
from eval.attacks.personalization import Personalization
from eval.metrics.identity import IdentityPreservation, load_faces
from eval.metrics.quality import quantised
from rid.task import RIDTask


class PictureGrid(Callback):
    """Logs a grid per validation: clean pictures, protected ones, their difference amplified, row by row.

    Args:
        pictures: How many columns.
        gain: Amplification of the difference, around mid-grey.
    """

    def __init__(self, pictures: int = 8, gain: float = 10.0) -> None:
        self.pictures, self.gain = pictures, gain

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: dict[str, Tensor], batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if batch_idx == 0 and not trainer.sanity_checking:
            self._log(trainer, picture_grid(batch["image"][: self.pictures], outputs[: self.pictures], self.gain))

    @rank_zero_only
    def _log(self, trainer: Trainer, grid: Tensor) -> None:
        writer = getattr(trainer.logger, "experiment", None)
        if writer is not None and hasattr(writer, "add_image"):
            writer.add_image("clean, protected, difference", grid, trainer.global_step)


def picture_grid(clean: Tensor, protected: Tensor, gain: float) -> Tensor:
    """Three rows, clean, protected and amplified difference, of (B, 3, S, S) pictures in [0, 1]; one (3, H, W) picture."""
    difference = (0.5 + gain * (protected - clean)).clamp(0, 1)
    return make_grid(torch.cat([clean, protected, difference]).float().cpu(), nrow=len(clean))


class PersonalizationEvaluation(Callback):
    """Runs the attack on held-out people, protected by the generator as it is, and logs ISM and FDFR.

    Args:
        people: Data set of persons.
        attack: The personalization attack.
        faces: Folder or Hub id of the face detector and embedder.
        every_n_validations: Run it at every n-th validation.
        name: Metrics are logged as ``eval/NAME/METRIC``.

    Raises:
        ValueError: If ``people`` is no data set of persons, or ``every_n_validations`` is below 1.
    """

    def __init__(
        self,
        people: Dataset,
        attack: Personalization,
        faces: str,
        every_n_validations: int = 1,
        name: str = "lora_ti",
    ) -> None:
        if every_n_validations < 1:
            msg = f"every_n_validations must be at least 1, got {every_n_validations}"
            raise ValueError(msg)
        self.people, self.attack, self.faces, self.every, self.name = as_people(people), attack, faces, every_n_validations, name
        self.validations = 0
        self.clean: dict[str, Tensor] | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"validations": self.validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.validations = state_dict["validations"]

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking:
            return
        self.validations += 1
        if (self.validations - 1) % self.every:
            return
        if not isinstance(pl_module, RIDTask):
            msg = f"PersonalizationEvaluation evaluates a RIDTask, not a {type(pl_module).__name__}"
            raise TypeError(msg)
        if self.clean is None:
            self.clean = self._measure(trainer, pl_module, protect=False)
        for arm, measured in (("clean", self.clean), ("rid", self._measure(trainer, pl_module, protect=True))):
            for metric, value in measured.items():
                pl_module.log(f"eval/{self.name}/{arm}_{metric}", value.float())

    def _measure(self, trainer: Trainer, task: RIDTask, *, protect: bool) -> dict[str, Tensor]:
        """Attack this rank's share of the people; the metric is reduced over ranks."""
        self.attack.to(task.device)
        metric = IdentityPreservation(load_faces(self.faces)).to(task.device)
        for index in range(trainer.global_rank, len(self.people), trainer.world_size):
            person = self.people[index]
            images = person["train"].to(task.device)
            with torch.no_grad():
                shown = quantised(task.generator.protect(images) if protect else images)
            metric.update(self.attack(shown).to(task.device), person["reference"].to(task.device))
        return metric.compute()
