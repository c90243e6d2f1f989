"""The protection study: every person protected by every arm, attacked, and measured; one ``predict`` job.

Each person's pictures and numbers are written when that person is finished, so that a stopped run goes on where it was.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from datamodules.identities import Person
from engine.files import write_text
from eval.attacks.personalization import Personalization
from eval.attacks.purification import Purifier
from eval.metrics.extra import ExtraMetrics
from eval.metrics.identity import FaceBackend, IdentityPreservation, mean_embedding, similarities
from eval.metrics.quality import brisque, fidelity, quantised
from eval.studies.arms import Arm
from images.io import Photo, open_photo, save_png, to_levels

Measured = dict[str, dict[str, float]]
"""Metric values by arm."""


class ProtectionStudy(LightningModule):
    """Protect, attack and measure one person per step.

    Args:
        arms: Named ways of protecting.
        attack: The personalization attack.
        faces: Detector and embedder.
        seed: Of the arms' noise; every person has a seed of their own derived from it.
        output: Folder of the results; persons already finished there are not done again.
        purification: What the attacker does to the pictures before learning from them.
        clean_fraction: Share of each person's pictures that the attacker has unprotected.
        protected: Folder that keeps protected pictures for other studies of the same people and arms.
        extra: Metrics beyond the usual ones.
    """

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
        super().__init__()
        self.arms, self.attack, self.faces, self.seed, self.output = arms, attack, faces, seed, output
        self.purification, self.clean_fraction, self.kept, self.extra = purification, clean_fraction, protected, extra

    def setup(self, stage: str) -> None:
        device = self.trainer.strategy.root_device  # self.device is still the CPU here
        self.attack.to(device)
        if self.purification is not None:
            self.purification.to(device)

    def predict_step(self, batch: Person, index: int) -> dict[str, Any] | None:
        """Pictures and metrics of one person, or None if they are on disk already."""
        if result_file(self.output, batch["name"]).is_file():
            return None
        with torch.inference_mode(False):
            person = Person(name=batch["name"], train=batch["train"].clone(), reference=batch["reference"].clone())
            real = self._real_similarity(person)  # before the long work: it fails where the references show no face
            seed = self.seed + 1000 * (index * self.trainer.world_size + self.global_rank)
            outcome = {name: self._one_arm(name, person, seed) for name in self.arms}
        return {
            "name": person["name"],
            "pictures": {name: pictures for name, (pictures, _) in outcome.items()},
            "measured": {name: measured for name, (_, measured) in outcome.items()},
            "real_ism": real,
        }

    def _one_arm(self, name: str, person: Person, seed: int) -> tuple[dict[str, Tensor], dict[str, float]]:
        protected = self._protect(name, person, seed)
        pictures = {"protected": protected}
        shown = protected.clone()
        unprotected = round(self.clean_fraction * len(shown))
        shown[:unprotected] = quantised(person["train"][:unprotected])
        if self.purification is not None:
            with torch.no_grad():
                shown = quantised(self.purification(shown, torch.Generator().manual_seed(seed)))
            pictures["purified"] = shown
        generated = self.attack(shown).to(protected)
        identity = IdentityPreservation(self.faces, sync_on_compute=False).to(protected.device)  # one person is one rank's
        identity.update(generated, person["reference"])
        measured = {metric: float(value) for metric, value in identity.compute().items()}
        clean, said = quantised(person["train"]), self.attack.config.plain_prompts()
        measured |= fidelity(protected, clean) | {"brisque": brisque(generated)}
        if self.extra is not None:
            measured |= self.extra.of_person(generated, said, protected, clean)
        return pictures | {"generated": generated}, measured

    def _real_similarity(self, person: Person) -> float:
        """ISM between the person's real pictures: the clean ones to be attacked against the reference, undetected counted 0."""
        try:
            centre = mean_embedding(self.faces(person["reference"]))
        except ValueError as error:
            msg = f"{person['name']}: {error}"
            raise ValueError(msg) from error
        seen = self.faces(person["train"])
        return float(similarities(seen, centre).sum() / len(seen.found))

    def _protect(self, name: str, person: Person, seed: int) -> Tensor:
        """The person's protected pictures, from the folder that keeps them if they are there."""
        if self.kept is None:
            return self.arms[name](person["train"], seed)
        folder = self.kept / name / person["name"]
        files = [folder / f"protected_{index:02d}.png" for index in range(len(person["train"]))]
        if not all(file.is_file() for file in files):
            save_all(self.arms[name](person["train"], seed), folder / "protected")
        return torch.stack([open_photo(file).tensor() for file in files]).to(person["train"])


class StudyWriter(BasePredictionWriter):
    """Writes ``OUT/people/NAME/ARM/{protected,purified,generated}_NN.png`` and, last, ``OUT/people/NAME/result.json``."""

    def __init__(self, output: Path) -> None:
        super().__init__("batch")
        self.output = output

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: dict[str, Any] | None,
        batch_indices: Sequence[int] | None,
        batch: Person,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        if prediction is None:
            return
        folder = result_file(self.output, prediction["name"]).parent
        shutil.rmtree(folder, ignore_errors=True)
        save_all(batch["train"], folder / "original")
        for arm, pictures in prediction["pictures"].items():
            for kind, images in pictures.items():
                save_all(images, folder / arm / kind)
        record = {key: prediction[key] for key in ("name", "measured", "real_ism")}
        write_text(folder / "result.json", json.dumps(record, indent=2) + "\n")


def result_file(output: Path, name: str) -> Path:
    """Where a person's numbers are, once everything about the person is written."""
    return output / "people" / name / "result.json"


def save_all(images: Tensor, stem: Path) -> None:
    """Save (B, 3, H, W) pictures in [0, 1] as ``STEM_00.png``, ``STEM_01.png`` and so on."""
    for index, levels in enumerate(to_levels(images).cpu()):
        save_png(Photo(levels.permute(1, 2, 0).numpy()), stem.with_name(f"{stem.name}_{index:02d}.png"))


def all_pictures(output: Path, kind: str) -> Tensor:
    """Every finished person's pictures of a kind, such as ``rid/generated`` or ``original``, (n, 3, H, W) in [0, 1]."""
    files = [file for result in read_results(output) for file in sorted((output / "people" / result["name"]).glob(f"{kind}_*.png"))]
    return torch.stack([open_photo(file).tensor() for file in files])


def read_results(output: Path) -> list[dict[str, Any]]:
    """The finished persons of a study, by name.

    Raises:
        FileNotFoundError: If there are none.
    """
    files = sorted(output.glob("people/*/result.json"))
    if not files:
        msg = f"{output}: no finished persons here; run 'python -m eval personalize' with this output folder first"
        raise FileNotFoundError(msg)
    return [json.loads(file.read_text()) for file in files]


def mean_of(results: list[dict[str, Any]], arm: str, metric: str) -> float:
    """Mean of a metric over the persons for whom it is a number; NaN if there are none."""
    values = [result["measured"][arm][metric] for result in results]
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else float("nan")
