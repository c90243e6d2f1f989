"""Ensembles of detectors: mean log-odds, with a calibration of the whole."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from pathlib import Path

import numpy as np

from checkpoints.card import made_for
from checkpoints.folders import model_path, weight_file
from detectors.calibration import Calibration, Verdict, calibration_values
from detectors.calibration_record import Output
from detectors.crop_rule import CropRule
from detectors.detector import Detector, load_detector
from detectors.scores import Scores
from engine.files import file_digest, write_text
from engine.records import read_json, to_json

FILE = "ensemble.json"

FORMAT = 1

DISAGREE = "the detectors disagree"

REMEDY = "fit it again with python -m detectors calibrate A/ B/ --data SHARDS -o ENSEMBLE/"


@dataclass(frozen=True)
class Member:
    """A detector of an ensemble.

    Attributes:
        name: Folder, relative to that of the ensemble, or Hub id.
        weights: SHA-256 of its weights.
        scale: Factor of its logit, above 0.
        bias: Offset of the scaled logit; the sum is its log-odds.
    """

    name: str
    weights: str
    scale: float = 1.0
    bias: float = 0.0


@dataclass(frozen=True)
class Record:
    """Content of ``ensemble.json``."""

    format: int
    members: tuple[Member, ...]
    calibration: Calibration


@dataclass(frozen=True)
class Judgement:
    """Verdict on an image.

    Attributes:
        verdict: ``real``, ``generated`` or ``unsure``.
        reason: Reason of ``unsure``; empty for other verdicts.
        probability: Calibrated P(generated); None for detectors without a common calibration.
        logit: Logit of one detector, or mean log-odds of several.
    """

    verdict: Verdict
    reason: str
    probability: float | None
    logit: float


@dataclass(frozen=True)
class Ensemble:
    """One detector, or several that judge together.

    Attributes:
        detectors: The detectors by name.
        members: Scale and bias of each, in the same order.
        calibration: Calibration of the whole; None for detectors that were not calibrated together.
        folder: Folder of the record; None without one.
    """

    detectors: Mapping[str, Detector]
    members: tuple[Member, ...]
    calibration: Calibration | None
    folder: Path | None = None

    @classmethod
    def open(
        cls,
        names: Sequence[str],
        max_fpr: float | None = None,
        prevalence: float | None = None,
        rule: CropRule | None = None,
    ) -> Ensemble:
        """Open one detector, a calibrated ensemble, or several detectors.

        Args:
            names: Folder, Hub id or .ckpt file of a detector; folder of an ensemble; or several
                detectors.
            max_fpr: Rate of the operating point of the verdicts; None for the calibration's.
            prevalence: Share of generated images that P assumes; None for the calibration's.
            rule: Crops to judge; None for the calibration's.

        Raises:
            FileNotFoundError: If a detector is missing.
            ValueError: If the record of an ensemble is damaged or of other weights, one of several
                detectors lacks a calibration, there is no such operating point, or a calibration is
                of other crops.
        """
        if len(names) == 1:
            folder = model_path(names[0])
            if (folder / FILE).is_file():
                return cls._open_record(folder, max_fpr, prevalence, rule)
            detector = load_detector(names[0], rule)
            detector.calibration = detector.calibration.at(max_fpr, prevalence)
            member = Member(names[0], "")
            return cls({names[0]: detector}, (member,), detector.calibration)
        if prevalence is not None:
            msg = f"--prevalence: detectors that are not calibrated as a whole have no P; {REMEDY}"
            raise ValueError(msg)
        detectors = {name: load_detector(name, rule) for name in names}
        for name, detector in detectors.items():
            if not detector.calibration.images:
                msg = (
                    f"{name} has no calibration, so that its answers cannot be compared with "
                    "others': python -m detectors calibrate"
                )
                raise ValueError(msg)
            detector.calibration = detector.calibration.at(max_fpr)
        members = []
        for name, detector in detectors.items():
            members.append(Member(name, "", detector.calibration.scale, detector.calibration.bias))
        return cls(detectors, tuple(members), None)

    @classmethod
    def _open_record(
        cls, folder: Path, max_fpr: float | None, prevalence: float | None, rule: CropRule | None
    ) -> Ensemble:
        """Open the ensemble of a folder."""
        file = folder / FILE
        record = read_json(file, Record, REMEDY)
        if record.format != FORMAT or not record.members:
            msg = f"{file}: no members, or of a format that this version does not read; {REMEDY}"
            raise ValueError(msg)
        detectors = {}
        calibration = record.calibration.with_crops(rule, str(folder)).at(max_fpr, prevalence)
        ensemble = cls({}, record.members, calibration, folder)
        for member in record.members:
            name = ensemble.location(member)
            if weights_sha256(name) != member.weights:
                msg = (
                    f"{file}: {member.name} has other weights than when it was calibrated; {REMEDY}"
                )
                raise ValueError(msg)
            detectors[member.name] = load_detector(name, calibration.crops)
        return replace(ensemble, detectors=detectors)

    def location(self, member: Member) -> str:
        """Return the path of a member, or its Hub id."""
        if self.folder is not None and (self.folder / member.name).exists():
            return str(self.folder / member.name)
        return member.name

    def save(self, folder: Path) -> None:
        """Write ``ensemble.json``; members below or beside the folder have relative names."""
        members = []
        for member in self.members:
            path = Path(member.name)
            name = member.name
            if path.exists():
                name = os.path.relpath(path.resolve(), folder.resolve())
            members.append(asdict(replace(member, name=name, weights=weights_sha256(member.name))))
        values = {} if self.calibration is None else calibration_values(self.calibration)
        record = {"format": FORMAT, "members": members, "calibration": values}
        write_text(folder / FILE, to_json(record))

    def purposes(self) -> dict[str, str]:
        """Say what each detector was made for, by its card; empty where that is not known."""
        purposes = {}
        for member in self.members:
            path = model_path(self.location(member))
            purposes[member.name] = made_for(path) if path.is_dir() else ""
        return purposes

    def judge(self, outputs: Sequence[Output]) -> Judgement:
        """Judge an image by the outputs of all detectors."""
        combined = self.combine(outputs)
        if self.calibration is not None:
            verdict, reason = self.calibration.judge(combined)
            probability = float(self.calibration.probability(np.array(combined.logit)))
            return Judgement(verdict, reason, probability, combined.logit)
        judged = []
        for detector, output in zip(self.detectors.values(), outputs, strict=True):
            judged.append(detector.calibration.judge(output))
        if len({verdict for verdict, _ in judged}) > 1:
            return Judgement("unsure", DISAGREE, None, combined.logit)
        return Judgement(*judged[0], None, combined.logit)

    def combine(self, outputs: Sequence[Output]) -> Output:
        """Combine the outputs of all detectors for an image.

        Returns:
            Logit of a single detector, or mean log-odds; and the largest distances, so that an
            image is unlike the calibration's if it is so to one detector.
        """
        if len(outputs) == 1:
            return outputs[0]
        log_odds = []
        for member, output in zip(self.members, outputs, strict=True):
            log_odds.append(member.scale * output.logit + member.bias)
        known = [output.distances for output in outputs if output.distances is not None]
        distances = tuple(np.max(known, axis=0).tolist()) if known else None
        return Output(float(np.mean(log_odds)), distances)

    def combine_scores(self, scored: Sequence[Scores]) -> Scores:
        """Combine the scores of all detectors.

        Args:
            scored: Scores of each detector, of the same images in the same order. An image that a
                detector could not read may be missing.

        Returns:
            Scores of the images that all could read, as of :meth:`combine`.
        """
        if len(scored) == 1:
            return scored[0]
        parts = common_images(scored)
        log_odds = []
        for member, part in zip(self.members, parts, strict=True):
            log_odds.append(member.scale * part.logit + member.bias)
        known = [part.distances for part in parts if part.distances is not None]
        distances = np.max(known, axis=0) if known else None
        return Scores(parts[0].label, np.mean(log_odds, axis=0), parts[0].facts, distances)


def common_images(scored: Sequence[Scores]) -> list[Scores]:
    """Keep the images that are in all scores."""
    names = [np.char.add(np.char.add(s.facts["subset"], "/"), s.facts["key"]) for s in scored]
    common = reduce(np.intersect1d, names)
    return [part.where(np.isin(name, common)) for part, name in zip(scored, names, strict=True)]


def refuse_twice(names: Sequence[str], digests: Sequence[str]) -> None:
    """Refuse detectors of which two are the same.

    Args:
        names: Names of the detectors.
        digests: Hash of each.

    Raises:
        ValueError: If two hashes are equal.
    """
    if len(set(digests)) < len(names):
        msg = f"one detector is given twice: {', '.join(names)}"
        raise ValueError(msg)


def weights_sha256(name: str) -> str:
    """Hash the weights of a detector."""
    return file_digest(weight_file(name))
