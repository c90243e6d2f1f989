"""The copy-detection study: are released pictures found in an index after edits, and strangers not?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np

from engine.files import file_digest
from engine.job import JobOptions, Report
from engine.run_job import run_job
from eval.reports.retrieval import Answers, write_report
from eval.studies.lookup_job import LookUpJob, Query
from eval.studies.retrieval_tables import write_detection, write_retrieval
from images.inputs import find_images, inputs_digest
from images.outputs import output_names
from images.transforms import SUITES, flatten_suite
from indexing.index import Index, index_files
from models.embedder_config import EmbedderConfig
from models.embedders import open_embedder


def run_retrieval(
    index: Path,
    originals: Path,
    output: Path,
    arms: Mapping[str, Path],
    extractor: EmbedderConfig,
    strangers: Path | None = None,
    suite: Literal["paper", "sweep"] = "paper",
    k: int = 100,
    parameters: str = "nprobe=1",
    beta: float = 1.0,
    seed: int = 0,
    resamples: int = 1000,
    options: JobOptions | None = None,
) -> tuple[dict[str, Any], Report] | None:
    """Look edited copies of released pictures up, arm by arm, and write tables and a page; goes on with a stopped run.

    An original whose released form cannot be read in one arm is left out of all, and counted.

    Args:
        index: Folder of the index, with the originals' descriptors in it.
        originals: Folder of the original pictures.
        output: Folder of the results: ``ARM/retr_df.csv``, ``ARM/icd_df.csv``, ``summary.json``, ``report.html``; in ``found/``
            what each query found.
        arms: What was released, by name: the originals themselves (passive), or a folder of ``python -m indexing activate``.
        extractor: The network the index was built with.
        strangers: Folder of pictures that are not in the index; with it, random chains are looked up as well (copy detection).
        suite: ``paper``: its 15 edits. ``sweep``: its 104.
        k: Neighbours looked at.
        parameters: Of the search, faiss's own, such as ``nprobe=1``; empty for indices that have none.
        beta: Of the score (see :func:`indexing.search.scores`).
        seed: Of random edits and of the intervals.
        resamples: Bootstrap samples of the intervals.
        options: How it runs; a batch is of images, each with all edits.

    Returns:
        The summary, and the outcome of the queries; None on every process but the first.

    Raises:
        FileNotFoundError: If a folder or a released picture is not there.
        ValueError: If an original is not in the index, extractor and index do not match, not one original can be read in all arms, or
            the folder holds another study.
    """
    if not arms:
        msg = "no arms: name at least one, such as --arms.passive ORIGINALS/"
        raise ValueError(msg)
    options = options or JobOptions(batch_size=16)
    network, opened = open_embedder(extractor), Index.open(index)
    facts = network.record()
    opened.check(
        str(facts["fingerprint"]), int(facts["dimension"]), f"descriptors of {extractor.name}"
    )
    opened.tune(parameters)
    queries = {arm: released(arm, originals, folder, opened) for arm, folder in arms.items()}
    unknown = (
        [Query("", file, -1, file.name) for file in find_images([strangers]).complete()]
        if strangers
        else []
    )
    settings = {
        "index": {
            "sha256": index_digest(index, opened.facts),
            "factory": opened.facts.get("factory"),
            "entries": len(opened),
        },
        "extractor": facts,
        "arms": {
            arm: inputs_digest([query.file for query in found]) for arm, found in queries.items()
        },
        "strangers": inputs_digest([query.file for query in unknown]),
        "search": {"k": k, "parameters": parameters, "beta": beta},
        "suite": suite,
        "seed": seed,
    }
    labels = [(kind, parameter) for kind, parameter, _ in flatten_suite(SUITES[suite])]
    job = LookUpJob(
        network,
        opened,
        [edit for *_, edit in flatten_suite(SUITES[suite])],
        bool(unknown),
        k,
        seed,
        output / "found",
    )
    inputs = [*unknown, *(query for found in queries.values() for query in found)]
    report = run_job(
        job,
        inputs,
        output,
        settings,
        options,
        facts={"extractor": asdict(extractor), "edits": len(labels)},
    )
    if report is None:
        return None
    lost = {query.original for query in inputs if query.arm and query.name in report.failed}
    others = [query for query in unknown if query.name not in report.failed]
    answers: dict[str, Answers] = {}
    for arm, every in queries.items():
        found = [query for query in every if query.original not in lost]
        if not found or (unknown and not others):
            raise ValueError(next(iter(report.failed.values())))
        truth = np.array([query.truth for query in found])
        distances, ids = job.found(found, "edits")
        chains = None
        if others:
            near = job.found([*found, *others], "chains")
            chains = near[0][:, 0], near[1][:, 0]
            write_detection(
                output / arm / "icd_df.csv",
                [*found, *others],
                *chains,
                seed=seed,
                batch=options.batch_size,
            )
        write_retrieval(
            output / arm / "retr_df.csv", labels, truth, distances, ids, options.batch_size
        )
        answers[arm] = Answers(labels, truth, distances, ids, chains)
    return write_report(output, answers, beta, opened.metric, resamples, seed), report


def index_digest(folder: Path, facts: Mapping[str, Any]) -> str:
    """Changes with an index's entries."""
    files = [file_digest(file) for file in index_files(folder, facts)]
    return files[0] if len(files) == 1 else hashlib.sha256("".join(files).encode()).hexdigest()


def released(arm: str, originals: Path, folder: Path, index: Index) -> list[Query]:
    """The released form of every original in an arm, with the entry it shows.

    Raises:
        FileNotFoundError: If one was not released.
        ValueError: If one is not in the index.
    """
    files = find_images([originals]).complete()
    passive = folder.resolve() == originals.resolve()
    here = (
        {file.name: file for file in files}
        if passive
        else {file.name: file for file in find_images([folder]).images}
    )
    names = {file.name: file.name for file in files} if passive else output_names(files, "png")
    queries = []
    for file in files:
        entry = file.full_name
        try:
            truth = index.id_of(entry)
        except KeyError as error:
            msg = f"{entry} is not in the index; put the originals' descriptors in with python -m indexing add, and name the same folder here"
            raise ValueError(msg) from error
        if names[file.name] not in here:
            msg = f"{folder}: {names[file.name]} is missing, the released form of {file.name}"
            raise FileNotFoundError(msg)
        queries.append(Query(arm, here[names[file.name]], truth, file.name))
    return queries
