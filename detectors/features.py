"""Extraction of frozen backbone features, to train linear layers on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datamodules.exact import read_batches, read_exactly
from datamodules.fake2m.shard_job import ShardInput
from datamodules.features import ENDING, describe_features, write_features
from datamodules.shards import local_shards
from detectors.detector import Detector, load_detector
from detectors.feature_shards import backbone_digest
from detectors.networks.backbone import LinearProbe
from engine.devices import Process
from engine.files import file_digest
from engine.job import Batch, Job, JobOptions, Report
from engine.run_job import run_job
from images.transforms.views import View, as_input


class FeatureJob(Job[ShardInput, ShardInput, dict[str, Any], dict[str, Any]]):
    """Job that writes the features of one shard per step.

    Args:
        network: Network with the frozen backbone.
        output: Folder of the feature shards.
        view: View to take of each image.
        views: Number of views of each image, with different random choices.
        batch_size: Images per forward pass.
        workers: Threads that open images.
        origin: Settings that the features depend on, without the shard.
    """

    command = "detectors features"
    unit = "shard"

    def __init__(
        self,
        network: LinearProbe,
        output: Path,
        view: View,
        views: int,
        batch_size: int,
        workers: int,
        origin: dict[str, Any],
    ) -> None:
        self.network = network
        self.output = output
        self.view = view
        self.views = views
        self.batch_size = batch_size
        self.workers = workers
        self.origin = origin

    def setup(self, process: Process) -> None:
        self.device = process.device
        self.network.eval().to(process.device)

    def prepare(self, source: ShardInput) -> ShardInput:
        return source

    def step(self, batch: Batch[ShardInput, ShardInput]) -> list[dict[str, Any]]:
        return [self._extract(shard) for shard in batch.prepared]

    @torch.no_grad()
    def _extract(self, source: ShardInput) -> dict[str, Any]:
        """Write the features of a shard, and return its counts.

        Raises:
            ValueError: If no image can be read.
        """
        shard = source.source
        assert shard is not None
        features: dict[str, list[Tensor]] = {}
        records: dict[str, dict[str, Any]] = {}
        failed: dict[str, str] = {}
        for draw in range(self.views):
            samples = read_exactly([str(shard)], self.view, self.workers, draw=draw)
            for batch in read_batches(self.batch_size, samples):
                for record in batch.unread:
                    failed[record["key"]] = record["error"]
                for sample, row in zip(batch.samples, self._features(batch.inputs), strict=True):
                    record = sample["record"]
                    records[record["key"]] = record
                    features.setdefault(record["key"], []).append(row)
                self.report_step(draw, self.views)
        # images that could be read in every view
        complete = [key for key, views in features.items() if len(views) == self.views]
        if not complete:
            msg = f"{shard}: no image in it can be read; get the shard again"
            raise ValueError(msg)
        write_features(
            self.output / source.name,
            torch.stack([torch.stack(features[key]) for key in complete]),
            [records[key] for key in complete],
            self.origin | {"shard": file_digest(shard)},
        )
        return {"images": len(complete), "failed": failed}

    def _features(self, images: list[Tensor]) -> list[Tensor]:
        """Compute the features, (D,) float16, of images, (3, S, S) uint8."""
        if not images:
            return []
        batch = as_input(torch.stack(images).to(self.device))
        return list(self.network.features(batch).half().cpu())

    def finish(self, prepared: ShardInput, result: dict[str, Any]) -> dict[str, Any]:
        return result

    def write(self, source: ShardInput, finished: dict[str, Any]) -> dict[str, Any]:
        return finished

    def exists(self, source: ShardInput, row: dict[str, Any]) -> bool:
        return (self.output / source.name).is_file()

    def input_bytes(self, source: ShardInput) -> int:
        return 0

    def earlier_rows(self, record: Path) -> dict[str, dict[str, Any]]:
        rows = {}
        for file in record.glob(f"*{ENDING}"):
            rows[file.name] = {"images": describe_features(str(file))[0], "failed": {}}
        return rows


def extract(
    source: str,
    data: Sequence[str],
    output: Path,
    views: int = 0,
    options: JobOptions | None = None,
) -> Report | None:
    """Write one shard of features for each shard of images.

    A stopped job is continued.

    Args:
        source: Training config whose network is ``frozen_linear``, or a detector's folder or Hub
            id.
        data: Patterns of local shards.
        output: Folder of the feature shards.
        views: Random training views of each image; 0 for the one test view.
        options: Options of the job.

    Returns:
        The job's report; None on every process but the first.

    Raises:
        FileNotFoundError: If shards or detector are missing.
        ValueError: If the detector has no frozen backbone, or the folder holds other features.
    """
    if views < 0:
        msg = f"views must be at least 0, got {views}"
        raise ValueError(msg)
    options = options or JobOptions(batch_size=64, workers=4)
    detector = detector_of(source)
    if not isinstance(detector.network, LinearProbe):
        msg = (
            f"{source}: {detector.kind} trains all of its network; "
            "features are kept for frozen_linear only"
        )
        raise ValueError(msg)
    view = detector.train_view if views else detector.view
    backbone = {key: value for key, value in detector.options.items() if key != "pretrained"}
    origin = {
        "backbone": backbone,
        "weights": backbone_digest(detector.network),
        "view": asdict(view),
        "views": max(1, views),
    }
    job = FeatureJob(
        detector.network, output, view, max(1, views), options.batch_size, options.workers, origin
    )
    inputs = []
    for number, shard in enumerate(local_shards(data)):
        inputs.append(ShardInput(number, shard.stem + ENDING, shard))
    one_by_one = JobOptions(options.devices, batch_size=1, workers=0)
    return run_job(job, inputs, output, origin, one_by_one)


def detector_of(source: str) -> Detector:
    """Load a saved detector, or build that of a training config."""
    if not source.endswith((".yaml", ".yml")):
        return load_detector(source)
    from detectors.cli import main

    overrides = [
        "--trainer.accelerator=cpu",
        "--trainer.devices=1",
        "--trainer.logger=false",
        "--trainer.callbacks=null",
    ]
    return main(["-c", source, *overrides], run=False).model.detector.eval()
