"""The copy-detection study: are released pictures found in an index after edits, and strangers not?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch.utils.data import Dataset

from datamodules.photos import OpenedPhoto, PhotoDataModule, PhotoDataset
from engine.files import file_digest
from engine.jobs import job_trainer
from engine.manifest import claim, write_manifest
from engine.progress import progress
from engine.tables import write_table
from eval.metrics.retrieval import ranks
from eval.reports.retrieval import Answers, write_report
from images.inputs import ImageInput, find_images, inputs_digest
from images.io import UnreadableImage
from images.outputs import output_names
from images.transforms import SUITES, Edit, RandomChain, edit_generator, flat
from indexing.index import Index, index_files
from models.embedder_config import EmbedderConfig
from models.embedders import Embedder, open_embedder

RETRIEVAL = ["batch", "image_index", "attack", "attack_param", "retrieved_distances", "retrieved_indices"]
RETRIEVAL += ["rank", "r@1", "r@10", "r@100", "ap"]
DETECTION = ["batch", "image_index", "attack", "retrieved_distances", "retrieved_ids"]


@dataclass(frozen=True)
class Query:
    """A picture to look up: its file, the entry it shows (-1 for strangers), and what seeds its random edits."""

    file: ImageInput
    truth: int
    name: str


class EditedPhotos(PhotoDataset):
    """Queries as the extractor sees them after each edit, (edits, 3, S, S).

    Random edits depend on the seed, the original's name and the edit alone, so that all arms meet the same ones.

    Args:
        queries: Pictures.
        edits: What is done to each.
        extractor: For its view.
        seed: Of random edits.
    """

    def __init__(self, queries: Sequence[Query], edits: Sequence[Edit], extractor: Embedder, seed: int) -> None:
        Dataset.__init__(self)
        self.queries, self.edits, self.extractor, self.seed = queries, edits, extractor, seed
        self.files = [query.file for query in queries]

    def __getitem__(self, index: int) -> OpenedPhoto:
        query = self.queries[index]
        try:
            photo = query.file.open()
        except UnreadableImage as error:
            return OpenedPhoto(query.file, None, None, str(error))
        edited = [edit(photo.rgb, edit_generator(self.seed, query.name, number)) for number, edit in enumerate(self.edits)]
        return OpenedPhoto(query.file, photo, torch.stack([self.extractor.preprocess(rgb) for rgb in edited]))


class LookUp(LightningModule):
    """Extractor and index as a ``predict`` job: distances and ids, (B, edits, k) each."""

    def __init__(self, extractor: Embedder, index: Index, k: int) -> None:
        super().__init__()
        self.extractor, self.index, self.k = extractor, index, k

    def predict_step(self, batch: list[OpenedPhoto], _: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        if failed := [photo.error for photo in batch if photo.views is None]:
            raise UnreadableImage(failed[0])
        views = torch.stack([photo.views for photo in batch if photo.views is not None])
        found = self.extractor.embed_images(views.flatten(0, 1)).cpu().numpy()
        shape = (*views.shape[:2], self.k)
        distances, ids = self.index.search(found, self.k)
        return distances.reshape(shape), ids.reshape(shape)


class Collect(Callback):
    """Keeps what was found, with a progress bar in pictures."""

    def __init__(self, total: int, about: str) -> None:
        self.parts: list[tuple[NDArray[np.float32], NDArray[np.int64]]] = []
        self.bar = progress(total=total, desc=about)

    def on_predict_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        self.parts.append(outputs)
        self.bar.update(len(outputs[0]))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.bar.close()


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
    batch_size: int = 16,
    workers: int = 2,
    accelerator: str = "auto",
) -> dict[str, Any]:
    """Look edited copies of released pictures up, arm by arm, and write tables and a page.

    Args:
        index: Folder of the index, with the originals' descriptors in it.
        originals: Folder of the original pictures.
        output: Folder of the results: ``ARM/retr_df.csv``, ``ARM/icd_df.csv``, ``summary.json``, ``report.html``.
        arms: What was released, by name: the originals themselves (passive), or a folder of ``python -m indexing activate``.
        extractor: The network the index was built with.
        strangers: Folder of pictures that are not in the index; with it, random chains are looked up as well (copy detection).
        suite: ``paper``: its 15 edits. ``sweep``: its 104.
        k: Neighbours looked at.
        parameters: Of the search, faiss's own, such as ``nprobe=1``; empty for indices that have none.
        beta: Of the score (see :func:`indexing.search.scores`).
        seed: Of random edits and of the intervals.
        resamples: Bootstrap samples of the intervals.
        batch_size: Pictures at a time, each with all edits.
        workers: Processes that open and edit pictures.
        accelerator: auto, cpu or gpu.

    Returns:
        The summary.

    Raises:
        FileNotFoundError: If a folder or a released picture is not there.
        ValueError: If an original is not in the index, extractor and index do not match, or the folder holds another study.
    """
    if not arms:
        msg = "no arms: name at least one, such as --arms.passive ORIGINALS/"
        raise ValueError(msg)
    network, opened = open_embedder(extractor), Index.open(index)
    facts = network.record()
    opened.check(str(facts["fingerprint"]), int(facts["dimension"]), f"descriptors of {extractor.name}")
    opened.tune(parameters)
    queries = {arm: released(originals, folder, opened) for arm, folder in arms.items()}
    unknown = [Query(file, -1, file.name) for file in find_images([strangers]).complete()] if strangers else []
    settings = {
        "index": {"sha256": index_digest(index, opened.facts), "factory": opened.facts.get("factory"), "entries": len(opened)},
        "extractor": facts,
        "arms": {arm: inputs_digest([query.file for query in found]) for arm, found in queries.items()},
        "strangers": inputs_digest([query.file for query in unknown]),
        "search": {"k": k, "parameters": parameters, "beta": beta},
        "suite": suite,
        "seed": seed,
    }
    claim(output, "eval retrieval", settings)
    edits = flat(SUITES[suite])
    answers: dict[str, Answers] = {}

    def look_up(found: Sequence[Query], changes: Sequence[Edit], about: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        collect = Collect(len(found), about)
        trainer = job_trainer(accelerator, callbacks=[collect], enable_progress_bar=False)
        data = PhotoDataModule(EditedPhotos(found, changes, network, seed), batch_size, workers)
        trainer.predict(LookUp(network, opened, k), data, return_predictions=False)
        return np.concatenate([part[0] for part in collect.parts]), np.concatenate([part[1] for part in collect.parts])

    others = look_up(unknown, [RandomChain()], "strangers") if unknown else None  # they are the same for all arms
    for arm, found in queries.items():
        truth = np.array([query.truth for query in found])
        distances, ids = look_up(found, [edit for *_, edit in edits], arm)
        chains = None
        if others is not None:
            mine = look_up(found, [RandomChain()], f"{arm}, chains")
            chains = np.concatenate([mine[0][:, 0], others[0][:, 0]]), np.concatenate([mine[1][:, 0], others[1][:, 0]])
            _write_detection(output / arm / "icd_df.csv", [*found, *unknown], *chains, seed=seed, batch=batch_size)
        labels = [(kind, parameter) for kind, parameter, _ in edits]
        _write_retrieval(output / arm / "retr_df.csv", labels, truth, distances, ids, batch_size)
        answers[arm] = Answers(labels, truth, distances, ids, chains)
    summary = write_report(output, answers, beta, opened.metric, resamples, seed)
    counts = {"queries": len(next(iter(queries.values()))), "strangers": len(unknown), "edits": len(edits)}
    write_manifest(output, command="eval retrieval", finished=True, settings=settings, counts=counts, extractor=asdict(extractor))
    return summary


def index_digest(folder: Path, facts: Mapping[str, Any]) -> str:
    """Changes with an index's entries."""
    files = [file_digest(file) for file in index_files(folder, facts)]
    return files[0] if len(files) == 1 else hashlib.sha256("".join(files).encode()).hexdigest()


def released(originals: Path, folder: Path, index: Index) -> list[Query]:
    """The released form of every original, with the entry it shows.

    Raises:
        FileNotFoundError: If one was not released.
        ValueError: If one is not in the index.
    """
    files = find_images([originals]).complete()
    passive = folder.resolve() == originals.resolve()
    here = {file.name: file for file in files} if passive else {file.name: file for file in find_images([folder]).images}
    names = {file.name: file.name for file in files} if passive else output_names(files, "png")
    queries = []
    for file in files:
        entry = file.full_name
        try:
            truth = index.id_of(entry)
        except KeyError as error:
            msg = (
                f"{entry} is not in the index; put the originals' descriptors in with python -m indexing add, and name the same folder here"
            )
            raise ValueError(msg) from error
        if names[file.name] not in here:
            msg = f"{folder}: {names[file.name]} is missing, the released form of {file.name}"
            raise FileNotFoundError(msg)
        queries.append(Query(here[names[file.name]], truth, file.name))
    return queries


def _write_retrieval(
    target: Path, labels: list[tuple[str, str]], truth: NDArray[np.int64], distances: NDArray, ids: NDArray, batch: int
) -> None:
    rows = []
    for picture, own in enumerate(truth):
        places = ranks(ids[picture], np.full(len(labels), own))
        for place, (kind, parameter) in enumerate(labels):
            rank, found = int(places[place]), places[place] >= 0
            hits = [int(found and rank < n) for n in (1, 10, 100)]
            near = [json.dumps(values[picture, place].tolist()) for values in (distances.astype(np.float64).round(6), ids)]
            ap = 1 / (rank + 1) if found else 0.0
            rows.append([picture // batch, own, kind, parameter, *near, rank if found else ids.shape[-1], *hits, ap])
    write_table(target, RETRIEVAL, (dict(zip(RETRIEVAL, row, strict=True)) for row in rows))


def _write_detection(target: Path, queries: Sequence[Query], distances: NDArray, ids: NDArray, seed: int, batch: int) -> None:
    rows = []
    for place, query in enumerate(queries):
        names = RandomChain().draw(edit_generator(seed, query.name))
        near = [json.dumps(values[place].tolist()) for values in (distances.astype(np.float64).round(6), ids)]
        rows.append([place // batch, query.truth, "+".join(names), *near])
    write_table(target, DETECTION, (dict(zip(DETECTION, row, strict=True)) for row in rows))
