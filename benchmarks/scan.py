"""Rate of ``detectors scan`` from files to verdicts, against its network alone.

Run ``python -m benchmarks.scan``, or ``python -m benchmarks.scan 100`` for fewer images.

The network is Sentry's ResNet-50 with random weights, since speed does not depend on them, with
batches of 16. Photos are smooth random JPEG files of several sizes. Every row is a ratio to the
network alone in the same run, on the views of the same crops.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from detectors.crop_rule import CENTER, CropRule
from detectors.detector import Detector
from detectors.scan import scan
from engine.devices import DeviceOptions
from engine.job import JobOptions
from images.transforms.views import View, as_input

BATCH = 16

WORKERS = 2

SIZES = ((512, 512), (1024, 768), (4000, 3000))
"""Width and height of the photos, in pixels."""

RULES = (CENTER, CropRule("five"), CropRule("tiles", "max"))

VIEWS = {
    "resized to 256": View(size=224, resize=256),
    "own pixels": View("crop", size=224, resize=224),
}


def write_photos(folder: Path, size: tuple[int, int], number: int) -> None:
    """Write smooth random photos."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(number):
        coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        coarse.resize(size, Image.Resampling.BICUBIC).save(folder / f"{index}.jpg", quality=90)


@torch.inference_mode()
def network_rate(detector: Detector, number: int) -> float:
    """Measure crops a second of the network alone, in batches."""
    batch = torch.zeros(BATCH, 3, 224, 224, dtype=torch.uint8)
    detector(as_input(batch))
    batches = max(1, number // BATCH)
    start = time.perf_counter()
    for _ in range(batches):
        detector(as_input(batch))
    return batches * BATCH / (time.perf_counter() - start)


def scan_rate(photos: Path, weights: Path, rule: CropRule, output: Path) -> float:
    """Measure images a second of a scan, without loading the weights."""
    options = JobOptions(DeviceOptions("cpu", 1), BATCH, WORKERS)
    one = next(photos.iterdir())
    scan([one], output.with_name("first.csv"), [str(weights)], options, rule=rule)
    start = time.perf_counter()
    scan([one], output.with_name("one.csv"), [str(weights)], options, rule=rule)
    overhead = time.perf_counter() - start
    start = time.perf_counter()
    outcome = scan([photos], output, [str(weights)], options, rule=rule)
    seconds = time.perf_counter() - start - overhead
    assert outcome is not None
    return (len(outcome.findings) - 1) / seconds


def main(arguments: list[str]) -> None:
    """Print the table."""
    number = int(arguments[0]) if arguments else 500
    torch.manual_seed(0)
    print("| photos | view | crops | crops of an image | images/s | of the network's rate |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for size in SIZES:
            photos = place / f"{size[0]}"
            write_photos(photos, size, number)
            rgb = np.asarray(Image.open(photos / "0.jpg"))
            for words, view in VIEWS.items():
                detector = Detector("timm", {"name": "resnet50"}, view).eval()
                weights = place / words
                detector.save_pretrained(weights)
                for rule in RULES:
                    calibration = replace(detector.calibration, crops=rule)
                    detector.calibration = calibration
                    crops = len(detector.view_of(rgb)) if rule != CENTER else 1
                    output = place / f"{size[0]} {words} {rule}" / "scores.csv"
                    output.parent.mkdir()
                    network = network_rate(detector, min(64, number))
                    speed = scan_rate(photos, weights, rule, output)
                    share = speed * crops / network
                    print(
                        f"| {size[0]} x {size[1]} | {words} | {rule.crops} | {crops} | "
                        f"{speed:.2f} | {share:.2f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main(sys.argv[1:])
