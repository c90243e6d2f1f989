"""Job of the protection study."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor

from datamodules.identities import IdentityDataset, Person
from engine.devices import Process
from engine.files import read_text, write_text
from engine.job import Batch, Job
from engine.records import to_json
from eval.arms import Arm
from eval.attacks.attack import Attack
from eval.attacks.personalization.attack import Learned, Personalization
from eval.attacks.personalization.weights import save_learned
from eval.attacks.purification import Purifier
from eval.metrics.extra import ExtraMetrics
from eval.metrics.identity import IdentityPreservation, mean_embedding, mean_similarity
from eval.metrics.quality import brisque, fidelity, quantize
from eval.studies.results import result_file, save_all
from images.io import open_photo
from models.faces.backends import FaceBackend

PERSON = "person.sha256"
"""File beside kept protected images: the hash of the person's images that they were made of."""


@dataclass(frozen=True)
class PersonInput:
    """One person of a data set, identified by name and content.

    Attributes:
        people: The data set.
        place: Index of the person in it.
        name: Name of the person.
        sha256: Hash of the images.
    """

    people: IdentityDataset
    place: int
    name: str
    sha256: str

    group: ClassVar[str] = ""
    size: ClassVar[int] = 0

    @classmethod
    def of(cls, people: IdentityDataset, place: int, person: Person) -> PersonInput:
        """Identify the person at an index.

        Args:
            people: The data set.
            place: The index.
            person: The person there.
        """
        digest = hashlib.sha256()
        for images in (person["train"], person["reference"]):
            digest.update(images.contiguous().numpy().tobytes())
        return cls(people, place, person["name"], digest.hexdigest())

    @property
    def mtime_ns(self) -> int:
        """Number that changes with the images."""
        return int(self.sha256[:15], 16)

    def digest(self) -> str:
        return self.sha256

    def load(self) -> Person:
        """Load the images."""
        return self.people[self.place]


class ProtectionStudy(Job[PersonInput, Person, dict[str, Any], dict[str, Any]]):
    """Protects, attacks and measures one person per step.

    Writes ``OUT/people/NAME/ARM/{protected,purified,generated}_NN.png`` and, last,
    ``OUT/people/NAME/result.json``. What the attack learned goes to ``OUT/people/NAME/ARM/weights``
    if it is kept.

    Args:
        arms: Arms by name.
        attack: The attack.
        faces: Face detector and embedder.
        seed: Seed of the arms' noise; each person's seed is derived from it.
        output: Folder of the results.
        purification: Purification before the attack; None for none.
        clean_fraction: Share of each person's images that the attacker has unprotected, 0 to 1.
        protected: Folder that keeps protected images for other studies of the same people and arms;
            those of other images of a person are made again.
        extra: Additional metrics.
        keep_weights: Keep the attack's LoRA and token; the attack must be a personalization.
    """

    command = "eval personalize"
    unit = "person"
    implied: ClassVar[Mapping[str, Any]] = MappingProxyType({"keep_weights": False})

    def __init__(
        self,
        arms: dict[str, Arm],
        attack: Attack,
        faces: FaceBackend,
        seed: int,
        output: Path,
        purification: Purifier | None = None,
        clean_fraction: float = 0.0,
        protected: Path | None = None,
        extra: ExtraMetrics | None = None,
        keep_weights: bool = False,
    ) -> None:
        self.arms = arms
        self.attack = attack
        self.faces = faces
        self.seed = seed
        self.output = output
        self.purification = purification
        self.clean_fraction = clean_fraction
        self.protected = protected
        self.extra = extra
        self.keep_weights = keep_weights

    def setup(self, process: Process) -> None:
        self.device = process.device
        self.attack.to(process.device)
        for arm in self.arms.values():
            arm.to(process.device)
        for part in (self.faces, self.purification, self.extra):
            if part is not None and hasattr(part, "to"):
                part.to(process.device)

    def input_bytes(self, source: PersonInput) -> int:
        return 0

    def prepare(self, source: PersonInput) -> Person:
        return source.load()

    def step(self, batch: Batch[PersonInput, Person]) -> list[dict[str, Any]]:
        people = zip(batch.inputs, batch.prepared, batch.positions, strict=True)
        return [
            self._study_person(person, source.sha256, position)
            for source, person, position in people
        ]

    def _study_person(self, loaded: Person, sha256: str, position: int) -> dict[str, Any]:
        """Compute images and metrics of one person in every arm."""
        person = loaded.copy()
        person["train"] = loaded["train"].to(self.device)
        person["reference"] = loaded["reference"].to(self.device)
        # First of all, because it fails if the references show no face.
        real_ism = self._real_ism(person)

        seed = self.seed + 1000 * position
        steps = len(self.arms) * self.attack.steps(len(person["train"]))
        counter = iter(range(1, steps + 1))

        def on_step(_: float) -> None:
            self.report_step(next(counter), steps)

        images: dict[str, dict[str, Tensor]] = {}
        measured: dict[str, dict[str, float]] = {}
        minutes: dict[str, float] = {}
        learned: dict[str, Learned] = {}
        for name in self.arms:
            protected = self._protect(name, person, sha256, seed)
            begin = time.monotonic()
            study = self._study_arm(protected, person, seed, on_step)
            images[name], measured[name], learned[name] = study
            minutes[name] = round((time.monotonic() - begin) / 60, 4)
        return {
            "name": person["name"],
            "images": images,
            "measured": measured,
            "learned": learned,
            "real_ism": real_ism,
            "references": len(person["reference"]),
            "minutes": minutes,
        }

    def finish(self, prepared: Person, result: dict[str, Any]) -> dict[str, Any]:
        folder = result_file(self.output, result["name"]).parent
        shutil.rmtree(folder, ignore_errors=True)
        save_all(prepared["train"], folder / "original")
        for arm, kinds in result["images"].items():
            for kind, images in kinds.items():
                save_all(images, folder / arm / kind)
            if result["learned"][arm]:
                save_learned(result["learned"][arm], folder / arm / "weights")
        return {key: value for key, value in result.items() if key not in ("images", "learned")}

    def write(self, source: PersonInput, finished: dict[str, Any]) -> dict[str, Any]:
        write_text(result_file(self.output, source.name), to_json(finished))
        return {"name": source.name}

    def exists(self, source: PersonInput, row: dict[str, Any]) -> bool:
        return result_file(self.output, source.name).is_file()

    def earlier_rows(self, record: Path) -> dict[str, dict[str, Any]]:
        names = [file.parent.name for file in record.glob("people/*/result.json")]
        return {name: {"name": name} for name in names}

    def _study_arm(
        self, protected: Tensor, person: Person, seed: int, on_step: Callable[[float], None]
    ) -> tuple[dict[str, Tensor], dict[str, float], Learned]:
        """Attack and measure one person's images of one arm.

        Args:
            protected: The images, (B, 3, H, W) in [0, 1].
            person: The person.
            seed: Seed of the purification.
            on_step: Called with the loss after each step of the attack.

        Returns:
            Images by kind, metrics, and the weights to keep.
        """
        clean = quantize(person["train"])
        images = {"protected": protected}

        # The attacker has some images unprotected, and may purify all.
        published = protected.clone()
        unprotected = round(self.clean_fraction * len(published))
        published[:unprotected] = clean[:unprotected]
        if self.purification is not None:
            source = torch.Generator().manual_seed(seed)
            with torch.no_grad():
                published = quantize(self.purification(published, source))
            images["purified"] = published
        learned: Learned = {}
        if self.keep_weights and isinstance(self.attack, Personalization):
            generated = self.attack(published, on_step, learned.update).to(protected)
        else:
            generated = self.attack(published, on_step).to(protected)
        images["generated"] = generated

        # Measure; one person is handled by one rank, so nothing is reduced over ranks.
        identity = IdentityPreservation(self.faces, sync_on_compute=False).to(protected.device)
        identity.update(generated, person["reference"])
        measured = {metric: float(value) for metric, value in identity.compute().items()}
        measured |= fidelity(protected, clean)
        measured["brisque"] = brisque(generated)
        if self.extra is not None:
            count = len(published)
            asked = (self.attack.prompts(count), protected, clean, self.attack.edits(count))
            measured |= self.extra.person_metrics(generated, *asked)
        return images, measured, learned

    def _real_ism(self, person: Person) -> float:
        """ISM of the clean training images against the reference images.

        An image without a detected face counts as 0.

        Raises:
            ValueError: If no reference image shows a face.
        """
        try:
            center = mean_embedding(self.faces(person["reference"]))
        except ValueError as error:
            msg = f"{person['name']}: {error}"
            raise ValueError(msg) from error
        return mean_similarity(self.faces(person["train"]), center)

    def _protect(self, name: str, person: Person, sha256: str, seed: int) -> Tensor:
        """Protect a person's images, or load their protected images."""
        if self.protected is None:
            return self.arms[name].protect(person, seed)
        folder = self.protected / name / person["name"]
        files = [folder / f"protected_{index:02d}.png" for index in range(len(person["train"]))]
        record = folder / PERSON
        kept = read_text(record) if record.is_file() else ""
        if kept != sha256 or not all(file.is_file() for file in files):
            images = self.arms[name].protect(person, seed)
            write_text(record, "")  # until all are saved, they are nobody's
            save_all(images, folder / "protected")
            write_text(record, sha256)
        return torch.stack([open_photo(file).tensor() for file in files]).to(person["train"])
