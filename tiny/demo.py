"""Active indexing on drawn images, in less than a minute: the part of the demo's page on copies that are found again."""

from __future__ import annotations

from pathlib import Path

from engine.devices import DeviceOptions
from engine.job import JobOptions
from eval.reports.personalization import INDEXING, write_report
from eval.studies.retrieval import run_retrieval
from indexing.activate import ORIGINALS, activate_photos
from indexing.activation_config import ActivationConfig
from indexing.build import add, build
from indexing.extract import extract
from indexing.index import Index
from indexing.perturbation import Distortion
from models.embedder_config import EmbedderConfig
from tiny.collages import export_pictures


def indexing_demo(
    output: Path,
    references: int = 640,
    originals: int = 24,
    factory: str = "IVF16,PQ8x4",
    resamples: int = 1000,
) -> None:
    """Release drawn pictures unchanged and activated, look edited copies of both up, and write the study's page with what came of it.

    A stopped run goes on.

    Args:
        output: Folder of a finished study (``python -m eval personalize``); its ``indexing`` folder is written.
        references: Entries of the index that nobody looks for; it is trained on them.
        originals: Pictures released.
        factory: Of the index.
        resamples: Bootstrap samples of the intervals.

    Raises:
        FileNotFoundError: If there is no study.
        ValueError: If it was stopped before its end, or the folder holds results of other settings.
    """
    write_report(output)  # before the work: it fails where there is no finished study
    folder, extractor = output / INDEXING, EmbedderConfig()
    pictures, released, index = folder / "pictures", folder / "active", folder / "index"
    export_pictures(pictures, training=0, references=references, originals=originals, strangers=0)
    described = extract(
        [pictures / "references"],
        folder / "features",
        extractor,
        JobOptions(DeviceOptions("cpu"), workers=0),
    )
    assert described is not None  # one process
    if not (index / "names.txt").is_file():
        build([folder / "features"], index, factory)
    change = ActivationConfig(min_psnr=42.0, distortion=Distortion(scaling=2.0))
    here = JobOptions(DeviceOptions("cpu", 1), batch_size=16, workers=0)
    activate_photos([pictures / "originals"], released, [index], [extractor], change, options=here)
    if len(Index.open(index)) == references:
        add(index, [released / ORIGINALS])
    arms = {"unchanged": pictures / "originals", "activated": released}
    run_retrieval(
        index,
        pictures / "originals",
        folder / "retrieval",
        arms,
        extractor,
        resamples=resamples,
        options=here,
    )
    write_report(output)
