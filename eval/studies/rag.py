"""``python -m eval rag``: ask a retrieval-augmented generator for the keys, with and without the sentinels in its database."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from engine.manifest import claim, write_manifest
from engine.progress import progress
from eval.attacks.rag import FlowConfig, Generator, Judge, RagFlow, Retriever, query_prompt
from eval.studies.rag_database import Database, open_stores
from models.embedders import Embedder, identify_model, open_embedder
from models.store import VectorStore
from sentinels.client import Client
from sentinels.record import Record
from sentinels.retrieve import read_captions
from sentinels.service import RunEnds, Service
from sentinels.trials import Trials, triggered

logger = logging.getLogger(__name__)

Arm = Literal["protected", "control", "replacement"]
"""Originals and sentinels; originals alone; originals and sentinels without the sentinels' sources."""

CHAT_CALLS = {"draw_first": (1, 5), "search_first": (2, 4)}
"""Fewest and most chat requests of one trial with a service's judge."""


@dataclass
class RagRun:
    """What came of a run: answers by arm, keys that failed with the reason, requests made and answers that were on disk."""

    arms: dict[Arm, Trials]
    failed: dict[str, str]
    calls: int
    cached: int


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
) -> RagRun:
    """Ask for every key of a record, in every arm; a stopped run goes on, and pays for no answer twice.

    Args:
        record: The record of the sentinels.
        output: Folder of the results: one sub-folder with ``out.json`` and ``images/`` for each arm.
        database: What is searched, and how.
        generator: Draws.
        judge: Looks and words.
        arms: Databases that are asked.
        flow: How the system works.
        service: For generators, judges and searches that ask one.
        seed: Of the generator's noise.

    Raises:
        ValueError: If a part needs a service or a device and there is none, or the folder holds another run.
    """
    planted = Record.open(record)
    generator.check()
    settings = {
        "record": str(record.resolve()),
        "database": {
            key: value
            for key, value in asdict(database).items()
            if key not in ("vectors", "batch_size", "accelerator")
        },
        "model": identify_model(database.embedder),
        "flow": asdict(flow) | {"trials": None},  # more trials may be added
        "seed": seed,
    }
    settings |= (
        generator.settings()
        | judge.settings()
        | ({"service": service.settings()} if service else {})
    )
    if service is None and (
        generator.needs_service or judge.needs_service or database.method == "rerank"
    ):
        msg = "these parts ask a service: give --service.base_url and its models"
        raise ValueError(msg)
    claim(output, "eval rag", settings)
    embedder = open_embedder(database.embedder)
    stores = open_stores(planted, database, embedder, output)
    run = RagRun({}, {}, 0, 0)
    try:
        asyncio.run(
            _all(
                run,
                planted,
                output,
                database,
                embedder,
                stores,
                generator,
                judge,
                arms,
                flow,
                service,
                seed,
            )
        )
    finally:
        facts = {arm: summary(trials) for arm, trials in run.arms.items()}
        whole = set(run.arms) == set(arms) and all(
            one["keys"] == len(planted.sentinels) for one in facts.values()
        )
        counts = {"requests": run.calls, "answers_from_disk": run.cached, "failed": len(run.failed)}
        done: dict[str, Any] = {"arms": facts, "counts": counts, "failed": run.failed}
        write_manifest(
            output, command="eval rag", finished=whole and not run.failed, settings=settings, **done
        )
    return run


def summary(trials: Trials) -> dict[str, Any]:
    """Keys asked, trials, and how many of them looked into the database; untriggered ones count."""
    all_trials = [trial for entry in trials.entries.values() for trial in entry["trials"]]
    woken = sum(triggered(trial) for trial in all_trials)
    asked = sum(bool(entry["trials"]) for entry in trials.entries.values())
    return {
        "keys": asked,
        "trials": len(all_trials),
        "triggered": woken,
        "undecided": sum("undecided" in trial for trial in all_trials),
    }


def estimate(
    keys: int, arms: int, flow: FlowConfig, generator: Generator, judge: Judge, service: Service
) -> str:
    """What a run asks of a service at most, in words, and what that costs where prices are given."""
    trials = keys * arms * flow.trials
    low, high = (
        (trials * count for count in CHAT_CALLS[flow.mode]) if judge.needs_service else (0, 0)
    )
    pictures = trials * (2 if flow.mode == "draw_first" else 1) if generator.needs_service else 0
    words = f"{trials} trials: {low} to {high} chat requests and at most {pictures} pictures, without repeats after errors"
    if service.chat_price or service.image_price:
        words += f"; at most {high * service.chat_price + pictures * service.image_price:.2f} at the prices given"
    return words + (
        f"; stops after {service.max_calls} requests" if service.max_calls is not None else ""
    )


async def _all(
    run: RagRun,
    planted: Record,
    output: Path,
    database: Database,
    embedder: Embedder,
    stores: Mapping[str, VectorStore],
    generator: Generator,
    judge: Judge,
    arms: Sequence[Arm],
    flow: FlowConfig,
    service: Service | None,
    seed: int,
) -> None:
    async with AsyncExitStack() as stack:
        client = (
            await stack.enter_async_context(Client(service, output / "answers"))
            if service
            else None
        )
        generator.client = client if generator.needs_service else None
        judge.client = client if judge.needs_service else None
        captions = (
            {f"originals/{name}": text for name, text in read_captions(database.captions).items()}
            if database.captions
            else None
        )
        try:
            for arm in arms:
                searched = {"originals": stores["originals"]} if arm == "control" else stores
                without = (
                    frozenset(f"originals/{name}" for name in planted.sentinels)
                    if arm == "replacement"
                    else frozenset[str]()
                )
                retriever = Retriever(
                    searched, embedder, database.method, captions, client, without, database.size
                )
                run.arms[arm] = Trials.open(output / arm, new=True)
                whole = RagFlow(judge, retriever, generator, flow)
                await _arm(run, arm, planted, whole, service.concurrency if service else 1, seed)
        finally:
            if client is not None:
                run.calls, run.cached = client.calls, client.cached


async def _arm(
    run: RagRun, arm: Arm, planted: Record, flow: RagFlow, concurrency: int, seed: int
) -> None:
    """All keys, side by side as far as the service allows; answers are written after every trial."""
    trials, slots, stems = (
        run.arms[arm],
        asyncio.Semaphore(concurrency),
        _stems(list(planted.sentinels)),
    )
    images = trials.folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    over: list[RunEnds] = []
    with progress(total=len(stems), desc=arm, unit="key") as bar:

        async def one(name: str) -> None:
            sentinel = planted.sentinels[name]
            facts = {
                "random_key": sentinel.key,
                "original_image": sentinel.original,
                "generated_image": sentinel.generated,
            }
            entry = trials.entries.setdefault(name, facts | {"trials": []})
            async with slots:
                for number in range(len(entry["trials"]) + 1, flow.config.trials + 1):
                    if over:
                        return
                    try:
                        trial = await flow.answer(
                            query_prompt(sentinel.key),
                            number,
                            seed + number - 1,
                            images,
                            stems[name],
                        )
                    except RunEnds as error:
                        over.append(error)
                        return
                    except ValueError as error:
                        run.failed[f"{arm}/{name}"] = str(error)
                        logger.warning("%s: %s", name, error)
                        break
                    entry["trials"].append(trial)
                    trials.write()
            bar.update()

        async with asyncio.TaskGroup() as group:
            for name in stems:
                group.create_task(one(name))
    if over:
        raise over[0]


def _stems(names: Sequence[str]) -> dict[str, str]:
    """A beginning of file names for each source: its name without ending, or with it where two would share one."""
    short = {name: str(PurePosixPath(name).with_suffix("")).replace("/", "_") for name in names}
    counts = Counter(short.values())
    return {
        name: stem if counts[stem] == 1 else name.replace("/", "_").replace(".", "_")
        for name, stem in short.items()
    }
