"""Jobs that make shards of pictures: one shard a step, shared out over processes, whole or not at all."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning import LightningDataModule, LightningModule
from torch.utils.data import DataLoader

from datamodules.fake2m.sharding import Origin, describe, index_shards
from engine.jobs import job_trainer
from engine.manifest import claim, write_manifest
from images.archives import ShardWriter
from images.headers import read_header

Made = tuple[str, str, bytes, dict[str, Any]]
"""Key, codec, bytes of a picture file, and what is known of it beside the origin."""


class ShardJob(LightningModule):
    """Writes one shard per step of ``predict``; one that is there already is passed over.

    Args:
        origin: Of all pictures.
        output: Folder of the shards.
    """

    def __init__(self, origin: Origin, output: Path) -> None:
        super().__init__()
        self.origin, self.output = origin, output

    @abstractmethod
    def make(self, number: int) -> Iterator[Made]:
        """The pictures of a shard; the same whichever process makes it."""

    def predict_step(self, number: int, _: int) -> None:
        target = self.output / f"{self.origin.split}-{self.origin.subset}-{number:06d}.tar"
        if target.is_file():
            return
        writer = ShardWriter(target)
        for key, codec, content, known in self.make(number):
            header = read_header(content)
            assert header is not None
            record = describe(f"{self.origin.subset}/{key}.{codec}", content, self.origin) | asdict(header) | known
            writer.add(f"{key}.{codec}", content)
            writer.add(f"{key}.json", json.dumps(record).encode())
        writer.close()


class Numbers(LightningDataModule):
    """The numbers of the shards to be made."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def predict_dataloader(self) -> DataLoader[int]:
        return DataLoader(range(self.count), batch_size=None)  # type: ignore[arg-type]


def run_job(job: ShardJob, shards: int, command: str, settings: dict[str, Any], accelerator: str, devices: int) -> dict[str, Any] | None:
    """Make all shards and their index; a stopped job goes on.

    Args:
        job: What makes them.
        shards: How many.
        command: For the record.
        settings: What the pictures depend on.
        accelerator: Lightning's: auto, cpu, gpu.
        devices: Processes.

    Returns:
        The index; None on every process but the first.

    Raises:
        ValueError: If the subset's shards there were made with other settings.
    """
    origin = job.origin
    record = job.output / f"{origin.split}-{origin.subset}.run"
    claim(record, command, settings)
    trainer = job_trainer(accelerator, min(devices, shards))
    trainer.predict(job, Numbers(shards), return_predictions=False)
    trainer.strategy.barrier()
    if not trainer.is_global_zero:
        return None
    index = index_shards(job.output, origin)
    write_manifest(record, command=command, finished=True, settings=settings, counts={"done": index["samples"]})
    return index
