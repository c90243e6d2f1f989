"""``python -m eval rag-robustness``: decision after a thief's work on the collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.files import locked, private_files
from engine.manifest import check_claim, claim, write_manifest
from engine.statistics import holm_of_known, proportion_interval
from engine.tables import write_table
from eval.attacks.rag import FlowConfig, Generator, Judge
from eval.attacks.rag.text_finders import open_finder
from eval.attacks.rag.thieves import NAMES, Thief, thieves
from eval.studies.rag import run_rag
from eval.studies.rag_database import Database
from eval.studies.stolen import StolenCollection
from models.embedder_config import COPIES
from models.embedders import identify_model, open_embedder
from models.search import ExactIndex, Ranking, rankings
from models.store import VectorStore
from sentinels.decide import check_decision, decide
from sentinels.decide_config import DecideConfig
from sentinels.reader import identify_reader
from sentinels.reader_names import AUTO
from sentinels.record import Record
from sentinels.retrieve import read_captions
from sentinels.service import Service
from sentinels.tells.keys import has_key


@private_files()  # answers have the keys
def run_robustness(
    record: Path,
    output: Path,
    database: Database,
    generator: Generator,
    judge: Judge,
    reader: str = AUTO,
    copies: str = COPIES,
    edits: tuple[str, ...] = NAMES,
    decision: DecideConfig = DecideConfig(),
    flow: FlowConfig = FlowConfig(),
    service: Service | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Run the retrieval attack after each thief's work, and decide.

    Collection and sentinels are treated alike. All keys are queried, those of dropped sentinels,
    too. The rows are written to ``robustness.csv``. Only the user may read the results.

    Args:
        record: File of the sentinels' record.
        output: Folder of the results.
        database: The collection, and the way it is searched; its captions are the queries of
            ordinary users.
        generator: Generates images.
        judge: Compares images with prompts and writes search captions.
        reader: What the thief finds text by: auto, ocr, or the folder or Hub id of a network.
        copies: Model by which the thief finds near copies; see ``sentinels embed --weights``.
        edits: Names of the thieves: none, jpeg, halved, cropped, inpainted, deleted, deduplicated,
            metadata, names, key_pattern.
        decision: Settings of the decision.
        flow: Settings of the retrieval-augmented generator.
        service: Service for the generators, judges and searches that need one; its limits hold for
            each edit.
        seed: Seed of the generator's noise.

    Returns:
        One row for each edit.

    Raises:
        ValueError: If an edit is unknown or none is given, the collection has none of the
            sentinels' sources, or the folder holds the results of another record, collection,
            reader or seed, lies in the collection or among the sentinels, or another run is
            writing into it.
    """
    if not edits:
        msg = f"edits is empty; name at least one of {', '.join(NAMES)}"
        raise ValueError(msg)
    if unknown := [edit for edit in edits if edit not in NAMES]:
        msg = f"no edit '{unknown[0]}'; there are {', '.join(NAMES)}"
        raise ValueError(msg)
    known = thieves(open_finder(reader), open_embedder(copies, appearance=True))
    planted = Record.open(record)
    found = database.find(output, planted, planted.sentinels)
    database.check_captions(found)
    check_decision(record, decision, with_control=False)
    photos = found.complete()
    settings = database.contents(planted, found) | {
        "originals": str(database.originals.resolve()),
        "reader": identify_reader(reader),
        "copies": identify_model(copies),
        "seed": seed,
    }
    check_claim(output, "eval rag-robustness", settings)
    with locked(output):
        claim(output, "eval rag-robustness", settings)
        rows = []
        for name in edits:
            # The thief goes through the collection and the sentinels.
            folder = output / name
            stolen = StolenCollection(folder, known[name], seed)
            remaining = stolen.take(photos, planted)
            row: dict[str, Any] = {
                "edit": name,
                "sentinels": len(planted.sentinels),
                "sentinels_kept": len(planted.sentinels) - len(stolen.dropped),
                "originals": stolen.published,
                "originals_lost": stolen.lost,
                "originals_changed": stolen.changed,
            }

            # Query the system that searches what is left, and decide.
            if stolen.lost < stolen.published:
                searched = replace(database, originals=folder / "originals", vectors=None)
                searched = replace(searched, refuses_keys=known[name].refuses_keys)
                if database.size is not None:
                    left = stolen.published - stolen.lost
                    searched = replace(searched, size=min(database.size, left))
                dropped = frozenset(stolen.dropped)
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
                    dropped,
                )
                row["failed"] = len(run.failed)
                answers = run.arms["protected"].folder
                verdict = decide(
                    record, answers, folder / "decision", decision, sources=database.originals
                )
                row |= _decision_columns(verdict["system"])
                if database.captions:
                    captions = read_captions(database.captions)
                    row |= benign_recall(folder / "run" / "vectors", database.embedder, captions)
                    row |= _refused(known[name], captions)
            rows.append(row)
        rows = with_adjusted_p(rows)

        columns = list(dict.fromkeys(key for row in rows for key in row))
        write_table(output / "robustness.csv", columns, rows)
        finished = not any(row.get("failed") for row in rows)
        write_manifest(
            output, command="eval rag-robustness", finished=finished, settings=settings, rows=rows
        )
    return rows


def with_adjusted_p(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Add ``p_holm``, the p-value after Holm over all edits, and the number of ``comparisons``."""
    adjusted = holm_of_known([row.get("p") for row in rows])
    tested = sum(p is not None for p in adjusted)
    added = []
    for row, p in zip(rows, adjusted, strict=True):
        columns: dict[str, Any] = {}
        for name, value in row.items():
            columns[name] = value
            if name == "p" and p is not None:
                columns |= {"p_holm": p, "comparisons": tested}
        added.append(columns)
    return added


def _refused(thief: Thief, captions: Mapping[str, str]) -> dict[str, Any]:
    """Share of ordinary users' queries that a thief does not search for."""
    refused = sum(has_key(caption) for caption in captions.values()) if thief.refuses_keys else 0
    return {"captions": len(captions)} | _share("captions_refused", refused, len(captions))


def _share(name: str, count: int, total: int) -> dict[str, Any]:
    """Columns of a share of captions, and of its exact 95 % interval."""
    interval = _words(proportion_interval(count, total) if total else None)
    return {name: count / total if total else None, f"{name}_interval": interval}


def _decision_columns(system: Mapping[str, Any]) -> dict[str, Any]:
    """Select the columns of ``robustness.csv`` from a decision about a system."""
    evades = {True: "no", False: "yes", None: "undecided"}
    return {
        "evades": evades[system["used"]],
        "keys": system["keys"],
        "hit_at_1": system["hits"]["hit@1"]["share"],
        "hit_at_1_interval": _words(system["hits"]["hit@1"]["interval"]),
        "p": system["permutation"]["p"],
        "least_p": system["reach"]["least_p"],
        "similarity": system["similarity"]["mean"],
        "similarity_interval": _words(system["similarity"]["interval"]),
    }


def _words(interval: Sequence[float] | None) -> str:
    """Format a 95 % interval; empty without one."""
    return "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"


def benign_recall(vectors: Path, embedder: str, captions: Mapping[str, str]) -> dict[str, Any]:
    """Retrieval by ordinary users, with and without the sentinels.

    Ordinary users search images by their captions.

    Args:
        vectors: Folder of the vectors.
        embedder: Model that computed them.
        captions: Caption of each original, by name.

    Returns:
        Number of captions of the originals that are left, shares of them whose own image is among
        the first ten, with and without the sentinels, and the share of first results that are
        sentinels. Shares have exact intervals over captions.
    """
    stores = {"originals": VectorStore.open(vectors / "originals")}
    if (vectors / "sentinels").is_dir():
        stores["sentinels"] = VectorStore.open(vectors / "sentinels")
    known = set(stores["originals"].labels)
    queries = {f"originals/{name}": text for name, text in captions.items() if name in known}
    vectors_of_queries = open_embedder(embedder).embed_texts(list(queries.values())).cpu().numpy()
    with_sentinels = rankings(ExactIndex.from_stores(stores), vectors_of_queries, 10)
    alone = ExactIndex.from_stores({"originals": stores["originals"]})
    without = rankings(alone, vectors_of_queries, 10)

    def found(results: Sequence[Ranking]) -> int:
        hits = 0
        for name, ranking in zip(queries, results, strict=True):
            hits += name in [entry for entry, _ in ranking]
        return hits

    first = sum(ranking[0][0].startswith("sentinels/") for ranking in with_sentinels)
    counts = {
        "recall_at_10_with": found(with_sentinels),
        "recall_at_10_without": found(without),
        "first_is_sentinel": first,
    }
    columns: dict[str, Any] = {"queries": len(queries)}
    for name, count in counts.items():
        columns |= _share(name, count, len(queries))
    return columns
