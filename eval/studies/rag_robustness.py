"""``python -m eval rag-robustness``: is the decision still reached after a thief edited the collection, and what does it cost him?"""

from __future__ import annotations

import logging
from dataclasses import replace
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
from images.io import Photo, UnreadableImage, save_png
from images.transforms import edit_generator
from models.embedders import identify_model, open_embedder
from models.search import ExactIndex, rankings
from models.store import VectorStore
from sentinels.decide import DecideConfig, decide
from sentinels.reader import load_network
from sentinels.record import Record
from sentinels.retrieve import read_captions
from sentinels.service import Service

logger = logging.getLogger(__name__)


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
    """Edit collection and sentinels alike, ask the system that searches them, and decide; a row for each edit, and ``robustness.csv``.

    Args:
        record: The owner's record.
        output: Folder of the results.
        database: The collection, and how it is searched; its captions are what ordinary users look for.
        generator: Draws.
        judge: Looks and words.
        reader: What the thief reads letters with.
        edits: Which.
        decision: How it is decided.
        flow: How the system works.
        service: For generators, judges and searches that ask one; its limits hold for each edit.
        seed: Of the generator's noise.

    Raises:
        ValueError: If there is no such edit, or the folder holds the results of another record, collection, reader or seed.
    """
    network = load_network(reader)
    known = TRANSPARENT | {"inpainted": InpaintText(network), "deleted": DropTextImages(network)}
    if unknown := [edit for edit in edits if edit not in known]:
        msg = f"no edit '{unknown[0]}'; there are {', '.join(known)}"
        raise ValueError(msg)
    planted, photos, rows = (
        Record.open(record),
        find_images([database.originals]).complete(),
        list[dict[str, Any]](),
    )
    settings = {
        "record": {"file": str(record.resolve()), "sha256": file_digest(record)},
        "originals": str(database.originals.resolve()),
        "reader": identify_model(reader),
        "seed": seed,
    }
    claim(output, "eval rag-robustness", settings)
    for name in edits:
        folder = output / name
        kept = sum(
            _edited(photo, known[name], folder / "originals" / photo.name, seed) for photo in photos
        )
        stolen = Record(folder / "record.json", provenance={"edit": name})
        for source, sentinel, path in planted.pairs():
            place = folder / "images" / sentinel_name(sentinel.generated, path)
            if _edited(ImageInput.from_file(path), known[name], place, seed):
                stolen.sentinels[source] = replace(
                    sentinel,
                    generated=stolen.relative(place),
                    original=str(planted.locate(sentinel.original)),
                )
        stolen.write()
        row: dict[str, Any] = {
            "edit": name,
            "originals_kept": kept,
            "sentinels_kept": len(stolen.sentinels),
        }
        searched = replace(database, originals=folder / "originals", vectors=None)
        if len(stolen.sentinels) >= 2:
            done = run_rag(
                stolen.file,
                folder / "run",
                searched,
                generator,
                judge,
                ("protected",),
                flow,
                service,
                seed,
            )
            row["failed"] = len(done.failed)
            found = decide(record, done.arms["protected"].folder, folder / "decision", decision)[
                "system"
            ]
            row |= {
                "hit_at_1": found["hits"]["hit@1"]["share"],
                "p": found["permutation"]["p"],
                "similarity": found["similarity"]["mean"],
            }
            if database.captions:
                row |= ordinary(
                    folder / "run" / "vectors", database.embedder, read_captions(database.captions)
                )
        rows.append(row)
    write_table(
        output / "robustness.csv", list(dict.fromkeys(key for row in rows for key in row)), rows
    )
    finished = not any(row.get("failed") for row in rows)
    write_manifest(
        output, command="eval rag-robustness", finished=finished, settings=settings, rows=rows
    )
    return rows


def ordinary(vectors: Path, embedder: str, captions: dict[str, str]) -> dict[str, float]:
    """What ordinary users, who look for pictures by their captions, find with the sentinels in the collection and without.

    Returns:
        Shares of captions whose own picture is among the first ten, with and without; share of first hits that are sentinels.
    """
    stores = {name: VectorStore.open(vectors / name) for name in ("originals", "sentinels")}
    known = set(stores["originals"].labels)
    asked = {f"originals/{name}": text for name, text in captions.items() if name in known}
    queries = open_embedder(embedder).embed_texts(list(asked.values())).cpu().numpy()
    with_them = rankings(ExactIndex.from_stores(stores), queries, 10)
    without = rankings(ExactIndex.from_stores({"originals": stores["originals"]}), queries, 10)

    def recall(rankings: list[list[tuple[str, float]]]) -> float:
        return sum(
            name in [found for found, _ in ranking]
            for name, ranking in zip(asked, rankings, strict=True)
        ) / len(asked)

    first = sum(ranking[0][0].startswith("sentinels/") for ranking in with_them) / len(asked)
    return {
        "recall_at_10_with": recall(with_them),
        "recall_at_10_without": recall(without),
        "first_is_sentinel": first,
    }


def _edited(photo: ImageInput, attack: Attack, target: Path, seed: int) -> bool:
    """Save what an attack leaves of an image; False if it drops the image, or if that cannot be read."""
    try:
        left = attack(photo.open().rgb, edit_generator(seed, photo.name))
    except UnreadableImage as error:
        logger.warning("left out: %s", error)
        return False
    if left is not None:
        save_png(Photo(left), target)
    return left is not None
