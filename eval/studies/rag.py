"""``python -m eval rag``: retrieval attack with and without sentinels."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

from engine.files import locked, private_files
from engine.manifest import check_claim, claim, write_manifest
from eval.attacks.rag import FlowConfig, Generator, Judge
from eval.studies.rag_attack import Arm, RagRun, RetrievalAttack
from eval.studies.rag_database import Database, open_stores
from eval.studies.rag_decoys import plant_decoys
from models.embedders import identify_model, open_embedder
from sentinels.record import Record
from sentinels.service import Service
from sentinels.trials import Trials, triggered

DECOYS = "decoys"
"""Name of the folder of decoys in the results."""

CHAT_CALLS = {"draw_first": (1, 5), "search_first": (2, 4)}
"""Least and largest number of chat requests of one trial with a service's judge, by mode."""


@private_files()  # answers have the keys
def run_rag(
    record: Path,
    output: Path,
    database: Database,
    generator: Generator,
    judge: Judge,
    arms: Sequence[Arm] = ("protected", "control"),
    flow: FlowConfig = FlowConfig(),
    service: Service | None = None,
    seed: int = 0,
    dropped: frozenset[str] = frozenset(),
) -> RagRun:
    """Query every key of a record in every arm.

    A stopped run goes on, and pays for no answer twice. Only the user may read the results.

    Args:
        record: File of the sentinels' record.
        output: Folder of the results: one sub-folder with ``out.json`` and ``images/`` for each
            arm.
        database: The collection, and the way it is searched.
        generator: Generates images.
        judge: Compares images with prompts and writes search captions.
        arms: Databases that are queried: protected, control, replacement, decoy.
        flow: Settings of the retrieval-augmented generator.
        service: Service for the generators, judges and searches that need one.
        seed: Seed of the generator's noise.
        dropped: Sources whose sentinels the system does not have; their keys are queried.

    Raises:
        ValueError: If a part needs a service or a device that is missing, no arm is given, the
            collection has none of the sentinels' sources, the folder holds another run or lies in
            the collection or among the sentinels, or another run is writing into it.
    """
    if not arms:
        msg = f"arms is empty; name at least one of {', '.join(get_args(Arm))}"
        raise ValueError(msg)
    planted = Record.open(record)
    generator.check()
    kept = {name: one for name, one in planted.sentinels.items() if name not in dropped}
    # What is published has no sources that sentinels replace.
    published = set(arms) == {"protected"}
    expected = set(kept) - set(planted.withheld if published else ())
    kept_record = replace(planted, sentinels=kept)
    originals = database.find(output, kept_record, expected)
    if database.method in ("bm25", "fusion"):
        database.check_captions(originals)
    settings = database.contents(kept_record, originals)
    settings |= _settings(database, generator, judge, flow, service, seed)
    needs_service = generator.needs_service or judge.needs_service or database.method == "rerank"
    if service is None and needs_service:
        msg = "these parts ask a service: give --service.base_url and its models"
        raise ValueError(msg)
    check_claim(output, "eval rag", settings)
    embedder = open_embedder(database.embedder)
    with locked(output):
        claim(output, "eval rag", settings)
        records = {"sentinels": kept_record} if kept else {}
        if "decoy" in arms:
            folder = output / DECOYS
            records["decoys"] = plant_decoys(planted, database.originals, folder, seed)
        stores = open_stores(records, originals, database, embedder, output)
        run = RagRun({}, {}, 0, 0)
        attack = RetrievalAttack(
            run=run,
            planted=planted,
            output=output,
            database=database,
            embedder=embedder,
            stores=stores,
            generator=generator,
            judge=judge,
            flow=flow,
            service=service,
            seed=seed,
            decoys=records.get("decoys"),
        )
        try:
            asyncio.run(attack.query_arms(arms))
        finally:
            # Also a stopped run records its counts.
            summaries = {arm: summary(trials) for arm, trials in run.arms.items()}
            asked_all = all(one["keys"] == len(planted.sentinels) for one in summaries.values())
            write_manifest(
                output,
                command="eval rag",
                finished=asked_all and set(run.arms) == set(arms) and not run.failed,
                settings=settings,
                arms=summaries,
                counts={
                    "requests": run.calls,
                    "answers_from_disk": run.cached,
                    "failed": len(run.failed),
                },
                failed=run.failed,
            )
    return run


def _settings(
    database: Database,
    generator: Generator,
    judge: Judge,
    flow: FlowConfig,
    service: Service | None,
    seed: int,
) -> dict[str, Any]:
    """Collect the settings that decide the answers beside what is searched, for the record."""
    irrelevant = ("vectors", "batch_size", "accelerator")
    searched = {name: value for name, value in asdict(database).items() if name not in irrelevant}
    if not database.refuses_keys:
        del searched["refuses_keys"]
    asked = asdict(flow) | {"trials": None}
    if flow.references == 1:
        del asked["references"]
    settings = {
        "database": searched,
        "embedder": identify_model(database.embedder),
        # More trials may be added later.
        "flow": asked,
        "seed": seed,
    }
    settings |= generator.settings() | judge.settings()
    if service:
        settings["service"] = service.settings()
    return settings


def summary(trials: Trials) -> dict[str, Any]:
    """Count the queried keys, the trials, and the searches."""
    all_trials = [trial for entry in trials.entries.values() for trial in entry["trials"]]
    return {
        "keys": sum(bool(entry["trials"]) for entry in trials.entries.values()),
        "trials": len(all_trials),
        "triggered": sum(triggered(trial) for trial in all_trials),
        "undecided": sum("undecided" in trial for trial in all_trials),
    }


def estimate(
    keys: int, arms: int, flow: FlowConfig, generator: Generator, judge: Judge, service: Service
) -> str:
    """Estimate the requests to a service in words.

    Their cost is included if prices are given.

    Args:
        keys: Number of keys.
        arms: Number of arms.
        flow: Settings of the retrieval-augmented generator.
        generator: Generates images.
        judge: Compares images with prompts.
        service: The service, with its prices and limits.
    """
    trials = keys * arms * flow.trials
    low = high = images = 0
    if judge.needs_service:
        low, high = (trials * count for count in CHAT_CALLS[flow.mode])
    if generator.needs_service:
        images = trials * (2 if flow.mode == "draw_first" else 1)
    words = (
        f"{trials} trials: {low} to {high} chat requests and at most {images} images, "
        "without retries"
    )
    if service.chat_price or service.image_price:
        cost = high * service.chat_price + images * service.image_price
        words += f"; at most {cost:.2f} at the prices given"
    if service.max_calls is not None:
        words += f"; stops after {service.max_calls} requests"
    return words
