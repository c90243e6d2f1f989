"""The retrieval attack: queries for all keys, arm by arm."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from engine.http_status import RunEnds
from engine.progress import progress
from eval.attacks.rag import FlowConfig, Generator, Judge, RagFlow, Retriever, query_prompt
from eval.studies.rag_database import Database
from models.embedders import Embedder
from models.store import VectorStore
from sentinels.client import Client
from sentinels.record import Record
from sentinels.retrieve import read_captions
from sentinels.service import Service
from sentinels.trials import Trials

logger = logging.getLogger(__name__)

Arm = Literal["protected", "control", "replacement", "decoy"]
"""Contents of the database.

``protected``: what is published: originals and sentinels, without the sources that these replace.
``control``: originals alone. ``replacement``: originals and sentinels, without any source of a
sentinel. ``decoy``: originals, and the sentinels' keys on other originals; a test that accuses it
takes shown keys for use.
"""


@dataclass
class RagRun:
    """Outcome of a run.

    Attributes:
        arms: Answers by arm.
        failed: Reasons by key, as ``ARM/NAME``.
        calls: Requests to the service.
        cached: Answers that were read from disk.
    """

    arms: dict[Arm, Trials]
    failed: dict[str, str]
    calls: int
    cached: int


@dataclass
class RetrievalAttack:
    """Queries a retrieval-augmented generator for all keys, arm by arm.

    Attributes:
        run: Outcome, filled while the attack runs.
        planted: Record of the sentinels.
        output: Folder of the results.
        database: The collection.
        embedder: Open embedder of the collection.
        stores: Vectors of originals, sentinels and decoys, by these names.
        generator: Generates images.
        judge: Compares images with prompts and writes search captions.
        flow: Settings of the retrieval-augmented generator.
        service: Service for the parts that need one.
        seed: Seed of the generator's noise.
        decoys: Record of the decoys, for their arm.
    """

    run: RagRun
    planted: Record
    output: Path
    database: Database
    embedder: Embedder
    stores: Mapping[str, VectorStore]
    generator: Generator
    judge: Judge
    flow: FlowConfig
    service: Service | None
    seed: int
    decoys: Record | None = None

    async def query_arms(self, arms: Sequence[Arm]) -> None:
        """Query all keys in all arms, and count the requests."""
        async with AsyncExitStack() as stack:
            client = None
            if self.service:
                answers = Client(self.service, self.output / "answers")
                client = await stack.enter_async_context(answers)
            self.generator.client = client if self.generator.needs_service else None
            self.judge.client = client if self.judge.needs_service else None
            captions = self._captions()
            try:
                for arm in arms:
                    retriever = self._retriever(arm, captions, client)
                    self.run.arms[arm] = Trials.open(self.output / arm, new=True)
                    await self._query_arm(
                        arm, RagFlow(self.judge, retriever, self.generator, self.flow)
                    )
            finally:
                if client is not None:
                    self.run.calls, self.run.cached = client.calls, client.cached

    def _captions(self) -> dict[str, str] | None:
        """Read the collection's captions, by full name."""
        if not self.database.captions:
            return None
        captions = read_captions(self.database.captions)
        return {f"originals/{name}": text for name, text in captions.items()}

    def _retriever(
        self, arm: Arm, captions: Mapping[str, str] | None, client: Client | None
    ) -> Retriever:
        """Open the search of an arm's database."""
        searched = ["originals"]
        if arm != "control":
            searched.append("decoys" if arm == "decoy" else "sentinels")
        stores = {name: self.stores[name] for name in searched if name in self.stores}
        without: frozenset[str] = frozenset()
        if arm in ("protected", "replacement"):
            planted = self.planted
            withheld = planted.withheld if arm == "protected" else planted.sentinels
            without = frozenset(f"originals/{name}" for name in withheld)
        database = self.database
        return Retriever(
            stores,
            self.embedder,
            database.method,
            captions,
            client,
            without,
            database.size,
            refuses_keys=database.refuses_keys,
        )

    async def _query_arm(self, arm: Arm, flow: RagFlow) -> None:
        """Query all keys of an arm.

        As many keys at a time are queried as the service allows.

        Raises:
            RunEnds: If the service's limit is reached; finished trials are kept.
        """
        trials = self.run.arms[arm]
        stems = _stems(list(self.planted.sentinels))
        images = trials.folder / "images"
        images.mkdir(parents=True, exist_ok=True)
        slots = asyncio.Semaphore(self.service.concurrency if self.service else 1)
        stops: list[RunEnds] = []
        with progress(total=len(stems), desc=arm, unit="key") as bar:

            async def query(name: str) -> None:
                self._add_entry(arm, name)
                async with slots:
                    if await self._query_key(arm, flow, name, stems[name], stops):
                        bar.update()

            async with asyncio.TaskGroup() as group:
                for name in stems:
                    group.create_task(query(name))
        if stops:
            raise stops[0]

    def _add_entry(self, arm: Arm, name: str) -> None:
        """Add the entry of a sentinel or decoy to the arm's answers, unless present."""
        record = self.decoys if arm == "decoy" and self.decoys else self.planted
        sentinel = record.sentinels[name]
        entry = {
            "random_key": sentinel.key,
            "original_image": sentinel.original,
            "generated_image": sentinel.generated,
            "trials": [],
        }
        self.run.arms[arm].entries.setdefault(name, entry)

    async def _query_key(
        self, arm: Arm, flow: RagFlow, name: str, stem: str, stops: list[RunEnds]
    ) -> bool:
        """Run the missing trials of a key.

        Answers are written after every trial.

        Returns:
            False if the service's limit stopped the run.
        """
        trials = self.run.arms[arm]
        entry = trials.entries[name]
        prompt = query_prompt(self.planted.sentinels[name].key)
        images = trials.folder / "images"
        for number in range(len(entry["trials"]) + 1, flow.config.trials + 1):
            if stops:
                return False
            try:
                trial = await flow.answer(prompt, number, self.seed + number - 1, images, stem)
            except RunEnds as error:
                stops.append(error)
                return False
            except ValueError as error:
                self.run.failed[f"{arm}/{name}"] = str(error)
                logger.warning("%s: %s", name, error)
                return True
            entry["trials"].append(trial)
            trials.write()
        return True


def _stems(names: Sequence[str]) -> dict[str, str]:
    """Choose a unique file name stem for each source.

    It is the source's name without ending, or with it if two sources would share a stem.
    """
    short = {name: str(PurePosixPath(name).with_suffix("")).replace("/", "_") for name in names}
    counts = Counter(short.values())
    stems = {}
    for name, stem in short.items():
        unique = counts[stem] == 1
        stems[name] = stem if unique else name.replace("/", "_").replace(".", "_")
    return stems
