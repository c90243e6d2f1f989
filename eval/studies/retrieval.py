"""Copy-detection study: recall of edited copies in an index."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np

from engine.files import file_digest, read_lines
from engine.job import JobOptions, Report
from engine.run_job import run_job
from eval.reports.retrieval import write_report
from eval.reports.retrieval_figures import Answers
from eval.studies.hash_database import PDQ, HashDatabase
from eval.studies.lookup_job import CHAINS, EDITS, LookUpJob, Query
from eval.studies.retrieval_tables import write_detection, write_retrieval
from images.inputs import find_images, inputs_digest
from images.outputs import output_names
from images.transforms import SUITES, flatten_suite
from indexing.index import Index
from indexing.index_facts import NAMES, index_files
from models.embedder_config import EmbedderConfig
from models.embedders import open_embedder

log = logging.getLogger(__name__)


def run_retrieval(
    index: Path,
    originals: Path,
    output: Path,
    arms: Mapping[str, Path],
    extractor: EmbedderConfig,
    distractor_queries: Path | None = None,
    suite: Literal["paper", "sweep"] = "paper",
    pdq: bool = False,
    k: int = 100,
    parameters: str = "nprobe=1",
    beta: float = 1.0,
    seed: int = 0,
    resamples: int = 1000,
    options: JobOptions | None = None,
) -> tuple[dict[str, Any], Report] | None:
    """Look up edited copies of released images, arm by arm.

    Tables and a report are written. A stopped run goes on. An original whose released form cannot
    be read in one arm is left out of all arms, and counted.

    Args:
        index: Folder of the index, with the originals' descriptors in it.
        originals: Folder of the original images.
        output: Folder of the results: ``ARM/retr_df.csv``, ``ARM/icd_df.csv``, ``summary.json``,
            ``report.html``; in ``found/`` the neighbors of each query.
        arms: Folders of released images by name: the originals themselves (passive), or results of
            ``python -m indexing activate``.
        extractor: The network that the index was built with.
        distractor_queries: Folder of images that are not in the index; with it, random chains
            of edits are looked up as well (copy detection).
        suite: Suite of edits: ``paper`` with 15 edits, ``sweep`` with 104.
        pdq: Look copies up by PDQ hash as well, as the cheap baseline; reads the images of all
            entries.
        k: Number of neighbors, at least 1.
        parameters: Search parameters of faiss, such as ``nprobe=1``; empty for indices without any.
        beta: Weight of the next neighbor in the score (see :func:`indexing.matches.scores`).
        seed: Seed of random edits and of the bootstrap intervals.
        resamples: Bootstrap samples of the intervals.
        options: Devices, batch size and workers of the job; a batch is of images, each with all
            edits.

    Returns:
        The summary, and the outcome of the queries; None on every process but the first.

    Raises:
        FileNotFoundError: If a folder or a released image is missing.
        ValueError: If an original is not in the index, extractor and index do not match, no
            original can be read in all arms, or the folder holds another study.
    """
    if not arms:
        msg = "no arms: name at least one, such as --arms.passive ORIGINALS/"
        raise ValueError(msg)
    options = options or JobOptions(batch_size=16)

    # Open the index and its network.
    network = open_embedder(extractor)
    opened = Index.open(index)
    facts = network.record()
    opened.check(
        str(facts["fingerprint"]), int(facts["dimension"]), f"descriptors of {extractor.name}"
    )
    opened.tune(parameters)

    # List the queries.
    queries = {arm: released(arm, originals, folder, opened) for arm, folder in arms.items()}
    distractors = _distractors(distractor_queries)
    settings = {
        "index": {
            "sha256": index_digest(index, opened.facts),
            "factory": opened.facts.get("factory"),
            "entries": len(opened),
        },
        "extractor": facts,
        "arms": {arm: _digest(of_arm) for arm, of_arm in queries.items()},
        "distractor_queries": _digest(distractors),
        "search": {"k": k, "parameters": parameters, "beta": beta},
        "suite": suite,
        "seed": seed,
    }
    hashes = HashDatabase.of_entries(opened) if pdq else None
    if hashes is not None:
        settings["pdq"] = {"entries": len(hashes.ids), "missing": hashes.missing}
        log.info("PDQ: %d entries, %d without an image", len(hashes.ids), hashes.missing)

    # Look them up.
    edits = flatten_suite(SUITES[suite])
    labels = [(kind, parameter) for kind, parameter, _ in edits]
    functions = [edit for _, _, edit in edits]
    job = LookUpJob(
        network, opened, functions, bool(distractors), k, seed, output / "found", hashes
    )
    inputs = list(distractors)
    for of_arm in queries.values():
        inputs += of_arm
    facts_of_run = {"extractor": asdict(extractor), "edits": len(labels)}
    report = run_job(job, inputs, output, settings, options, facts=facts_of_run)
    if report is None:
        return None

    # Tabulate the originals that were read in all arms.
    lost = {query.original for query in inputs if query.arm and query.name in report.failed}
    read_distractors = [query for query in distractors if query.name not in report.failed]
    answers: dict[str, Answers] = {}
    by_hash: dict[str, Answers] = {}
    for arm, of_arm in queries.items():
        complete = [query for query in of_arm if query.original not in lost]
        if not complete or (distractors and not read_distractors):
            raise ValueError(next(iter(report.failed.values())))
        folder = output / arm
        chained = [*complete, *read_distractors] if read_distractors else []
        answer = _answers(job, labels, complete, chained)
        if answer.chains is not None:
            write_detection(
                folder / "icd_df.csv", chained, *answer.chains, seed=seed, batch=options.batch_size
            )
        write_retrieval(
            folder / "retr_df.csv",
            labels,
            answer.truth,
            answer.distances,
            answer.ids,
            options.batch_size,
        )
        answers[arm] = answer
        if pdq:
            by_hash[f"{arm}, PDQ"] = _answers(job, labels, complete, chained, PDQ)
    answers |= by_hash
    return write_report(output, answers, beta, opened.metric, resamples, seed), report


def _answers(
    job: LookUpJob,
    labels: list[tuple[str, str]],
    complete: list[Query],
    chained: list[Query],
    prefix: str = "",
) -> Answers:
    """Load the answers to the queries of an arm.

    Args:
        job: The finished job.
        labels: Kind and parameter of each edit.
        complete: The queries.
        chained: Queries after random chains, distractors last; empty without chains.
        prefix: ``pdq.`` for look-ups by hash.
    """
    truth = np.array([query.truth for query in complete])
    distances, ids = job.neighbors(complete, prefix + EDITS)
    chains = None
    if chained:
        chain_distances, chain_ids = job.neighbors(chained, prefix + CHAINS)
        chains = chain_distances[:, 0], chain_ids[:, 0]
    return Answers(labels, truth, distances, ids, chains)


def _distractors(folder: Path | None) -> list[Query]:
    """List a folder's images as queries without true entry."""
    if folder is None:
        return []
    return [Query("", file, -1, file.name) for file in find_images([folder]).complete()]


def _digest(queries: list[Query]) -> Any:
    """Digest of the images of some queries."""
    return inputs_digest([query.file for query in queries])


def index_digest(folder: Path, facts: Mapping[str, Any]) -> str:
    """Digest of an index's files; it changes with the entries."""
    digests = [file_digest(file) for file in index_files(folder, facts)]
    if "" in read_lines(folder / NAMES):  # removed entries are in the list of names alone
        digests.append(file_digest(folder / NAMES))
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def released(arm: str, originals: Path, folder: Path, index: Index) -> list[Query]:
    """List the released form of every original, with its entry.

    Args:
        arm: Name of the arm.
        originals: Folder of the originals.
        folder: Folder of the released images; equal to ``originals`` for the passive arm.
        index: The index.

    Raises:
        FileNotFoundError: If an original has no released form.
        ValueError: If an original is not in the index.
    """
    files = find_images([originals]).complete()
    if folder.resolve() == originals.resolve():
        images = {file.name: file for file in files}
        names = {file.name: file.name for file in files}
    else:
        images = {file.name: file for file in find_images([folder]).images}
        names = output_names(files, "png")
    # Pair each original's entry in the index with its released form.
    queries = []
    for file in files:
        entry = file.full_name
        try:
            truth = index.id_of(entry)
        except KeyError as error:
            msg = (
                f"{entry} is not in the index; add the originals' descriptors with python -m "
                "indexing add, and name the same folder here"
            )
            raise ValueError(msg) from error
        if names[file.name] not in images:
            msg = f"{folder}: {names[file.name]} is missing, the released form of {file.name}"
            raise FileNotFoundError(msg)
        queries.append(Query(arm, images[names[file.name]], truth, file.name))
    return queries
