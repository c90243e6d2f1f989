"""The attack on held-out people, protected by the module as it is."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.utils import make_grid

from checkpoints.folders import pipeline_folder
from datamodules.identities import as_people
from eval.attacks.personalization import Personalization
from eval.callbacks.periodic import PeriodicEvaluation, Scalars
from eval.metrics.identity import FaceBackend, IdentityPreservation, load_faces, mean_embedding
from eval.metrics.quality import quantised


class PersonalizationCallback(PeriodicEvaluation):
    """Attacks people whose pictures the module's ``protect`` protected, and logs ISM and FDFR, and what the attacker drew.

    The same is done once with the clean pictures. People are shared out over the ranks; the pictures are those of the first rank's.

    Args:
        people: Data set of persons.
        attack: The personalization attack.
        faces: The face detector and embedder: a folder, a Hub id, ``opencv`` or ``insightface``.
        every_n_steps: Optimiser steps between two evaluations.
        name: Values are logged as ``NAME/clean_METRIC`` and ``NAME/protected_METRIC``.
        pictures: Pictures of each person and kind in the grid.

    Raises:
        ValueError: If ``people`` is no data set of persons, or ``every_n_steps`` is below 1.
    """

    needs = ("protect",)
    fits = "python -m rid fit, such as -c configs/rid/tiny_watched.yaml"

    def __init__(
        self,
        people: Dataset,
        attack: Personalization,
        faces: str,
        every_n_steps: int = 1000,
        name: str = "personalization",
        pictures: int = 4,
    ) -> None:
        super().__init__(every_n_steps, name)
        self.people, self.attack, self.faces, self.pictures = (
            as_people(people),
            attack,
            faces,
            pictures,
        )
        self._clean: Scalars | None = None

    @cached_property
    def backend(self) -> FaceBackend:
        """The face detector and embedder, opened on first use."""
        return load_faces(self.faces)

    def check(self, module: Any) -> None:
        person = self.people[0]
        module.protect(person["train"][:1].to(module.device))
        mean_embedding(self.backend(person["reference"]))  # says so if the references show no face
        pipeline_folder(self.attack.config.model)

    def evaluate(self, trainer: Trainer, module: Any) -> tuple[Scalars, Tensor]:
        self.attack.to(module.device)
        if self._clean is None:
            self._clean, _ = self._attacked(trainer, module.device, lambda images: images)
        measured, picture = self._attacked(trainer, module.device, module.protect)
        self.attack.to("cpu")  # training needs the room
        arms = {"clean": self._clean, "protected": measured}
        return {
            f"{arm}_{metric}": value
            for arm, values in arms.items()
            for metric, value in values.items()
        }, picture

    def _attacked(
        self, trainer: Trainer, device: torch.device, protect: Any
    ) -> tuple[Scalars, Tensor]:
        """The metrics over all ranks' people, and this rank's pictures: a line of shown and of drawn ones for each person."""
        metric, lines = IdentityPreservation(self.backend).to(device), []
        for index in range(trainer.global_rank, len(self.people), trainer.world_size):
            person = self.people[index]
            shown = quantised(protect(person["train"].to(device)))
            drawn = self.attack(shown).to(device)
            metric.update(drawn, person["reference"].to(device))
            lines += [part[: self.pictures].float().cpu() for part in (shown, drawn)]
        picture = (
            make_grid(torch.cat(lines), nrow=min(self.pictures, len(lines[0])))
            if lines
            else torch.zeros(3, 1, 1)
        )
        return metric.compute(), picture
