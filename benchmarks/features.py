"""A linear layer on a frozen ViT-S/16, trained on pictures and on kept features.  ``python -m benchmarks.features``.

Rates are for one core: training pictures a second of processor time. The pictures are those of :mod:`benchmarks.shards`, the weights
random, which changes nothing of the speed. Keeping the features costs one pass over the pictures for each view.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import cv2
import torch
import torch.nn.functional as F

from benchmarks.shards import write_sources
from datamodules.detection import Fake2MDataModule
from datamodules.features import ENDING
from datamodules.streams import ShardSource
from datamodules.views import View
from detectors.detector import Detector, load_detector
from detectors.features import extract

BATCH = 32


def rate(detector: Detector, pattern: str, samples: int) -> float:
    """Training pictures a second of processor time."""
    sources = ([ShardSource(pattern.format(name))] for name in ("real", "generated"))
    data = Fake2MDataModule(*sources, train_view=detector.train_view, batch_size=BATCH, epoch_samples=samples, shuffle=32, num_workers=0)
    optimizer = torch.optim.AdamW([one for one in detector.parameters() if one.requires_grad])
    start = time.process_time()
    for batch in data.train_dataloader():
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(detector(batch["image"]), batch["label"].float()).backward()
        optimizer.step()
    return samples / (time.process_time() - start)


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sources(folder)
        view = View("random_resized_crop", random=True, least_area=0.5)
        Detector("frozen_linear", {"name": "vit_small_patch16_224"}, train_view=view).save(folder / "detector")
        extract(str(folder / "detector"), [f"{folder}/shards/train-*.tar"], folder / "features", 2, BATCH, 0, "cpu")
        detector = load_detector(str(folder / "detector")).train()
        pictures = rate(detector, f"{folder}/shards/train-{{}}-*.tar", 64)
        features = rate(detector, f"{folder}/features/train-{{}}-*{ENDING}", 12_800)
        print(f"| pictures | {pictures:.1f} | 1 |\n| kept features | {features:.0f} | {features / pictures:.0f} |")


if __name__ == "__main__":
    sys.exit(main())
