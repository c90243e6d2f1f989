"""Running a protection study from its settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lightning import seed_everything
from torch.utils.data import Dataset

from checkpoints.folders import model_folder, model_path, pipeline_folder
from datamodules.identities import as_people
from engine.files import file_digest, write_text
from engine.job import JobOptions
from engine.manifest import claim, fingerprint
from engine.run_job import run_job
from eval.attacks.personalization import Personalization
from eval.attacks.purification import Purifier
from eval.metrics.extra import SET_METRICS, ExtraMetrics, MetricWeights
from eval.metrics.identity import face_files, load_faces
from eval.reports.personalization import StudyTable, write_report
from eval.studies.access import access_of_arms
from eval.studies.arms import build_arms
from eval.studies.personalize import PersonInput, ProtectionStudy
from eval.studies.results import all_pictures
from rid.lineage import Lineage, lineage_of
from rid.pairs.config import PGDConfig
from rid.weights import load_generator


def run_study(
    people: Dataset,
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
    arms: Sequence[str] = ("clean", "noise", "rid", "pgd"),
    seed: int = 0,
    options: JobOptions | None = None,
    protected: Path | None = None,
) -> StudyTable | None:
    """Protect, attack and measure every person in every arm, and write tables, pictures and a page.

    Args:
        people: Data set of persons (see datamodules.identities).
        output: Folder of the results; an interrupted study in it goes on.
        generator: Folder or Hub id of the RID generator; its budget is every arm's.
        surrogates: Pipelines the ascent arm works against.
        faces: The face detector and embedder: a folder, a Hub id, ``opencv`` or ``insightface``.
        attack: The personalization attack.
        purification: What the attacker does to the pictures first; nothing if None.
        clean_fraction: Share of each person's pictures that the attacker has unprotected, 0 to 1.
        extra_metrics: Slow metrics, or such with downloaded weights, of ``python -m eval metrics``: ser_fiq, clip_iqa, fid, ...
        metric_weights: Where those weights are.
        pgd: The ascent arm's settings.
        arms: Which arms, of clean, noise, rid, rid_tile and pgd.
        seed: Of the arms' noise.
        options: How the job runs; people are shared out over processes.
        protected: Folder that keeps protected pictures for other studies with the same people, arms and seed.

    Returns:
        The table; None on every process but the first.

    Raises:
        ValueError: If ``people`` is no such data set, ``clean_fraction`` is out of range, or the folder holds a study with other settings.
        FileNotFoundError: If a model is missing.
    """
    if not 0 <= clean_fraction <= 1:
        msg = f"clean_fraction is a share from 0 to 1, got {clean_fraction}"
        raise ValueError(msg)
    persons = as_people(people)
    seed_everything(seed, verbose=False)
    network = load_generator(generator)
    made = build_arms(arms, network, surrogates, pgd)
    backend = load_faces(faces)
    extra = ExtraMetrics(extra_metrics, metric_weights, backend, attack.config.model)
    study = ProtectionStudy(
        made, attack, backend, seed, output, purification, clean_fraction, protected, extra
    )
    pipelines = {"attacked": attack.config.model} | {
        f"surrogate {number}": name for number, name in enumerate(surrogates)
    }
    weights = {
        role: fingerprint(name, Path(pipeline_folder(name))) for role, name in pipelines.items()
    }
    weights["generator"] = fingerprint(generator, model_path(generator))
    if purification is not None and purification.model is not None:
        weights["purification"] = fingerprint(purification.model, model_folder(purification.model))
    weights["faces"] = {
        role: {"name": faces, "sha256": file_digest(file)}
        for role, file in face_files(faces).items()
    }
    settings = {
        "people": describe(persons) | {"count": len(persons)},
        "attack": {"class": type(attack).__name__} | asdict(attack.config),
        "purification": describe(purification) if purification else None,
        "clean_fraction": clean_fraction,
        "extra_metrics": list(extra_metrics),
        "metric_weights": asdict(metric_weights) if extra_metrics else None,
        "pgd": asdict(pgd),
        "arms": list(arms),
        "seed": seed,
        "weights": weights,
    }
    if protected is not None:
        kept = {key: settings[key] for key in ("people", "pgd", "seed", "weights")}
        kept["weights"] = {
            role: weight
            for role, weight in weights.items()
            if role.startswith(("generator", "surrogate"))
        }
        claim(protected, "eval matrix", kept)
    surrogate_weights = [weight for role, weight in weights.items() if role.startswith("surrogate")]
    access = access_of_arms(
        arms, weights["attacked"], lineage_of(generator), Lineage(surrogate_weights, complete=True)
    )
    facts = {
        "budget_levels": network.budget,
        "access": {arm: asdict(found) for arm, found in access.items()},
    }
    one_by_one = JobOptions(batch_size=1) if options is None else replace(options, batch_size=1)
    inputs = [PersonInput.of(persons, place) for place in range(len(persons))]
    if len({person.name for person in inputs}) < len(inputs):
        msg = "two people share a name: rename one of them"
        raise ValueError(msg)
    report = run_job(study, inputs, output, settings, one_by_one, facts=facts)
    if report is None:
        return None
    if report.failed:
        msg = f"{len(report.failed)} of {len(inputs)} people have no results: {next(iter(report.failed.values()))}"
        raise ValueError(msg)
    if set(extra_metrics) & set(SET_METRICS):
        clean = all_pictures(output, "original")
        found = {
            arm: extra.set_metrics(all_pictures(output, f"{arm}/generated"), clean) for arm in arms
        }
        write_text(output / "sets.json", json.dumps(found, indent=2) + "\n")
    return write_report(output)


def describe(thing: Any) -> dict[str, Any]:
    """Class and plain settings of an object, for the record."""
    values = {
        key: value for key, value in vars(thing).items() if isinstance(value, str | int | float)
    }
    return {"class": f"{type(thing).__module__}.{type(thing).__qualname__}"} | values
