"""Active indexing on collages in less than a minute, for the demo's page."""

from __future__ import annotations

from pathlib import Path

from engine.devices import DeviceOptions
from engine.job import JobOptions
from eval.reports.personalization import INDEXING, write_report
from eval.studies.retrieval import run_retrieval
from indexing.activate import ORIGINALS, activate_photos
from indexing.activation_config import ActivationConfig
from indexing.build import build
from indexing.extract import extract
from indexing.index import Index
from indexing.perturbation import Distortion
from indexing.update import add
from models.embedder_config import EmbedderConfig
from tiny.collages import export_pictures


def indexing_demo(
    output: Path,
    references: int = 640,
    originals: int = 24,
    factory: str = "IVF16,PQ8x4",
    resamples: int = 1000,
) -> None:
    """Compare the retrieval of edited copies with and without activation.

    Images are released unchanged and activated, edited copies of both are searched, and the results
    are added to the study's page. A stopped run is resumed.

    Args:
        output: Folder of a finished study (``python -m eval personalize``); its ``indexing`` folder
            is written.
        references: Number of distractors in the index, which is trained on them.
        originals: Number of released images.
        factory: faiss index factory string.
        resamples: Bootstrap resamples of the intervals.

    Raises:
        FileNotFoundError: If there is no study.
        ValueError: If the study is unfinished, or the folder holds results of other settings.
    """
    # The report fails early if there is no finished study.
    write_report(output)
    # Draw the images, and build an index of the distractors.
    folder = output / INDEXING
    images = folder / "pictures"
    activated = folder / "active"
    index = folder / "index"
    extractor = EmbedderConfig("checkpoints/tiny/copies")
    export_pictures(images, training=0, references=references, originals=originals, strangers=0)
    extract_options = JobOptions(DeviceOptions("cpu"), workers=0)
    features = extract([images / "references"], folder / "features", extractor, extract_options)
    assert features is not None, "the demo runs in one process"
    if not (index / "names.txt").is_file():
        build([folder / "features"], index, factory)
    # Activate the originals, and add them to the index.
    originals_folder = images / "originals"
    config = ActivationConfig(min_psnr=42.0, distortion=Distortion(scaling=2.0))
    options = JobOptions(DeviceOptions("cpu", 1), batch_size=16, workers=0)
    activate_photos([originals_folder], activated, [index], [extractor], config, options=options)
    if len(Index.open(index)) == references:
        add(index, [activated / ORIGINALS])
    # Search edited copies of both.
    run_retrieval(
        index,
        originals_folder,
        folder / "retrieval",
        {"unchanged": originals_folder, "activated": activated},
        extractor,
        resamples=resamples,
        options=options,
    )
    write_report(output)
