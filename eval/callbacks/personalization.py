"""Callback: personalization attack on protected, held-out people."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor
from torch.utils.data import Dataset
from torchmetrics import MeanMetric

from datamodules.identities import as_people
from eval.attacks.attack import Attack
from eval.callbacks.periodic import PeriodicEvaluation, Scalars
from eval.callbacks.pictures import labeled_rows
from eval.metrics.identity import IdentityPreservation, mean_embedding
from eval.metrics.quality import quantize
from models.faces.backends import FaceBackend, load_faces


class PersonalizationCallback(PeriodicEvaluation):
    """Attacks protected people and logs ISM and FDFR.

    ``ism_all`` is the mean over people of the ISM with no face = 0, each person's at least 0, as on
    the pages of the studies. ``ism`` and ``fdfr`` are over images.

    Images are protected by the module's ``protect``. The clean images are attacked once for
    comparison. People are shared out over the ranks. The logged images are those of the first rank:
    the attacker's training images and generated images.

    Args:
        people: Data set of persons.
        attack: The attack.
        faces: The face detector and embedder: a folder, a Hub id, ``opencv`` or ``insightface``.
        every_n_steps: Optimizer steps between two evaluations, at least 1.
        name: Values are logged as ``NAME/clean_METRIC`` and ``NAME/protected_METRIC``.
        pictures: Images of each person and kind in the grid.

    Raises:
        ValueError: If ``people`` is not a data set of persons, or ``every_n_steps`` is below 1.
    """

    required_methods = ("protect",)
    supported_trainings = "python -m rid fit, such as -c configs/rid/tiny_watched.yaml"

    def __init__(
        self,
        people: Dataset,  # type: ignore[type-arg]
        attack: Attack,
        faces: str,
        every_n_steps: int = 1000,
        name: str = "personalization",
        pictures: int = 4,
    ) -> None:
        super().__init__(every_n_steps, name)
        self.people = as_people(people)
        self.attack = attack
        self.faces = faces
        self.pictures = pictures
        self._clean: Scalars | None = None

    @cached_property
    def backend(self) -> FaceBackend:
        """The face detector and embedder, opened on first use."""
        return load_faces(self.faces)

    def check(self, module: Any) -> None:
        person = self.people[0]
        module.protect(person["train"][:1].to(module.device))
        # Raises an error if the references show no face.
        mean_embedding(self.backend(person["reference"]))
        self.attack.files()

    def evaluate(self, trainer: Trainer, module: Any) -> tuple[Scalars, Tensor]:
        self.attack.to(module.device)
        if self._clean is None:
            self._clean, _ = self._attack_people(trainer, module.device, lambda images: images)
        protected, grid = self._attack_people(trainer, module.device, module.protect)
        # Free the device's memory for the training.
        self.attack.to("cpu")
        values = {f"clean_{metric}": value for metric, value in self._clean.items()}
        values |= {f"protected_{metric}": value for metric, value in protected.items()}
        return values, grid

    def _attack_people(
        self, trainer: Trainer, device: torch.device, protect: Any
    ) -> tuple[Scalars, Tensor]:
        """Attack this rank's people.

        Returns:
            Metrics over all ranks' people, and a grid of this rank's images with two rows for each
            person: the attacker's training images, and generated images.
        """
        metric = IdentityPreservation(self.backend).to(device)
        scores = MeanMetric(nan_strategy="ignore").to(device)
        rows: dict[str, Tensor] = {}
        for index in range(trainer.global_rank, len(self.people), trainer.world_size):
            person = self.people[index]
            published = quantize(protect(person["train"].to(device)))
            generated = self.attack(published).to(device)
            # The value of this person alone, also added to that of all.
            of_person = metric(generated, person["reference"].to(device))
            scores.update(of_person["ism_all"].clamp(min=0))
            rows[f"{person['name']}, published"] = published[: self.pictures]
            rows[f"{person['name']}, generated"] = generated[: self.pictures]
        return metric.compute() | {"ism_all": scores.compute()}, labeled_rows(rows)
