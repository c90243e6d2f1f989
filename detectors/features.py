"""``python -m detectors features``: what a frozen backbone makes of pictures, kept, so that linear layers train without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.fake2m.shard_job import Numbers
from datamodules.features import ENDING, describe_features, write_features
from datamodules.streams import PADDING, ExactStream, collate, local_shards
from detectors.detector import Detector, load_detector
from detectors.feature_shards import backbone_digest
from detectors.networks.backbone import FrozenLinear
from engine.files import file_digest
from engine.jobs import job_trainer
from engine.manifest import claim, write_manifest
from images.transforms.views import View


class FeatureJob(LightningModule):
    """Writes the features of one shard per step of ``predict``; what is there already is passed over.

    Args:
        network: With the frozen backbone.
        shards: Of pictures.
        output: Folder of the shards of features.
        view: What is made of each picture.
        views: How often, each time another random one; once where nothing is random.
        batch_size: Pictures at a time.
        num_workers: Loader processes.
        origin: What the features depend on, but for the shard.
    """

    def __init__(
        self,
        network: FrozenLinear,
        shards: Sequence[Path],
        output: Path,
        view: View,
        views: int,
        batch_size: int,
        num_workers: int,
        origin: dict[str, Any],
    ) -> None:
        super().__init__()
        self.network, self.shards, self.output, self.view, self.views = network, shards, output, view, views
        self.batch_size, self.num_workers, self.origin = batch_size, num_workers, origin

    def predict_step(self, number: int, _: int) -> None:
        shard = self.shards[number]
        target = self.output / (shard.stem + ENDING)
        if target.is_file():
            return
        made: dict[str, list[Tensor]] = {}
        records: dict[str, dict[str, Any]] = {}
        for draw in range(self.views):
            stream = ExactStream([str(shard)], self.view, self.batch_size, 0, 1, max(1, self.num_workers), draw=draw)
            for batch in DataLoader(stream, self.batch_size, num_workers=self.num_workers, collate_fn=collate):
                features = self.network.features(batch["image"].to(self.device)).half().cpu()
                for record, label, one in zip(batch["record"], batch["label"].tolist(), features, strict=True):
                    if label != PADDING:
                        made.setdefault(record["key"], []).append(one)
                        records[record["key"]] = record
        whole = {key: torch.stack(views) for key, views in made.items() if len(views) == self.views}  # a damaged picture may have fewer
        if not whole:
            msg = f"{shard}: no picture in it can be read; get the shard again"
            raise ValueError(msg)
        origin = self.origin | {"shard": file_digest(shard)}
        write_features(target, torch.stack(list(whole.values())), [records[key] for key in whole], origin)


def extract(
    source: str,
    data: Sequence[str],
    output: Path,
    views: int = 0,
    batch_size: int = 64,
    num_workers: int = 4,
    accelerator: str = "auto",
    devices: int = 1,
) -> int | None:
    """Write one shard of features for each shard of pictures; a stopped job goes on.

    Args:
        source: A training config whose network is ``frozen_linear``, or a detector's folder or Hub id.
        data: Patterns of shards that are here.
        output: Folder of the shards of features.
        views: Random training views of each picture; 0 for the one view that is used in tests.
        batch_size: Pictures at a time.
        num_workers: Loader processes.
        accelerator: Lightning's: auto, cpu, gpu.
        devices: Processes; shards are shared out among them.

    Returns:
        How many pictures have features; None on every process but the first.

    Raises:
        FileNotFoundError: If shards or detector are not there.
        ValueError: If the detector has no frozen backbone, or the folder holds other features.
    """
    if views < 0 or batch_size < 1 or num_workers < 0:
        msg = f"views and num_workers must be at least 0 and batch_size at least 1, got {views}, {num_workers} and {batch_size}"
        raise ValueError(msg)
    detector = detector_of(source)
    if not isinstance(detector.network, FrozenLinear):
        msg = f"{source}: {detector.kind} trains all of its network; features are kept for frozen_linear only"
        raise ValueError(msg)
    shards = local_shards(data)
    view = detector.train_view if views else detector.view
    name = {key: value for key, value in detector.options.items() if key != "pretrained"}
    origin = {"backbone": name, "weights": backbone_digest(detector.network), "view": asdict(view), "views": max(1, views)}
    claim(output, "detectors features", origin)
    job = FeatureJob(detector.network, shards, output, view, max(1, views), batch_size, num_workers, origin)
    trainer = job_trainer(accelerator, min(devices, len(shards)))
    trainer.predict(job, Numbers(len(shards)), return_predictions=False)
    trainer.strategy.barrier()
    if not trainer.is_global_zero:
        return None
    done = sum(describe_features(str(output / (shard.stem + ENDING)))[0] for shard in shards)
    write_manifest(output, command="detectors features", finished=True, settings=origin, counts={"done": done})
    return done


def detector_of(source: str) -> Detector:
    """The detector that a training config begins with, or a saved one."""
    if not source.endswith((".yaml", ".yml")):
        return load_detector(source)
    from detectors.cli import main

    here = ["--trainer.accelerator=cpu", "--trainer.devices=1", "--trainer.logger=false", "--trainer.callbacks=null"]
    return main(["-c", source, *here], run=False).model.detector.eval()
