"""The protection study: every person protected by every arm, attacked, and measured."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from datamodules.identities import IdentityDataset, Person
from engine.devices import Process
from engine.files import write_text
from engine.job import Batch, Job
from eval.attacks.personalization import Personalization
from eval.attacks.purification import Purifier
from eval.metrics.extra import ExtraMetrics
from eval.metrics.identity import FaceBackend, IdentityPreservation, mean_embedding, similarities
from eval.metrics.quality import brisque, fidelity, quantize
from eval.studies.arms import Arm
from eval.studies.results import result_file, save_all
from images.io import open_photo

Measured = dict[str, dict[str, float]]
"""Metric values by arm."""


@dataclass(frozen=True)
class PersonInput:
    """One person of a data set, known by name and content.

    Attributes:
        people: The data set.
        place: Of the person in it.
        name: Of the person.
        sha256: Of the images.
    """

    people: IdentityDataset
    place: int
    name: str
    sha256: str

    group: ClassVar[str] = ""
    size: ClassVar[int] = 0

    @classmethod
    def of(cls, people: IdentityDataset, place: int) -> PersonInput:
        """The person at a place."""
        person = people[place]
        digest = hashlib.sha256()
        for images in (person["train"], person["reference"]):
            digest.update(images.contiguous().numpy().tobytes())
        return cls(people, place, person["name"], digest.hexdigest())

    @property
    def mtime_ns(self) -> int:
        """Changes with the images."""
        return int(self.sha256[:15], 16)

    def digest(self) -> str:
        return self.sha256

    def load(self) -> Person:
        """The images."""
        return self.people[self.place]


class ProtectionStudy(Job[PersonInput, Person, dict[str, Any], dict[str, Any]]):
    """Protects, attacks and measures one person per step.

    Writes ``OUT/people/NAME/ARM/{protected,purified,generated}_NN.png`` and, last, ``OUT/people/NAME/result.json``.

    Args:
        arms: Named ways of protecting.
        attack: The personalization attack.
        faces: Detector and embedder.
        seed: Of the arms' noise; every person has a seed of their own derived from it.
        output: Folder of the results.
        purification: What the attacker does to the images before learning from them.
        clean_fraction: Share of each person's images that the attacker has unprotected.
        protected: Folder that keeps protected images for other studies of the same people and arms.
        extra: Metrics beyond the usual ones.
    """

    command = "eval personalize"
    unit = "person"

    def __init__(
        self,
        arms: dict[str, Arm],
        attack: Personalization,
        faces: FaceBackend,
        seed: int,
        output: Path,
        purification: Purifier | None = None,
        clean_fraction: float = 0.0,
        protected: Path | None = None,
        extra: ExtraMetrics | None = None,
    ) -> None:
        self.arms, self.attack, self.faces, self.seed, self.output = (
            arms,
            attack,
            faces,
            seed,
            output,
        )
        self.purification, self.clean_fraction, self.kept, self.extra = (
            purification,
            clean_fraction,
            protected,
            extra,
        )

    def setup(self, process: Process) -> None:
        self.device = process.device
        self.attack.to(process.device)
        for part in (self.faces, self.purification, self.extra):
            if part is not None and hasattr(part, "to"):
                part.to(process.device)

    def input_bytes(self, source: PersonInput) -> int:
        return 0

    def prepare(self, source: PersonInput) -> Person:
        return source.load()

    def step(self, batch: Batch[PersonInput, Person]) -> list[dict[str, Any]]:
        return [
            self._study(person, place)
            for person, place in zip(batch.prepared, batch.positions, strict=True)
        ]

    def _study(self, loaded: Person, place: int) -> dict[str, Any]:
        """Images and metrics of one person."""
        person = Person(
            name=loaded["name"],
            train=loaded["train"].to(self.device),
            reference=loaded["reference"].to(self.device),
        )
        real = self._real_similarity(
            person
        )  # before the long work: it fails where the references show no face
        seed = self.seed + 1000 * place
        steps = len(self.arms) * self.attack.config.steps
        done = iter(range(1, steps + 1))
        outcome = {
            name: self._one_arm(name, person, seed, lambda _: self.report_step(next(done), steps))
            for name in self.arms
        }
        return {
            "name": person["name"],
            "pictures": {name: pictures for name, (pictures, _) in outcome.items()},
            "measured": {name: measured for name, (_, measured) in outcome.items()},
            "real_ism": real,
        }

    def finish(self, prepared: Person, result: dict[str, Any]) -> dict[str, Any]:
        folder = result_file(self.output, result["name"]).parent
        shutil.rmtree(folder, ignore_errors=True)
        save_all(prepared["train"], folder / "original")
        for arm, pictures in result["pictures"].items():
            for kind, images in pictures.items():
                save_all(images, folder / arm / kind)
        return {key: result[key] for key in ("name", "measured", "real_ism")}

    def write(self, source: PersonInput, finished: dict[str, Any]) -> dict[str, Any]:
        write_text(result_file(self.output, source.name), json.dumps(finished, indent=2) + "\n")
        return {"name": source.name}

    def exists(self, source: PersonInput, row: dict[str, Any]) -> bool:
        return result_file(self.output, source.name).is_file()

    def earlier_rows(self, record: Path) -> dict[str, dict[str, Any]]:
        return {
            file.parent.name: {"name": file.parent.name}
            for file in record.glob("people/*/result.json")
        }

    def _one_arm(
        self, name: str, person: Person, seed: int, on_step: Callable[[float], None]
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        protected = self._protect(name, person, seed)
        pictures = {"protected": protected}
        shown = protected.clone()
        unprotected = round(self.clean_fraction * len(shown))
        shown[:unprotected] = quantize(person["train"][:unprotected])
        if self.purification is not None:
            with torch.no_grad():
                shown = quantize(self.purification(shown, torch.Generator().manual_seed(seed)))
            pictures["purified"] = shown
        generated = self.attack(shown, on_step).to(protected)
        identity = IdentityPreservation(self.faces, sync_on_compute=False).to(
            protected.device
        )  # one person is one rank's
        identity.update(generated, person["reference"])
        measured = {metric: float(value) for metric, value in identity.compute().items()}
        clean, said = quantize(person["train"]), self.attack.config.plain_prompts()
        measured |= fidelity(protected, clean) | {"brisque": brisque(generated)}
        if self.extra is not None:
            measured |= self.extra.person_metrics(generated, said, protected, clean)
        return pictures | {"generated": generated}, measured

    def _real_similarity(self, person: Person) -> float:
        """ISM between the person's real pictures: the clean ones to be attacked against the reference, undetected counted 0."""
        try:
            centre = mean_embedding(self.faces(person["reference"]))
        except ValueError as error:
            msg = f"{person['name']}: {error}"
            raise ValueError(msg) from error
        seen = self.faces(person["train"])
        return float(similarities(seen, centre).sum() / len(seen.detected))

    def _protect(self, name: str, person: Person, seed: int) -> Tensor:
        """The person's protected pictures, from the folder that keeps them if they are there."""
        if self.kept is None:
            return self.arms[name](person["train"], seed)
        folder = self.kept / name / person["name"]
        files = [folder / f"protected_{index:02d}.png" for index in range(len(person["train"]))]
        if not all(file.is_file() for file in files):
            save_all(self.arms[name](person["train"], seed), folder / "protected")
        return torch.stack([open_photo(file).tensor() for file in files]).to(person["train"])
