"""PNG pictures of 512 pixels to batches: torchvision's ImageFolder against shards.  ``python -m benchmarks.shards``.

Rates are for one core: pictures a second of processor time, loaded in the process itself, so that other work on the machine does not
count. Pictures are made up, but as heavy as those of Stable Diffusion in Fake2M (396 kB each).
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

SIDE, PICTURES, BATCH, ROUNDS = 512, 64, 32, 5
BICUBIC = v2.InterpolationMode.BICUBIC


def picture(seed: int) -> bytes:
    """Clouds of several sizes and a little noise, as a PNG file."""
    rng = np.random.default_rng(seed)
    clouds = np.zeros((SIDE, SIDE, 3))
    for cells, weight in ((4, 0.5), (16, 0.3), (64, 0.2)):
        levels = rng.integers(0, 255, (cells, cells, 3), dtype=np.uint8)
        clouds += weight * np.asarray(
            Image.fromarray(levels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        )
    buffer = BytesIO()
    Image.fromarray((clouds + rng.normal(0, 2, clouds.shape)).clip(0, 255).astype(np.uint8)).save(
        buffer, format="PNG"
    )
    return buffer.getvalue()


def write_sources(folder: Path) -> float:
    """The same pictures as an image folder and as shards; their mean size in kB."""
    sizes = []
    for label, name in enumerate(("real", "generated")):
        members = [
            Member(f"{name}/{index}.png", picture(1000 * label + index))
            for index in range(PICTURES // 2)
        ]
        sizes += [member.size for member in members]
        for member in members:
            write_bytes(folder / "files" / member.name, member.read())
        shard_images(
            members,
            folder / "shards",
            lambda _, name=name, label=label: Origin("train", name, label),
        )  # type: ignore[misc]
    return float(np.mean(sizes)) / 1000


class BlurJPEG:
    """Blur and JPEG for half of the pictures each, with Pillow."""

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
"""What is made of each picture, beside a flip for half: torchvision's transforms, and the view that does the same."""


def torchvision_way(folder: Path, steps: list[Any]) -> Iterable[Any]:
    """An ImageFolder, shuffled."""
    whole = v2.Compose(
        [*steps, v2.RandomHorizontalFlip(), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    )
    return DataLoader(ImageFolder(folder / "files", whole), batch_size=BATCH, shuffle=True)


def our_way(folder: Path, view: View) -> Iterable[Any]:
    """The training loader of detectors."""
    sources = (
        [ShardSource(f"{folder}/shards/train-{name}-*.tar")] for name in ("real", "generated")
    )
    data = Fake2MDataModule(
        *sources,
        train_view=view,
        batch_size=BATCH,
        epoch_samples=PICTURES,
        shuffle=PICTURES // 2,
        num_workers=0,
    )
    return data.train_dataloader()


def rate(loader: Iterable[Any]) -> float:
    """Pictures a second of processor time, over one pass."""
    start = time.process_time()
    for _ in loader:
        pass
    return PICTURES / (time.process_time() - start)


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(
            f"{PICTURES} PNG files of {SIDE} pixels, {write_sources(folder):.0f} kB each",
            flush=True,
        )
        for kind, (steps, view) in KINDS.items():
            loaders = torchvision_way(folder, steps), our_way(folder, view)
            rates = np.array([[rate(loader) for loader in loaders] for _ in range(ROUNDS + 1)])[
                1:
            ]  # the first warms up; in turn
            theirs, ours = np.median(rates, axis=0)
            print(
                f"| {kind} | {theirs:.0f} | {ours:.0f} | {np.median(rates[:, 1] / rates[:, 0]):.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    sys.exit(main())
