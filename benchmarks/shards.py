"""Speed of loading PNG images: shards against torchvision's ImageFolder.

Run ``python -m benchmarks.shards``.

Rates are for one core: images a second of processor time, loaded in the process itself, so that
other work on the machine does not count. The images are synthetic, but as large as those of Stable
Diffusion in Fake2M (396 kB each).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image, ImageFilter
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from datamodules.fake2m.datamodule import Fake2MDataModule
from datamodules.fake2m.origin import Origin
from datamodules.fake2m.sharding import shard_images
from datamodules.shards import ShardSource
from engine.files import write_bytes
from images.archives import Member
from images.transforms.views import View

SIDE = 512
IMAGES = 64
BATCH = 32
ROUNDS = 5
BICUBIC = v2.InterpolationMode.BICUBIC


def synthetic_image(seed: int) -> bytes:
    """Draw clouds of several sizes with noise, as PNG."""
    rng = np.random.default_rng(seed)
    clouds = np.zeros((SIDE, SIDE, 3))
    for cells, weight in ((4, 0.5), (16, 0.3), (64, 0.2)):
        coarse = Image.fromarray(rng.integers(0, 255, (cells, cells, 3), dtype=np.uint8))
        clouds += weight * np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    noisy = (clouds + rng.normal(0, 2, clouds.shape)).clip(0, 255).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(noisy).save(buffer, format="PNG")
    return buffer.getvalue()


def write_sources(folder: Path) -> float:
    """Write the same images as a folder and as shards.

    Returns:
        Their mean size in kB.
    """
    sizes = []
    for label, name in enumerate(("real", "generated")):
        members = []
        for index in range(IMAGES // 2):
            content = synthetic_image(1000 * label + index)
            members.append(Member(f"{name}/{index}.png", content))
        for member in members:
            sizes.append(member.size)
            write_bytes(folder / "files" / member.name, member.read())
        origin = Origin("train", name, label)
        shard_images(members, folder / "shards", lambda _, origin=origin: origin)  # type: ignore[misc]
    return float(np.mean(sizes)) / 1000


class BlurJPEG:
    """Blur and JPEG with Pillow, each for half of the images."""

    def __call__(self, image: Image.Image) -> Image.Image:
        rng = np.random.default_rng()
        if rng.random() < 0.5:
            image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 3)))
        if rng.random() < 0.5:
            buffer = BytesIO()
            image.save(buffer, format="JPEG", quality=int(rng.integers(30, 101)))
            image = Image.open(buffer).convert("RGB")
        return image


KINDS: dict[str, tuple[list[Any], View]] = {
    "random part to 224": (
        [v2.RandomResizedCrop(224, interpolation=BICUBIC)],
        View("random_resized_crop", random=True),
    ),
    "the same, blur and JPEG for half": (
        [v2.RandomResizedCrop(224, interpolation=BICUBIC), BlurJPEG()],
        View("random_resized_crop", random=True, blur=0.5, jpeg=0.5),
    ),
    "crop of 224 as it is": (
        [v2.RandomCrop(224)],
        View("crop", random=True),
    ),
}
"""Rows: torchvision's transforms and the equivalent view, each with a random flip."""


def torchvision_loader(folder: Path, steps: list[Any]) -> Iterable[Any]:
    """Build a shuffled loader over an ImageFolder."""
    to_float = v2.ToDtype(torch.float32, scale=True)
    transform = v2.Compose([*steps, v2.RandomHorizontalFlip(), v2.ToImage(), to_float])
    return DataLoader(ImageFolder(folder / "files", transform), batch_size=BATCH, shuffle=True)


def our_loader(folder: Path, view: View) -> Iterable[Any]:
    """Build the training loader of detectors."""
    data = Fake2MDataModule(
        real=[ShardSource(f"{folder}/shards/train-real-*.tar")],
        generated=[ShardSource(f"{folder}/shards/train-generated-*.tar")],
        train_view=view,
        batch_size=BATCH,
        epoch_samples=IMAGES,
        shuffle=IMAGES // 2,
        num_workers=0,
    )
    return data.train_dataloader()


def rate(loader: Iterable[Any]) -> float:
    """Measure images a second of processor time over one pass."""
    start = time.process_time()
    for _ in loader:
        pass
    return IMAGES / (time.process_time() - start)


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = write_sources(folder)
        print(f"{IMAGES} PNG files of {SIDE} pixels, {size:.0f} kB each", flush=True)
        for kind, (steps, view) in KINDS.items():
            # both loaders alternate; the first round warms up
            loaders = (torchvision_loader(folder, steps), our_loader(folder, view))
            rounds = []
            for _ in range(ROUNDS + 1):
                rounds.append([rate(loader) for loader in loaders])
            rates = np.array(rounds[1:])
            theirs, ours = np.median(rates, axis=0)
            ratio = np.median(rates[:, 1] / rates[:, 0])
            print(f"| {kind} | {theirs:.0f} | {ours:.0f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
