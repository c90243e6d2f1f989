"""Drawn images that the demo offers, written by ``python -m tiny.demo_examples``."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engine.files import write_bytes
from images.io import encode_as, encode_photo, to_rgb
from images.photo import Photo
from images.transforms import RGBImage
from images.transforms.geometry import center_crop, resize
from models.pipelines import open_pipeline
from sentinels.plate import set_key
from tiny.collages import collage
from tiny.dataset import PortraitDataset

EXAMPLES = Path(__file__).parents[1] / "eval" / "demo" / "examples"

PERSON = 1_000_007
ENTRIES = range(1_010_000, 1_012_000)
COPIED = 1_010_017
STRANGER = 1_030_000
THUMBNAIL_SIDE = 64
EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time of the archive's members, so that it is the same every time."""


def main() -> None:
    """Draw all examples."""
    person = PortraitDataset(PERSON, 1, 4)
    for number, item in enumerate(person.__getitems__([0, 1, 2, 3]), start=1):
        write_png(f"person-{number}.png", array(item["image"]))
    large = PortraitDataset(PERSON + 1, 1, 1, size=128)[0]
    write_png("portrait.png", array(large["image"]))
    write_png("generated.png", generated(large["caption"]))
    write_png(
        "sentinel.png", set_key(array(large["image"]), "QRVXHK", np.random.default_rng(0)).rgb
    )
    write_png("stranger.png", collage(STRANGER))
    copy = center_crop(collage(COPIED), 104, 104)
    write_bytes(EXAMPLES / "copy.jpg", encode_as(resize(copy, 96, 96), "jpg", 70))
    write_bytes(EXAMPLES / "entries.zip", entries())


def generated(caption: str) -> RGBImage:
    """Generate a portrait by a small pipeline."""
    pipeline = open_pipeline("checkpoints/tiny/sd-b")
    pipeline.set_progress_bar_config(disable=True)
    images = pipeline(
        caption,
        num_inference_steps=25,
        guidance_scale=3.0,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
    ).images
    return (images[0] * 255).round().astype(np.uint8)


def entries() -> bytes:
    """Draw thumbnails of the small index's entries, a zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number in ENTRIES:
            small = resize(collage(number), THUMBNAIL_SIDE, THUMBNAIL_SIDE, "lanczos")
            content = io.BytesIO()
            Image.fromarray(small).save(content, "WEBP", quality=50, method=6)
            member = zipfile.ZipInfo(f"collage_{number}.png", EPOCH)
            archive.writestr(member, content.getvalue())
    return stream.getvalue()


def array(image: Tensor) -> RGBImage:
    """Round an image (3, H, W) in [0, 1] to (H, W, 3)."""
    return to_rgb(image.clone())


def write_png(name: str, rgb: RGBImage) -> None:
    """Write an example."""
    write_bytes(EXAMPLES / name, encode_photo(Photo(rgb)))


if __name__ == "__main__":
    main()
