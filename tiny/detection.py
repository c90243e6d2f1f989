"""The embedded world's real-or-generated data: drawn portraits against what the small pipelines draw and their autoencoders return."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from datamodules.fake2m.inspection import inspect_shards
from datamodules.fake2m.making import Codec, ReconstructionConfig, SynthesisConfig
from datamodules.fake2m.origin import REAL, Origin
from datamodules.fake2m.reconstruct import reconstruct
from datamodules.fake2m.sharding import shard_images
from datamodules.fake2m.splits import Split
from datamodules.fake2m.synthesize import synthesize
from engine.devices import DeviceOptions
from engine.job import JobOptions
from images.archives import Member
from images.io import encode_as, to_uint8
from tiny.dataset import PortraitDataset

CODEC: Codec = "bmp"
"""Of every file: without compression its size tells nothing of what is in it, as it would of PNG."""

SEEN, UNSEEN = ("sd-a1", "sd-a2"), "sd-b"
"""Pipelines whose pictures are trained on, and the one that is kept for the test."""


@dataclass(frozen=True)
class DetectionSizes:
    """How many pictures.

    Attributes:
        train: Photographs to train on; half as many of each seen pipeline's samples, and as many reconstructions.
        calibration: Photographs to calibrate on; a third as many of each kind of generated ones.
        val: The same for choosing between recipes.
        test: The same for the test, the unseen pipeline included.
    """

    train: int = 2000
    calibration: int = 300
    val: int = 300
    test: int = 600


FIRST: dict[Split, int] = {
    "train": 30_000,
    "calibration": 40_000,
    "val": 910_000,
    "test": 1_200_000,
}
"""First identity of each split: people of one split are in no other."""


def make_detection_shards(
    pipelines: Path, output: Path, sizes: DetectionSizes = DetectionSizes()
) -> None:
    """Draw, sample and reconstruct everything into shards; a stopped run goes on.

    Args:
        pipelines: Folder with the small pipelines.
        output: Folder of the shards.
        sizes: How many.

    Raises:
        ValueError: If headers tell the classes apart; see :func:`datamodules.fake2m.shortcuts.shortcut_gate`.
    """
    here = JobOptions(DeviceOptions("cpu", 1))
    for split in FIRST:
        count = getattr(sizes, split)
        portraits = PortraitDataset(FIRST[split], count, 1)
        origin = Origin(split, "portraits", REAL, family="real")
        shard_images(_members(portraits), output, lambda path, origin=origin: origin)  # type: ignore[misc]
        each = count // 2 if split == "train" else count // 3
        for name in (*SEEN, UNSEEN) if split == "test" else SEEN:
            captions = [portraits.caption(index) for index in range(each)]
            seed = FIRST[split] + 100_000 * (*SEEN, UNSEEN).index(
                name
            )  # no two pictures begin from the same noise
            how = {"steps": 25, "guidance": 3.0, "per_shard": 500, "batch_size": 16}
            config = SynthesisConfig(
                str(pipelines / name),
                name,
                split,
                seed=seed,
                codec=CODEC,
                **how,  # type: ignore[arg-type]
            )
            synthesize(captions, output, config, here)
        for name in (SEEN[0], UNSEEN) if split == "test" else (SEEN[0],):
            twins = ReconstructionConfig(str(pipelines / name), f"{name}-vae", split)
            reconstruct([str(output / f"{split}-portraits-*.tar")], output, twins, here)
    gate = inspect_shards([str(output / "train-*.tar")], output / "inspection")
    if not gate.passed:
        raise ValueError(gate.verdict())


def _members(portraits: PortraitDataset, batch: int = 64) -> Iterator[Member]:
    for start in range(0, len(portraits), batch):
        for item in portraits.__getitems__(list(range(start, min(start + batch, len(portraits))))):
            levels = to_uint8(item["image"]).permute(1, 2, 0).numpy()
            yield Member(f"portraits/{item['__key__']}.{CODEC}", encode_as(levels, CODEC))
