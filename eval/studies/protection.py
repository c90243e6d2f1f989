"""Protection study: runs it from its settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lightning import seed_everything
from torch.utils.data import Dataset

from checkpoints.folders import model_folder, model_path, pipeline_folder
from datamodules.identities import IdentityDataset, as_people
from engine.files import write_text
from engine.job import JobOptions
from engine.manifest import claim, describe, fingerprint
from engine.run_job import run_job
from eval.attacks.personalization import Personalization
from eval.attacks.purification import Purifier
from eval.metrics.extra import SET_METRICS, ExtraMetrics, MetricWeights
from eval.reports.personalization import write_report
from eval.reports.protection_table import StudyTable
from eval.studies.access import access_of_arms
from eval.studies.arms import build_arms
from eval.studies.protection_job import PersonInput, ProtectionStudy
from eval.studies.renamed import PROTECTION_IMPLIED, PROTECTION_RENAMED
from eval.studies.results import load_all
from models.faces.backends import face_fingerprints, load_faces
from rid.edits import record
from rid.lineage import Lineage, lineage_of
from rid.pairs.config import PGDConfig
from rid.weights import load_generator


def run_study(
    people: Dataset,  # type: ignore[type-arg]
    output: Path,
    generator: str,
    surrogates: list[str],
    faces: str,
    attack: Personalization,
    purification: Purifier | None = None,
    clean_fraction: float = 0.0,
    extra_metrics: Sequence[str] = (),
    metric_weights: MetricWeights = MetricWeights(),
    pgd: PGDConfig = PGDConfig(),
    pgd_edits: Sequence[Purifier | None] = (),
    budget: float | None = None,
    arms: Sequence[str] = ("clean", "noise", "rid", "pgd"),
    seed: int = 0,
    options: JobOptions | None = None,
    protected: Path | None = None,
) -> StudyTable | None:
    """Run a protection study, and write its tables, images and report.

    Every person is protected, attacked and measured in every arm.

    Args:
        people: Data set of persons (see datamodules.identities).
        output: Folder of the results; an interrupted study in it goes on.
        generator: Folder or Hub id of the RID generator.
        surrogates: Pipelines that the PGD arm works against.
        faces: The face detector and embedder: a folder, a Hub id, ``opencv`` or ``insightface``.
        attack: The personalization attack.
        purification: Purification of the images before the attack; None for none.
        clean_fraction: Share of each person's images that the attacker has unprotected, 0 to 1.
        extra_metrics: Metrics of ``python -m eval metrics`` that are slow or need downloaded
            weights: ser_fiq, clip_iqa, fid, ...
        metric_weights: Locations of those weights.
        pgd: Settings of the PGD arm.
        pgd_edits: Differentiable edits that the arm pgd_eot averages over; null stands for the
            image as it is.
        budget: Bound of all arms in gray levels of 255; None takes the generator's. Another bound
            scales the generator's perturbation.
        arms: Names of the arms: clean, noise, rid, rid_tile, pgd, pgd_eot.
        seed: Seed of the arms' noise.
        options: Devices, batch size and workers of the job; people are shared out over processes.
        protected: Folder that keeps protected images for other studies with the same people, arms
            and seed.

    Returns:
        The table; None on every process but the first.

    Raises:
        ValueError: If ``people`` is not such a data set, ``clean_fraction`` or ``budget`` is out of
            range, or the folder holds a study with other settings.
        FileNotFoundError: If a model is missing.
    """
    if not 0 <= clean_fraction <= 1:
        msg = f"clean_fraction is a share from 0 to 1, got {clean_fraction}"
        raise ValueError(msg)
    if budget is not None and not 1 <= budget <= 255:
        msg = f"budget is in gray levels and must be from 1 to 255, got {budget}"
        raise ValueError(msg)

    # Open the models and the data.
    persons = as_people(people)
    seed_everything(seed, verbose=False)
    network = load_generator(generator)
    if budget is not None:
        network.budget = budget
    protections = build_arms(arms, network, surrogates, pgd, pgd_edits)
    backend = load_faces(faces)
    extra = ExtraMetrics(extra_metrics, metric_weights, backend, attack.config.model)
    study = ProtectionStudy(
        protections, attack, backend, seed, output, purification, clean_fraction, protected, extra
    )

    # Record the settings that decide the results.
    weights = _weights(attack, generator, surrogates, faces, purification)
    settings = {
        "people": describe(persons) | {"count": len(persons)},
        "attack": {"class": type(attack).__name__} | asdict(attack.config),
        "purification": describe(purification) if purification else None,
        "clean_fraction": clean_fraction,
        "extra_metrics": list(extra_metrics),
        "metric_weights": asdict(metric_weights) if extra_metrics else None,
        "pgd": asdict(pgd),
        "pgd_edits": record(pgd_edits),
        "budget": budget,
        "arms": list(arms),
        "seed": seed,
        "weights": weights,
    }
    if protected is not None:
        claim(
            protected,
            "eval matrix",
            _protection_settings(settings),
            PROTECTION_RENAMED,
            PROTECTION_IMPLIED,
        )
    surrogate_lineage = Lineage(list(_with_role(weights, "surrogate").values()), complete=True)
    access = access_of_arms(arms, weights["attacked"], lineage_of(generator), surrogate_lineage)
    facts = {
        "budget_levels": network.budget,
        "access": {arm: asdict(entry) for arm, entry in access.items()},
    }

    # Run one person at a time.
    inputs = _person_inputs(persons)
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
        write_text(output / "sets.json", json.dumps(values, indent=2) + "\n")
    return write_report(output)


def _weights(
    attack: Personalization,
    generator: str,
    surrogates: Sequence[str],
    faces: str,
    purification: Purifier | None,
) -> dict[str, Any]:
    """Fingerprint all weights of a study, by role."""
    pipelines = {"attacked": attack.config.model}
    pipelines |= {f"surrogate {number}": name for number, name in enumerate(surrogates)}
    weights: dict[str, Any] = {}
    for role, name in pipelines.items():
        weights[role] = fingerprint(name, Path(pipeline_folder(name)))
    weights["generator"] = fingerprint(generator, model_path(generator))
    if purification is not None and purification.model is not None:
        weights["purification"] = fingerprint(purification.model, model_folder(purification.model))
    weights["faces"] = face_fingerprints(faces)
    return weights


def _with_role(weights: dict[str, Any], *prefixes: str) -> dict[str, Any]:
    """Select the weights whose role starts with one of some words."""
    return {role: entry for role, entry in weights.items() if role.startswith(prefixes)}


def _protection_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Select the settings that decide the protected images."""
    selected = {key: settings[key] for key in ("people", "pgd", "pgd_edits", "budget", "seed")}
    return selected | {"weights": _with_role(settings["weights"], "generator", "surrogate")}


def _person_inputs(persons: IdentityDataset) -> list[PersonInput]:
    """List the persons as inputs of the job.

    Raises:
        ValueError: If two have the same name.
    """
    inputs = [PersonInput.of(persons, index) for index in range(len(persons))]
    if len({person.name for person in inputs}) < len(inputs):
        msg = "two people share a name: rename one of them"
        raise ValueError(msg)
    return inputs
