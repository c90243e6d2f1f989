"""``python -m eval rag-robustness``: decision after edits of the collection."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.files import file_digest
from engine.manifest import claim, write_manifest
from engine.tables import write_table
from eval.attacks.rag import FlowConfig, Generator, Judge
from eval.attacks.rag.adaptive_attacks import TRANSPARENT, Attack, DropTextImages, InpaintText
from eval.studies.rag import run_rag
from eval.studies.rag_database import Database, sentinel_name
from images.inputs import ImageInput, find_images
from images.io import save_png
from images.kinds import UnreadableImage
from images.photo import Photo
from images.transforms import edit_generator
from models.embedders import identify_model, open_embedder
from models.search import ExactIndex, Ranking, rankings
from models.store import VectorStore
from sentinels.decide import decide
from sentinels.decide_config import DecideConfig
from sentinels.reader import load_network
from sentinels.record import Record
from sentinels.retrieve import read_captions
from sentinels.service import Service

logger = logging.getLogger(__name__)

MIN_SENTINELS = 2
"""Fewest remaining sentinels that can be tested."""


def run_robustness(
    record: Path,
    output: Path,
    database: Database,
    generator: Generator,
    judge: Judge,
    reader: str = "checkpoints/tiny/embedder",
    edits: tuple[str, ...] = ("none", "jpeg", "halved", "cropped", "inpainted", "deleted"),
    decision: DecideConfig = DecideConfig(),
    flow: FlowConfig = FlowConfig(),
    service: Service | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Run the retrieval attack after each edit, and decide.

    Collection and sentinels are edited alike. The rows are written to ``robustness.csv``.

    Args:
        record: File of the sentinels' record.
        output: Folder of the results.
        database: The collection, and the way it is searched; its captions are the queries of
            ordinary users.
        generator: Generates images.
        judge: Compares images with prompts and writes search captions.
        reader: Network by which the thief finds letters: a folder or a Hub id.
        edits: Names of the edits: none, jpeg, halved, cropped, inpainted, deleted.
        decision: Settings of the decision.
        flow: Settings of the retrieval-augmented generator.
        service: Service for the generators, judges and searches that need one; its limits hold for
            each edit.
        seed: Seed of the generator's noise.

    Returns:
        One row for each edit.

    Raises:
        ValueError: If an edit is unknown, or the folder holds the results of another record,
            collection, reader or seed.
    """
    network = load_network(reader)
    attacks = dict(TRANSPARENT)
    attacks |= {"inpainted": InpaintText(network), "deleted": DropTextImages(network)}
    if unknown := [edit for edit in edits if edit not in attacks]:
        msg = f"no edit '{unknown[0]}'; there are {', '.join(attacks)}"
        raise ValueError(msg)
    planted = Record.open(record)
    photos = find_images([database.originals]).complete()
    settings = {
        "record": {"file": str(record.resolve()), "sha256": file_digest(record)},
        "originals": str(database.originals.resolve()),
        "reader": identify_model(reader),
        "seed": seed,
    }
    claim(output, "eval rag-robustness", settings)

    rows = []
    for name in edits:
        # Edit the collection and the sentinels.
        folder = output / name
        stolen = _StolenCollection(folder, name, attacks[name], seed)
        originals_kept = stolen.edit_originals(photos)
        remaining = stolen.edit_sentinels(planted)
        row: dict[str, Any] = {
            "edit": name,
            "originals_kept": originals_kept,
            "sentinels_kept": len(remaining.sentinels),
        }

        # Query the system that searches them, and decide.
        if len(remaining.sentinels) >= MIN_SENTINELS:
            searched = replace(database, originals=folder / "originals", vectors=None)
            run = run_rag(
                remaining.file,
                folder / "run",
                searched,
                generator,
                judge,
                ("protected",),
                flow,
                service,
                seed,
            )
            row["failed"] = len(run.failed)
            answers = run.arms["protected"].folder
            verdict = decide(record, answers, folder / "decision", decision)
            row |= _decision_columns(verdict["system"])
            if database.captions:
                captions = read_captions(database.captions)
                row |= benign_recall(folder / "run" / "vectors", database.embedder, captions)
        rows.append(row)

    columns = list(dict.fromkeys(key for row in rows for key in row))
    write_table(output / "robustness.csv", columns, rows)
    finished = not any(row.get("failed") for row in rows)
    write_manifest(
        output, command="eval rag-robustness", finished=finished, settings=settings, rows=rows
    )
    return rows


def _decision_columns(system: Mapping[str, Any]) -> dict[str, Any]:
    """Select the columns of ``robustness.csv`` from a decision about a system."""
    return {
        "keys": system["keys"],
        "hit_at_1": system["hits"]["hit@1"]["share"],
        "hit_at_1_interval": _words(system["hits"]["hit@1"]["interval"]),
        "p": system["permutation"]["p"],
        "least_p": system["reach"]["least_p"],
        "similarity": system["similarity"]["mean"],
        "similarity_interval": _words(system["similarity"]["interval"]),
    }


def _words(interval: Sequence[float] | None) -> str:
    """Format a 95 % interval over keys; empty without one."""
    return "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"


@dataclass
class _StolenCollection:
    """Collection and sentinels after one edit.

    Attributes:
        folder: Folder of the edited images.
        name: Name of the edit.
        attack: The edit.
        seed: Seed of random edits.
    """

    folder: Path
    name: str
    attack: Attack
    seed: int

    def edit_originals(self, photos: Sequence[ImageInput]) -> int:
        """Edit the originals, and count those that are left."""
        targets = self.folder / "originals"
        return sum(self._edit(photo, targets / photo.name) for photo in photos)

    def edit_sentinels(self, planted: Record) -> Record:
        """Edit the sentinels, and record those that are left."""
        remaining = Record(self.folder / "record.json", provenance={"edit": self.name})
        for source, sentinel, path in planted.pairs():
            target = self.folder / "images" / sentinel_name(sentinel.generated, path)
            if self._edit(ImageInput.from_file(path), target):
                remaining.sentinels[source] = replace(
                    sentinel,
                    generated=remaining.relative(target),
                    original=str(planted.locate(sentinel.original)),
                )
        remaining.write()
        return remaining

    def _edit(self, photo: ImageInput, target: Path) -> bool:
        """Edit and save one image.

        Returns:
            False if it is dropped or unreadable.
        """
        try:
            edited = self.attack(photo.open().rgb, edit_generator(self.seed, photo.name))
        except UnreadableImage as error:
            logger.warning("left out: %s", error)
            return False
        if edited is None:
            return False
        save_png(Photo(edited), target)
        return True


def benign_recall(vectors: Path, embedder: str, captions: Mapping[str, str]) -> dict[str, float]:
    """Retrieval by ordinary users, with and without the sentinels.

    Ordinary users search images by their captions.

    Args:
        vectors: Folder of the vectors.
        embedder: Model that computed them.
        captions: Caption of each original, by name.

    Returns:
        Shares of captions whose own image is among the first ten, with and without the sentinels,
        and the share of first results that are sentinels.
    """
    stores = {name: VectorStore.open(vectors / name) for name in ("originals", "sentinels")}
    known = set(stores["originals"].labels)
    queries = {f"originals/{name}": text for name, text in captions.items() if name in known}
    vectors_of_queries = open_embedder(embedder).embed_texts(list(queries.values())).cpu().numpy()
    with_sentinels = rankings(ExactIndex.from_stores(stores), vectors_of_queries, 10)
    alone = ExactIndex.from_stores({"originals": stores["originals"]})
    without = rankings(alone, vectors_of_queries, 10)

    def recall(results: Sequence[Ranking]) -> float:
        hits = 0
        for name, ranking in zip(queries, results, strict=True):
            hits += name in [entry for entry, _ in ranking]
        return hits / len(queries)

    first = sum(ranking[0][0].startswith("sentinels/") for ranking in with_sentinels)
    return {
        "recall_at_10_with": recall(with_sentinels),
        "recall_at_10_without": recall(without),
        "first_is_sentinel": first / len(queries),
    }
