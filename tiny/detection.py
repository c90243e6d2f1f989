"""Shards of real and generated portraits for the toy detector.

Drawn portraits are the real class. Samples of the toy pipelines and reconstructions by their
autoencoders are the generated class.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
from images.io import encode_as, to_rgb
from tiny.dataset import PortraitDataset

CODEC: Codec = "bmp"
"""Codec of all files. Its file size does not depend on the content, unlike that of PNG."""

TRAIN_PIPELINES = ("sd-a1", "sd-a2")
"""Pipelines of all splits."""

TEST_PIPELINE = "sd-b"
"""Pipeline of the test split alone."""


@dataclass(frozen=True)
class DetectionSizes:
    """Numbers of real portraits by split.

    Attributes:
        train: Portraits to train on, with half as many samples of each training pipeline and as
            many reconstructions.
        calibration: Portraits to calibrate on, with a third as many samples of each pipeline.
        val: Portraits to choose between recipes, likewise.
        test: Portraits of the test, likewise, with the test pipeline.
    """

    train: int = 2000
    calibration: int = 1000
    val: int = 300
    test: int = 600


FIRST_IDENTITY: dict[Split, int] = {
    "train": 30_000,
    "calibration": 40_000,
    "val": 910_000,
    "test": 1_200_000,
}
"""First identity of each split; the splits share no people."""


def make_detection_shards(
    pipelines: Path, output: Path, sizes: DetectionSizes = DetectionSizes()
) -> None:
    """Draw, sample and reconstruct all images into shards, or resume a stopped run.

    Args:
        pipelines: Folder of the toy pipelines.
        output: Folder of the shards.
        sizes: Numbers of portraits by split.

    Raises:
        ValueError: If file headers alone separate the classes; see
            :func:`datamodules.fake2m.shortcuts.shortcut_gate`.
    """
    options = JobOptions(DeviceOptions("cpu", 1))
    for split in FIRST_IDENTITY:
        count = getattr(sizes, split)
        portraits = PortraitDataset(FIRST_IDENTITY[split], count, 1)
        shard_real(_members(portraits), output, split, "portraits")
        # Samples of the pipelines.
        sample_count = count // 2 if split == "train" else count // 3
        captions = [portraits.caption(index) for index in range(sample_count)]
        is_test = split == "test"
        for name in (*TRAIN_PIPELINES, TEST_PIPELINE) if is_test else TRAIN_PIPELINES:
            synthesize(captions, output, _synthesis(pipelines, name, split), options)
        # Reconstructions of the real portraits.
        shards = [str(output / f"{split}-portraits-*.tar")]
        for name in (TRAIN_PIPELINES[0], TEST_PIPELINE) if is_test else TRAIN_PIPELINES[:1]:
            config = ReconstructionConfig(str(pipelines / name), f"{name}-vae", split)
            reconstruct(shards, output, config, options)
    # Refuse shards whose file headers give the class away.
    gate, _ = inspect_shards([str(output / "train-*.tar")], output / "inspection")
    if not gate.passed:
        raise ValueError(gate.verdict())


def shard_real(members: Iterable[Member], output: Path, split: Split, subset: str) -> None:
    """Shard members of the real class.

    Args:
        members: Encoded images.
        output: Folder of the shards.
        split: Split of all of them.
        subset: Name of the subset.
    """
    origin = Origin(split, subset, REAL, family="real")
    shard_images(members, output, lambda _: origin)


def _synthesis(pipelines: Path, name: str, split: Split) -> SynthesisConfig:
    """Return the settings of a pipeline's samples; no two samples share their initial noise."""
    number = (*TRAIN_PIPELINES, TEST_PIPELINE).index(name)
    return SynthesisConfig(
        str(pipelines / name),
        name,
        split,
        seed=FIRST_IDENTITY[split] + 100_000 * number,
        codec=CODEC,
        steps=25,
        guidance=3.0,
        per_shard=500,
        batch_size=16,
    )


def _members(portraits: PortraitDataset, batch: int = 64) -> Iterator[Member]:
    """Draw portraits in batches, and encode each as a member of a shard."""
    for start in range(0, len(portraits), batch):
        indices = list(range(start, min(start + batch, len(portraits))))
        for item in portraits.__getitems__(indices):
            rgb = to_rgb(item["image"])
            yield Member(f"portraits/{item['__key__']}.{CODEC}", encode_as(rgb, CODEC))
