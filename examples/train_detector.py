"""Train a small detector in Python, and apply it.

It learns to separate drawn portraits from their reconstructions by a toy autoencoder. A good
detector needs more steps than these. Run it in the repository:

    python -m examples.train_detector        # into outputs/examples/detector
    python -m examples.train_detector OUT/
"""

import sys
from pathlib import Path

from lightning import Trainer, seed_everything

from datamodules.fake2m.datamodule import Fake2MDataModule
from datamodules.fake2m.making import ReconstructionConfig
from datamodules.fake2m.origin import REAL, Origin
from datamodules.fake2m.reconstruct import reconstruct
from datamodules.fake2m.sharding import shard_images
from datamodules.fake2m.splits import Split
from datamodules.shards import ShardSource
from detectors import Detector
from detectors.module import SentryModule
from engine.cli import quiet_libraries
from engine.devices import DeviceOptions
from engine.job import JobOptions
from images.archives import Member
from images.io import encode_as, to_rgb
from images.transforms.views import View
from tiny.dataset import PortraitDataset


def make_shards(folder: Path, split: Split, first: int, count: int) -> None:
    """Draw portraits into a shard, and reconstruct them into another.

    Args:
        folder: Folder of the shards.
        split: Name of the split.
        first: First identity number.
        count: Number of portraits.
    """
    portraits = PortraitDataset(first, count, 1).__getitems__(list(range(count)))
    arrays = [to_rgb(item["image"]) for item in portraits]
    members = [Member(f"{number}.bmp", encode_as(rgb, "bmp")) for number, rgb in enumerate(arrays)]
    shard_images(members, folder, lambda _: Origin(split, "drawn", REAL, family="real"))
    recoded = ReconstructionConfig("checkpoints/tiny/sd-a1", "recoded", split)
    reconstruct(
        [str(folder / f"{split}-drawn-*.tar")], folder, recoded, JobOptions(DeviceOptions("cpu", 1))
    )


def main(output: Path = Path("outputs/examples/detector")) -> None:
    """Make shards, train for eight epochs, and apply the detector to a portrait."""
    quiet_libraries()
    seed_everything(0, verbose=False)
    shards = output / "shards"
    make_shards(shards, "train", first=0, count=96)
    make_shards(shards, "val", first=900_000, count=32)
    view = View("crop", size=64, resize=64)
    data = Fake2MDataModule(
        real=[ShardSource(f"{shards}/train-drawn-*.tar")],
        generated=[ShardSource(f"{shards}/train-recoded-*.tar")],
        val=[f"{shards}/val-*.tar"],
        train_view=View("crop", size=64, resize=64, random=True),
        test_view=view,
        batch_size=16,
        epoch_samples=192,
        num_workers=0,
    )
    task = SentryModule(Detector("tiny_patches", view=view), lr=0.005)
    trainer = Trainer(
        max_epochs=8,
        accelerator="cpu",
        default_root_dir=output,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(task, datamodule=data)
    print(f"AUC on portraits of other people: {trainer.callback_metrics['val/auc']:.3f}")
    # The trainer has saved the detector beside its logs.
    portrait = PortraitDataset(1_000_000, 1, 1)[0]["image"]
    prediction = Detector.from_pretrained(output / "detector").predict(portrait)[0]
    print(f"a drawn portrait: P(generated) = {prediction.probability:.2f}, not calibrated yet")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
