"""The copy-detection study: are released pictures found in an index after edits, and strangers not?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save
from torch import Tensor

from engine.devices import Process
from engine.files import file_digest, write_bytes
from engine.job import Batch, Job, JobOptions, Report
from engine.run_job import run_job
from engine.tables import write_table
from eval.metrics.retrieval import ranks
from eval.reports.retrieval import Answers, write_report
from images.inputs import ImageInput, find_images, inputs_digest
from images.job import count_pixels
from images.outputs import output_names
from images.transforms import SUITES, Edit, RandomChain, RGBImage, edit_generator, flatten_suite
from indexing.index import Index, index_files
from models.embedder_config import EmbedderConfig
from models.embedders import Embedder, open_embedder

BYTES_PER_PIXEL = 24
"""Memory that an image takes while it is edited."""

RETRIEVAL = [
    "batch",
    "image_index",
    "attack",
    "attack_param",
    "retrieved_distances",
    "retrieved_indices",
]
RETRIEVAL += ["rank", "r@1", "r@10", "r@100", "ap"]
DETECTION = ["batch", "image_index", "attack", "retrieved_distances", "retrieved_ids"]


@dataclass(frozen=True)
class Query:
    """An image to look up.

    Attributes:
        arm: What it was released in; empty for strangers.
        file: The image.
        truth: The entry it shows; -1 for strangers.
        original: Name of the image it is made of, which seeds its random edits.
        group: Unused; see :class:`engine.job.Input`.
    """

    arm: str
    file: ImageInput
    truth: int
    original: str
    group: str = ""

    @property
    def name(self) -> str:
        return f"arms/{self.arm}/{self.original}" if self.arm else f"strangers/{self.original}"

    @property
    def size(self) -> int:
        return self.file.size

    @property
    def mtime_ns(self) -> int:
        return self.file.mtime_ns

    def digest(self) -> str:
        return self.file.digest()


class LookUpJob(Job[Query, dict[str, Tensor], dict[str, NDArray[Any]], dict[str, NDArray[Any]]]):
    """Edits queries, looks each up, and keeps distances and ids, (edits, k) each, in a file of its own.

    Random edits depend on the seed, the original's name and the edit alone, so that all arms meet the same ones.

    Args:
        extractor: Describes an edited image.
        index: Where descriptors are looked up.
        edits: What is done to a released image.
        chains: Look random chains up, too; of strangers they are all that is looked up.
        k: Neighbours kept.
        seed: Of random edits.
        folder: Of the files.
    """

    command = "eval retrieval"

    def __init__(
        self,
        extractor: Embedder,
        index: Index,
        edits: Sequence[Edit],
        chains: bool,
        k: int,
        seed: int,
        folder: Path,
    ) -> None:
        self.extractor, self.index, self.k, self.seed, self.folder = (
            extractor,
            index,
            k,
            seed,
            folder,
        )
        self.edits = {"edits": list(edits)} | ({"chains": [RandomChain()]} if chains else {})

    def setup(self, process: Process) -> None:
        self.extractor.to(process.device, process.dtype)

    def input_bytes(self, source: Query) -> int:
        return count_pixels(source.file) * BYTES_PER_PIXEL + self.prepared_bytes(source)

    def prepared_bytes(self, source: Query) -> int:
        return sum(map(len, self.edits.values())) * 12 * self.extractor.preprocess.side**2

    def blocks(self, inputs: Sequence[Query], batch_size: int) -> list[list[int]]:
        return super().blocks([replace(query, group=query.arm) for query in inputs], batch_size)

    def prepare(self, source: Query) -> dict[str, Tensor]:
        rgb = source.file.open().rgb
        return {
            kind: self._views(rgb, source.original, edits)
            for kind, edits in self.edits.items()
            if source.arm or kind == "chains"
        }

    def _views(self, rgb: RGBImage, name: str, edits: Sequence[Edit]) -> Tensor:
        """An image as the extractor sees it after each edit, (edits, 3, S, S)."""
        edited = [
            edit(rgb, edit_generator(self.seed, name, number)) for number, edit in enumerate(edits)
        ]
        return torch.stack([self.extractor.preprocess(one) for one in edited])

    @torch.inference_mode()
    def step(self, batch: Batch[Query, dict[str, Tensor]]) -> list[dict[str, NDArray[Any]]]:
        found: list[dict[str, NDArray[Any]]] = [{} for _ in batch.inputs]
        for kind in batch.prepared[0]:
            views = torch.stack([one[kind] for one in batch.prepared])
            described = self.extractor.embed_images(views.flatten(0, 1)).float().cpu().numpy()
            shape = (*views.shape[:2], self.k)
            distances, ids = (
                values.reshape(shape) for values in self.index.search(described, self.k)
            )
            for place, one in enumerate(found):
                one |= {f"{kind}.distances": distances[place], f"{kind}.ids": ids[place]}
        return found

    def finish(
        self, prepared: dict[str, Tensor], result: dict[str, NDArray[Any]]
    ) -> dict[str, NDArray[Any]]:
        return result

    def write(self, source: Query, finished: dict[str, NDArray[Any]]) -> dict[str, Any]:
        write_bytes(
            self.file(source),
            save({name: np.ascontiguousarray(values) for name, values in finished.items()}),
        )
        return {}

    def exists(self, source: Query, row: dict[str, Any]) -> bool:
        return self.file(source).is_file()

    def file(self, query: Query) -> Path:
        """Where it is kept what was found for a query."""
        return self.folder / f"{query.name}.safetensors"

    def found(
        self, queries: Sequence[Query], kind: str
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Distances and ids of several queries, (N, edits, k) each, of ``edits`` or ``chains``."""
        kept = [load_file(self.file(query)) for query in queries]
        return np.stack([one[f"{kind}.distances"] for one in kept]), np.stack(
            [one[f"{kind}.ids"] for one in kept]
        )


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
            _write_detection(
                output / arm / "icd_df.csv",
                [*found, *others],
                *chains,
                seed=seed,
                batch=options.batch_size,
            )
        _write_retrieval(
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


def _write_retrieval(
    target: Path,
    labels: list[tuple[str, str]],
    truth: NDArray[np.int64],
    distances: NDArray,
    ids: NDArray,
    batch: int,
) -> None:
    rows = []
    for picture, own in enumerate(truth):
        places = ranks(ids[picture], np.full(len(labels), own))
        for place, (kind, parameter) in enumerate(labels):
            rank, found = int(places[place]), places[place] >= 0
            hits = [int(found and rank < n) for n in (1, 10, 100)]
            near = [
                json.dumps(values[picture, place].tolist())
                for values in (distances.astype(np.float64).round(6), ids)
            ]
            ap = 1 / (rank + 1) if found else 0.0
            rows.append(
                [
                    picture // batch,
                    own,
                    kind,
                    parameter,
                    *near,
                    rank if found else ids.shape[-1],
                    *hits,
                    ap,
                ]
            )
    write_table(target, RETRIEVAL, (dict(zip(RETRIEVAL, row, strict=True)) for row in rows))


def _write_detection(
    target: Path, queries: Sequence[Query], distances: NDArray, ids: NDArray, seed: int, batch: int
) -> None:
    rows = []
    for place, query in enumerate(queries):
        names = RandomChain().draw(edit_generator(seed, query.original))
        near = [
            json.dumps(values[place].tolist())
            for values in (distances.astype(np.float64).round(6), ids)
        ]
        rows.append([place // batch, query.truth, "+".join(names), *near])
    write_table(target, DETECTION, (dict(zip(DETECTION, row, strict=True)) for row in rows))
