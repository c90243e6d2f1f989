"""Collages of overlapping shapes, stripes and grain, for copy detection.

A collage is a whole number: the same number is the same image everywhere. As with identities,
numbers below :data:`tiny.identity.EVALUATION_START` are for training.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from engine.manifest import claim, write_manifest
from images.io import save_png, to_rgb
from images.photo import Photo
from images.transforms import RGBImage
from tiny.dataset import PortraitDataset
from tiny.identity import EVALUATION_START, check_range
from tiny.portraits import check_side

PICTURES = "tiny pictures"
"""Command of the folder."""

SHAPES = ("ellipse", "box", "polygon", "stripes")


def collage(number: int, size: int = 128) -> RGBImage:
    """Draw a collage, (size, size, 3) RGB.

    Shapes whose sizes follow a power law occlude each other, as objects in photographs do (the
    "dead leaves" model).
    """
    rng = np.random.default_rng([11, number])
    palette = _palette(rng)
    canvas = _ground(rng, palette, size)
    for _ in range(int(rng.integers(8, 60))):
        radius = size * min(0.45, 0.03 * (1 - rng.uniform()) ** -0.7)
        color = (palette[rng.integers(len(palette))] + rng.normal(0, 18, 3)).clip(0, 255)
        _draw_shape(canvas, rng, radius, color)
    if rng.uniform() < 0.5:
        canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.4, 1.2)).astype(np.uint8)
    grain = rng.normal(0, rng.uniform(0, 9), (size, size, 1))
    return (canvas + grain).round().clip(0, 255).astype(np.uint8)


def _palette(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw three to seven colors of a collage, most of them dull, as in photographs."""
    count = int(rng.integers(3, 8))
    vividness = rng.uniform(0.05, 0.7)
    gray = rng.uniform(10, 245, (count, 1))
    color = rng.uniform(0, 255, (count, 3))
    return ((1 - vividness) * gray + vividness * color).clip(0, 255)


def _ground(rng: np.random.Generator, palette: NDArray[np.float64], size: int) -> RGBImage:
    """Draw a background of smooth or rough clouds in two colors."""
    cells = int(rng.choice((2, 4, 8, 24)))
    coarse = rng.uniform(0, 1, (cells, cells))
    clouds = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    clouds = clouds[..., None].clip(0, 1)
    return (clouds * palette[0] + (1 - clouds) * palette[1]).astype(np.uint8)


def _draw_shape(
    canvas: RGBImage, rng: np.random.Generator, radius: float, color: NDArray[np.float64]
) -> None:
    """Draw an ellipse, box, polygon or stripes at a random place."""
    side = canvas.shape[0]
    center = rng.uniform(0, side, 2)
    angle = rng.uniform(0, 180)
    squash = rng.uniform(0.3, 1)
    rgb = tuple(float(value) for value in color)
    kind = SHAPES[rng.integers(len(SHAPES))]
    if kind == "ellipse":
        middle = (round(center[0]), round(center[1]))
        axes = (max(1, round(radius)), max(1, round(radius * squash)))
        cv2.ellipse(canvas, middle, axes, angle, 0, 360, rgb, -1, cv2.LINE_AA)
    elif kind == "box":
        corners = cv2.boxPoints((tuple(center), (2 * radius, 2 * radius * squash), angle))
        _fill(canvas, corners, rgb)
    elif kind == "polygon":
        turns = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
        directions = np.stack([np.cos(turns), np.sin(turns)], axis=1)
        _fill(canvas, center + radius * directions * rng.uniform(0.5, 1, (len(turns), 1)), rgb)
    else:
        _draw_stripes(canvas, center, radius, np.deg2rad(angle), rgb)


def _fill(canvas: RGBImage, corners: NDArray[Any], rgb: tuple[float, ...]) -> None:
    """Fill a polygon with corners (n, 2)."""
    cv2.fillPoly(canvas, [np.round(corners).astype(np.int32)], rgb, cv2.LINE_AA)


def _draw_stripes(
    canvas: RGBImage,
    center: NDArray[np.float64],
    radius: float,
    angle: float,
    rgb: tuple[float, ...],
) -> None:
    """Draw seven parallel lines around a center, at an angle in radians."""
    along = radius * np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-np.sin(angle), np.cos(angle)]) * max(3.0, radius / 4)
    width = max(1, round(radius / 10))
    for number in range(-3, 4):
        start, end = (
            np.round(center + number * across + sign * along).astype(int).tolist()
            for sign in (-1, 1)
        )
        cv2.line(canvas, start, end, rgb, width, cv2.LINE_AA)


class CollageDataset(Dataset[dict[str, Tensor]]):
    """Collages, drawn on access; ``image`` is (3, S, S) float32 in [0, 1].

    Args:
        first: Number of the first collage.
        count: Number of collages.
        size: Side in pixels.
    """

    def __init__(self, first: int, count: int, size: int = 128) -> None:
        check_range(first, count)
        self.first = first
        self.count = count
        self.size = size

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        rgb = torch.from_numpy(collage(self.first + index, self.size))
        return {"image": rgb.permute(2, 0, 1).float() / 255}


def export_pictures(
    output: Path,
    training: int = 3_000,
    references: int = 5_000,
    originals: int = 200,
    strangers: int = 400,
    size: int = 128,
) -> dict[str, int]:
    """Draw the images of a copy-detection study as PNG files in sub-folders.

    One image in eight is a portrait, the others are collages. Only those of ``training`` may have
    been seen in training by the toy network.

    Args:
        output: Folder of the sub-folders, which are named like the arguments.
        training: Images to train an index on.
        references: Distractors: index entries that are no query's match.
        originals: Released images, whose copies are queries.
        strangers: Distractor queries, which match no index entry.
        size: Side in pixels, 64 to 512.

    Returns:
        Number of images by sub-folder.

    Raises:
        ValueError: If a number is out of its range, all counts are zero, or the folder holds other
            files or images of other settings.
    """
    counts = {
        "training": training,
        "references": references,
        "originals": originals,
        "strangers": strangers,
    }
    check_side(size)
    check_range(0, training)
    if min(counts.values()) < 0 or not any(counts.values()):
        given = ", ".join(f"{name} {count}" for name, count in counts.items())
        msg = f"counts must be at least 0, and one of them at least 1, got {given}"
        raise ValueError(msg)
    settings = counts | {"size": size}
    claim(output, PICTURES, settings)
    first = {"training": 0, "originals": EVALUATION_START}
    first["references"] = first["originals"] + originals
    first["strangers"] = first["references"] + references
    for name, count in counts.items():
        people = count // 8
        for number in range(first[name], first[name] + count - people):
            file = output / name / f"collage_{number:07d}.png"
            save_png(Photo(collage(number, size)), file)
        if people:
            _save_portraits(PortraitDataset(first[name], people, 1, size=size), output / name)
    write_manifest(output, command=PICTURES, finished=True, settings=settings, counts=counts)
    return counts


def _save_portraits(portraits: PortraitDataset, folder: Path, batch: int = 32) -> None:
    """Draw portraits in batches, and save them as PNG files."""
    for start in range(0, len(portraits), batch):
        indices = list(range(start, min(start + batch, len(portraits))))
        for item in portraits.__getitems__(indices):
            rgb = to_rgb(item["image"])
            save_png(Photo(rgb), folder / f"portrait_{item['identity']:07d}.png")
