"""Protection study: runs it from its settings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from lightning import seed_everything
from torch.utils.data import Dataset

from checkpoints.folders import model_folder
from datamodules.identities import IdentityDataset, as_people, refuse_copies
from engine.files import write_text
from engine.job import JobOptions, Report
from engine.manifest import claim, fingerprint
from engine.records import to_json
from engine.run_job import run_job
from eval.arms import Arm
from eval.attacks.attack import Attack
from eval.attacks.personalization.weights import check_keeps_weights
from eval.attacks.purification import Purifier
from eval.metrics.extra import SET_METRICS, ExtraMetrics, MetricWeights
from eval.reports.personalization import write_report
from eval.reports.protection_table import StudyTable
from eval.studies.access import access
from eval.studies.people import describe_people, refuse_inputs
from eval.studies.protection_job import PersonInput, ProtectionStudy
from eval.studies.results import load_all
from models.faces.backends import face_fingerprints, load_faces


class StudyOutcome(NamedTuple):
    """Outcome of a protection study.

    Attributes:
        table: The table of its report.
        job: Outcome of its job over people.
    """

    table: StudyTable
    job: Report


def run_study(
    people: Dataset,  # type: ignore[type-arg]
    output: Path,
    arms: dict[str, Arm],
    faces: str,
    attack: Attack,
    purification: Purifier | None = None,
    clean_fraction: float = 0.0,
    extra_metrics: Sequence[str] = (),
    metric_weights: MetricWeights = MetricWeights(),
    seed: int = 0,
    options: JobOptions | None = None,
    protected: Path | None = None,
    keep_weights: bool = False,
) -> StudyOutcome | None:
    """Run a protection study, and write its tables, images and report.

    Every person is protected, attacked and measured in every arm.

    Args:
        people: Data set of persons (see datamodules.identities).
        output: Folder of the results; an interrupted study in it goes on.
        arms: Ways to protect, by name: classes of :mod:`eval.arms`. The arms named clean, noise and
            rid are compared with each other.
        faces: The face detector and embedder: a folder, a Hub id, ``opencv`` or ``insightface``.
        attack: The attack, such as a class of :mod:`eval.attacks.personalization`.
        purification: Purification of the images before the attack; None for none.
        clean_fraction: Share of each person's images that the attacker has unprotected, 0 to 1.
        extra_metrics: Metrics of ``python -m eval metrics`` that are slow or need downloaded
            weights: ser_fiq, clip_iqa, fid, ...
        metric_weights: Locations of those weights.
        seed: Seed of the arms' random draws.
        options: Devices, batch size and workers of the job; people are shared out over processes.
        protected: Folder that keeps protected images for other studies with the same people, arms
            and seed.
        keep_weights: Keep what the attack learned, as diffusers opens it: LoRA
            (``load_lora_weights``) and token (``load_textual_inversion``).

    Returns:
        The outcome; None on every process but the first.

    Raises:
        ValueError: If ``people`` is not such a data set, there is no arm, a name or
            ``clean_fraction`` is not allowed, the attack learns no weights to keep, or the folder
            holds a study with other settings or overlaps with the images.
        FileNotFoundError: If a model or a protected file is missing.
    """
    check_clean_fraction(clean_fraction)
    if not arms:
        msg = "arms is empty: name at least one, such as clean: {class_path: eval.arms.Clean}"
        raise ValueError(msg)
    check_names("arm", arms)
    if keep_weights:
        check_keeps_weights(attack)

    # Open the models and the data.
    persons = as_people(people)
    refuse_inputs(output, persons, arms.values())
    seed_everything(seed, verbose=False)
    backend = load_faces(faces)
    extra = ExtraMetrics(extra_metrics, metric_weights, backend, attack.model)
    study = ProtectionStudy(
        arms,
        attack,
        backend,
        seed,
        output,
        purification,
        clean_fraction,
        protected,
        extra,
        keep_weights,
    )

    # Record the settings that decide the results.
    weights = _weights(attack, faces, purification)
    arm_records = {name: arm.record() for name, arm in arms.items()}
    settings = {
        "people": describe_people(persons),
        "attack": attack.record(),
        "purification": purification.record() if purification else None,
        "clean_fraction": clean_fraction,
        "extra_metrics": list(extra_metrics),
        "metric_weights": asdict(metric_weights) if extra_metrics else None,
        "arms": arm_records,
        "seed": seed,
        "keep_weights": keep_weights,
        "weights": weights,
    }
    if protected is not None:
        for name, entry in arm_records.items():
            kept = {"people": settings["people"], "arm": entry, "seed": seed}
            claim(protected / name, "eval matrix", kept)
    boxes = {name: access(weights["attacked"], arm.lineage) for name, arm in arms.items()}
    facts = facts_of(arms) | {"access": {name: asdict(box) for name, box in boxes.items()}}

    # Run one person at a time.
    inputs = _person_inputs(persons, arms)
    one_by_one = JobOptions(batch_size=1) if options is None else replace(options, batch_size=1)
    report = run_job(study, inputs, output, settings, one_by_one, facts=facts)
    if report is None:
        return None
    if report.failed:
        first = next(iter(report.failed.values()))
        msg = f"{len(report.failed)} of {len(inputs)} people have no results: {first}"
        raise ValueError(msg)

    # Compare the sets of all generated images with the clean images.
    if set(extra_metrics) & set(SET_METRICS):
        clean = load_all(output, "original")
        values = {
            arm: extra.set_metrics(load_all(output, f"{arm}/generated"), clean) for arm in arms
        }
        write_text(output / "sets.json", to_json(values))
    return StudyOutcome(write_report(output), report)


def check_clean_fraction(share: float) -> None:
    """Check the share of images that the attacker has unprotected.

    Raises:
        ValueError: If it is not from 0 to 1.
    """
    if not 0 <= share <= 1:
        msg = f"clean_fraction is a share from 0 to 1, got {share}"
        raise ValueError(msg)


def check_names(kind: str, names: Iterable[str]) -> None:
    """Check that folders can have the names of arms, attacks or purifications.

    Args:
        kind: Word for what is named, such as ``arm``.
        names: The names.

    Raises:
        ValueError: If one cannot be the name of a folder.
    """
    for name in names:
        if not re.fullmatch(r"\w[\w.-]*", name):
            msg = (
                f"the {kind} '{name}' gives a folder its name: use letters, digits, _, - and . only"
            )
            raise ValueError(msg)


def facts_of(arms: Mapping[str, Arm]) -> dict[str, dict[str, Any]]:
    """Stated budget and description of each arm, for a manifest."""
    return {
        "budgets": {name: arm.budget for name, arm in arms.items()},
        "descriptions": {name: arm.description for name, arm in arms.items()},
    }


def _weights(attack: Attack, faces: str, purification: Purifier | None) -> dict[str, Any]:
    """Fingerprint all weights of a study but the arms', by role."""
    weights = attack.weights()
    models = purification.models() if purification is not None else []
    for number, model in enumerate(models, start=1):
        role = "purification" if number == 1 else f"purification {number}"
        weights[role] = fingerprint(model, model_folder(model))
    weights["faces"] = face_fingerprints(faces)
    return weights


def _person_inputs(persons: IdentityDataset, arms: Mapping[str, Arm]) -> list[PersonInput]:
    """List the persons as inputs of the job, and check that every arm can protect them.

    Raises:
        ValueError: If two have the same name or image, or an arm cannot protect one.
        FileNotFoundError: If an arm has no file for one.
    """
    inputs = []
    owners: dict[str, str] = {}
    for index in range(len(persons)):
        person = persons[index]
        refuse_copies(person, owners)
        inputs.append(PersonInput.of(persons, index, person))
        for arm in arms.values():
            arm.check(person)
    if len({person.name for person in inputs}) < len(inputs):
        msg = "two people share a name: rename one of them"
        raise ValueError(msg)
    return inputs
