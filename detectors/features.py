"""``python -m detectors features``: what a frozen backbone makes of pictures, kept, so that linear layers train without it."""

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
from images.transforms.views import View


class FeatureJob(Job[ShardInput, ShardInput, dict[str, Any], dict[str, Any]]):
    """Writes the features of one shard per step.

    Args:
        network: With the frozen backbone.
        output: Folder of the shards of features.
        view: What is made of each image.
        views: How often, each time another random one; once where nothing is random.
        batch_size: Images at a time.
        workers: Threads that open images.
        origin: What the features depend on, but for the shard.
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
        self.network, self.output, self.view, self.views = network, output, view, views
        self.batch_size, self.workers, self.origin = batch_size, workers, origin

    def setup(self, process: Process) -> None:
        self.device = process.device
        self.network.eval().to(process.device)

    def prepare(self, source: ShardInput) -> ShardInput:
        return source

    def step(self, batch: Batch[ShardInput, ShardInput]) -> list[dict[str, Any]]:
        return [self._extract(shard) for shard in batch.prepared]

    @torch.no_grad()
    def _extract(self, source: ShardInput) -> dict[str, Any]:
        shard = source.source
        assert shard is not None
        made: dict[str, list[Tensor]] = {}
        records: dict[str, dict[str, Any]] = {}
        failed: dict[str, str] = {}
        for draw in range(self.views):
            samples = read_exactly([str(shard)], self.view, self.workers, draw=draw)
            for batch in read_batches(self.batch_size, samples):
                failed |= {record["key"]: record["error"] for record in batch.unread}
                features = (
                    list(
                        self.network.features(torch.stack(batch.inputs).to(self.device))
                        .half()
                        .cpu()
                    )
                    if batch.inputs
                    else []
                )
                for sample, one in zip(batch.samples, features, strict=True):
                    made.setdefault(sample["record"]["key"], []).append(one)
                    records[sample["record"]["key"]] = sample["record"]
                self.report_step(draw, self.views)
        whole = {key: torch.stack(views) for key, views in made.items() if len(views) == self.views}
        if not whole:
            msg = f"{shard}: no image in it can be read; get the shard again"
            raise ValueError(msg)
        origin = self.origin | {"shard": file_digest(shard)}
        write_features(
            self.output / source.name,
            torch.stack(list(whole.values())),
            [records[key] for key in whole],
            origin,
        )
        return {"images": len(whole), "failed": failed}

    def finish(self, prepared: ShardInput, result: dict[str, Any]) -> dict[str, Any]:
        return result

    def write(self, source: ShardInput, finished: dict[str, Any]) -> dict[str, Any]:
        return finished

    def exists(self, source: ShardInput, row: dict[str, Any]) -> bool:
        return (self.output / source.name).is_file()

    def input_bytes(self, source: ShardInput) -> int:
        return 0

    def earlier_rows(self, record: Path) -> dict[str, dict[str, Any]]:
        files = record.glob(f"*{ENDING}")
        return {
            file.name: {"images": describe_features(str(file))[0], "failed": {}} for file in files
        }


def extract(
    source: str,
    data: Sequence[str],
    output: Path,
    views: int = 0,
    options: JobOptions | None = None,
) -> Report | None:
    """Write one shard of features for each shard of images; goes on with a stopped job.

    Args:
        source: A training config whose network is ``frozen_linear``, or a detector's folder or Hub id.
        data: Patterns of shards that are here.
        output: Folder of the shards of features.
        views: Random training views of each image; 0 for the one view that is used in tests.
        options: How the job runs.

    Returns:
        The outcome; None on every process but the first.

    Raises:
        FileNotFoundError: If shards or detector are not there.
        ValueError: If the detector has no frozen backbone, or the folder holds other features.
    """
    if views < 0:
        msg = f"views must be at least 0, got {views}"
        raise ValueError(msg)
    options = options or JobOptions(batch_size=64, workers=4)
    detector = detector_of(source)
    if not isinstance(detector.network, LinearProbe):
        msg = f"{source}: {detector.kind} trains all of its network; features are kept for frozen_linear only"
        raise ValueError(msg)
    shards = local_shards(data)
    view = detector.train_view if views else detector.view
    name = {key: value for key, value in detector.options.items() if key != "pretrained"}
    origin = {
        "backbone": name,
        "weights": backbone_digest(detector.network),
        "view": asdict(view),
        "views": max(1, views),
    }
    job = FeatureJob(
        detector.network, output, view, max(1, views), options.batch_size, options.workers, origin
    )
    inputs = [ShardInput(number, shard.stem + ENDING, shard) for number, shard in enumerate(shards)]
    return run_job(
        job, inputs, output, origin, JobOptions(options.devices, batch_size=1, workers=0)
    )


def detector_of(source: str) -> Detector:
    """The detector that a training config begins with, or a saved one."""
    if not source.endswith((".yaml", ".yml")):
        return load_detector(source)
    from detectors.cli import main

    here = [
        "--trainer.accelerator=cpu",
        "--trainer.devices=1",
        "--trainer.logger=false",
        "--trainer.callbacks=null",
    ]
    return main(["-c", source, *here], run=False).model.detector.eval()
