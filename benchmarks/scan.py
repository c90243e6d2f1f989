"""Processor time of ``detectors scan`` from files to verdicts, against its network alone.

Run ``python -m benchmarks.scan``, or ``python -m benchmarks.scan 100`` for more crops in each row.

The network is Sentry's ResNet-50 with random weights, since speed does not depend on them, with
batches of 16 on one thread. Photos are random JPEG files of several sizes, with detail at every
scale. A share is the network's processor time, on as many crops, over the scan's in the same run:
the scan's rate as a share of the network's own, on one core. Elapsed time would also measure
whatever else runs. Every row is the median of three scans, with the least and the highest share;
the network is measured before and after them.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image

from detectors.crop_rule import CENTER, CropRule
from detectors.detector import Detector
from detectors.scan import scan
from engine.devices import DeviceOptions
from engine.job import JobOptions
from images.inputs import ImageInput
from images.transforms.views import View, as_input

BATCH = 16

WORKERS = 2

CROPS = 16
"""Crops of a row, in whole images; rows whose images have more of them are left out."""

REPEATS = 3

SIZES = ((512, 512), (1024, 768), (3000, 2000))
"""Width and height of the photos, in pixels."""

RULES = (CENTER, CropRule("tiles", "max"))

VIEWS = {
    "resized to 256": View(size=224, resize=256),
    "own pixels": View("crop", size=224, resize=224),
}


def processor_time(function: Callable[[], object]) -> float:
    """Measure the processor time of a call in seconds, that of all threads together."""
    start = time.process_time()
    function()
    return time.process_time() - start


def photo(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Draw a random photo whose contrast falls with the scale of its detail."""
    pixels = np.zeros((size[1], size[0], 3), np.float32)
    cell = max(size) // 8
    while cell:
        shape = (size[1] // cell + 2, size[0] // cell + 2)
        for color in range(3):
            coarse = Image.fromarray(rng.normal(size=shape).astype(np.float32))
            detail = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC))
            pixels[..., color] += detail * cell**0.5
        cell //= 2
    levels = 127 + 50 * pixels / pixels.std()
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def write_photos(folder: Path, size: tuple[int, int], number: int) -> None:
    """Write copies of a random photo, which are opened and judged one by one."""
    folder.mkdir()
    photo(size, np.random.default_rng(0)).save(folder / "0.jpg", quality=90)
    for index in range(1, number):
        shutil.copy(folder / "0.jpg", folder / f"{index}.jpg")


@torch.inference_mode()
def network_time(detector: Detector, crops: int) -> float:
    """Measure the network alone, in seconds a crop."""
    batch = torch.zeros(BATCH, 3, 224, 224, dtype=torch.uint8)
    batches = max(1, crops // BATCH)
    detector(as_input(batch))
    seconds = processor_time(lambda: [detector(as_input(batch)) for _ in range(batches)])
    return seconds / (batches * BATCH)


def scan_times(
    photos: Path, number: int, weights: Path, rule: CropRule, output: Path
) -> list[float]:
    """Measure scans in seconds an image, without loading the weights."""
    output.mkdir()
    options = JobOptions(DeviceOptions("cpu", 1), BATCH, WORKERS)
    files = sorted(photos.iterdir())[: number + 1]

    def run(name: str, inputs: list[Path]) -> float:
        table = output / f"{name}.csv"
        return processor_time(lambda: scan(inputs, table, [str(weights)], options, rule=rule))

    run("first", files[:1])
    one = run("one", files[:1])
    return [(run(f"all {turn}", files) - one) / number for turn in range(REPEATS)]


def parts_of_time(file: Path, view: View) -> tuple[float, float]:
    """Measure the opening of a file and the view of its image, in seconds."""
    source = ImageInput.from_file(file)
    rgb = source.open().rgb
    rng = np.random.default_rng(0)

    def take() -> None:
        view.read((rgb.shape[0], rgb.shape[1]), lambda rows: rgb[:rows], rng)

    opening = [processor_time(source.open) for _ in range(5)]
    viewing = [processor_time(take) for _ in range(5)]
    return median(opening), median(viewing)


def main(arguments: list[str]) -> None:
    """Print the tables."""
    wanted = int(arguments[0]) if arguments else CROPS
    torch.manual_seed(0)
    torch.set_num_threads(1)
    print("| photos | view | crops | crops of an image | network, ms a crop | share of the scan |")
    print("|---|---|---|---|---|---|")
    opened = []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for size in SIZES:
            write_photos(place / f"{size[0]}", size, wanted + 1)
        for rule in RULES:
            for size in SIZES:
                photos = place / f"{size[0]}"
                rgb = np.asarray(Image.open(photos / "0.jpg"))
                for words, view in VIEWS.items():
                    if rule == CENTER:
                        parts = parts_of_time(photos / "0.jpg", view)
                        opened.append((size, words, *(1e3 * part for part in parts)))
                    detector = Detector("timm", {"name": "resnet50"}, view).eval()
                    detector.calibration = replace(detector.calibration, crops=rule)
                    crops = len(detector.view_of(rgb)) if rule != CENTER else 1
                    if crops > wanted:
                        continue
                    weights = place / f"{words} {rule}"
                    detector.save_pretrained(weights)
                    output = place / f"{size[0]} {words} {rule}"
                    network = [network_time(detector, wanted)]
                    times = scan_times(photos, wanted // crops, weights, rule, output)
                    network.append(network_time(detector, wanted))
                    own = sum(network) / 2
                    shares = [own * crops / seconds for seconds in times]
                    print(
                        f"| {size[0]} x {size[1]} | {words} | {rule.crops} | {crops} | "
                        f"{1e3 * own:.0f} | {median(shares):.2f} "
                        f"({min(shares):.2f} to {max(shares):.2f}) |",
                        flush=True,
                    )
    print("\n| photos | view | opening, ms | view, ms |")
    print("|---|---|---|---|")
    for size, words, opening, viewing in opened:
        print(f"| {size[0]} x {size[1]} | {words} | {opening:.1f} | {viewing:.1f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
