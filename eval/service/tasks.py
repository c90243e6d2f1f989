"""Answers of the service, computed as the commands do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from checkpoints.folders import project_path
from detectors.ensemble import Ensemble
from detectors.guarantee import ensemble_words
from detectors.scan import ScanJob
from engine.devices import DeviceOptions, Process, single_process
from engine.job import Batch, Job
from eval.service.task import Answer, Task
from images.inputs import ImageInput
from images.job import SavedImage
from images.outputs import ImageTree
from images.photo import Photo
from images.uploads import decode_upload
from indexing.index import Index
from indexing.search import no_match
from indexing.search_command import row_of
from rid.protect.config import ProtectConfig
from rid.protect.face_search import choose_mode
from rid.protect.job import ProtectJob
from rid.protect.protector import Protector


@dataclass(frozen=True)
class Upload(ImageInput):
    """An uploaded image as the input of a job.

    Attributes:
        content: The encoded image.
        max_pixels: Size limit of the image.
    """

    content: bytes = b""
    max_pixels: int = 0

    @property
    def location(self) -> str:
        """Name for messages."""
        return self.name

    def read(self) -> bytes:
        """Return the encoded image."""
        return self.content

    def open(self) -> Photo:
        """Decode the image; see :func:`images.uploads.decode_upload`."""
        return decode_upload(self.content, self.name, self.max_pixels)


class JobTask(Task):
    """A job's steps on one upload.

    Args:
        job: The job.
        process: Device of its networks.
    """

    def __init__(self, job: Job[ImageInput, Any, Any, Any], process: Process) -> None:
        self.job = job
        job.setup(process)

    def answer(self, name: str, content: bytes, max_pixels: int) -> Answer:
        source = Upload(name, Path(name), size=len(content), content=content, max_pixels=max_pixels)
        prepared = self.job.prepare(source)
        [result] = self.job.step(Batch(0, [source], [0], [prepared]))
        finished = self.job.finish(prepared, result)
        if isinstance(finished, SavedImage):
            return Answer({"source": name} | finished.row, finished.content)
        return Answer({"file": name} | finished)


class ProtectTask(JobTask):
    """Protection, as ``python -m rid protect`` with its defaults."""

    path = "/protect"
    about = "The protected photo as PNG, as `rid protect` saves it."

    def __init__(self, weights: str, process: Process) -> None:
        mode, detector = choose_mode("auto", None)
        config = ProtectConfig(weights=weights, resize_mode=mode, face_detector=detector)  # type: ignore[arg-type]
        protector = Protector.from_pretrained(weights, mode, face_detector=detector)  # type: ignore[arg-type]
        super().__init__(ProtectJob(config, protector, ImageTree(Path(), [], "png")), process)
        self.words = [f"no value changes by more than {protector.budget:g} of 255 gray levels"]


class VerdictTask(JobTask):
    """Verdict, as ``python -m detectors scan`` with its defaults."""

    path = "/verdict"
    about = "The row of `detectors scan`: real, unsure or generated, and P(generated)."

    def __init__(self, weights: str, process: Process) -> None:
        ensemble = Ensemble.open([weights])
        super().__init__(ScanJob(ensemble, Path("scores.csv")), process)
        purposes = [purpose for purpose in ensemble.purposes().values() if purpose]
        self.words = [*purposes, *ensemble_words(ensemble)]


class MatchTask(Task):
    """Matches in an index, as ``python -m indexing search`` with its defaults."""

    path = "/matches"
    about = "The rows of `indexing search`: entries of the index that the image may be a copy of."

    def __init__(self, folder: str, process: Process) -> None:
        self.index = Index.open(project_path(folder))
        self.index.embedder = self.index.embedder.to(process.device, process.dtype)
        self.judge = self.index.judge()
        self.words = [self.judge.words()]

    def answer(self, name: str, content: bytes, max_pixels: int) -> Answer:
        photo = decode_upload(content, name, max_pixels)
        [matches] = self.index.find(photo)
        rows = [replace(match, query=name) for match in matches] or [no_match(name, self.judge)]
        return Answer({"query": name, "matches": [row_of(match) for match in rows]})


def open_tasks(
    protector: str | None, detector: str | None, index: str | None, accelerator: str = "auto"
) -> list[Task]:
    """Open the models that are given.

    Args:
        protector: RID generator: a folder or Hub id.
        detector: Detector or ensemble: a folder or Hub id.
        index: Folder of an index.
        accelerator: Kind of device: auto, cpu, gpu (or cuda) or mps.

    Raises:
        FileNotFoundError: If a model is missing.
        ValueError: If none is given, or one is damaged or of another kind.
    """
    process = single_process(DeviceOptions(accelerator))
    given = ((ProtectTask, protector), (VerdictTask, detector), (MatchTask, index))
    tasks: list[Task] = [make(model, process) for make, model in given if model is not None]
    if not tasks:
        msg = "nothing to serve: give --protector, --detector or --index"
        raise ValueError(msg)
    return tasks
