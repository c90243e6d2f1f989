"""Drawn pictures of nothing in particular: overlapping shapes, stripes and grain. Material for copy detection, as many as wanted.

A picture is a whole number: the same number is the same picture everywhere. As with people, numbers below
:data:`tiny.identity.EVALUATION_START` are for training.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from images.io import save_png, to_uint8
from images.photo import Photo
from tiny.dataset import PortraitDataset
from tiny.identity import EVALUATION_START, check_range

Levels = NDArray[np.uint8]
SHAPES = ("ellipse", "box", "polygon", "stripes")


def collage(number: int, size: int = 128) -> Levels:
    """Draw one picture, (size, size, 3) RGB.

    Shapes of sizes drawn from a power law hide one another, as things in a photograph do (the "dead leaves" model).
    """
    rng = np.random.default_rng([11, number])
    palette = _palette(rng)
    canvas = _ground(rng, palette, size)
    for _ in range(int(rng.integers(8, 60))):
        radius = size * min(0.45, 0.03 * (1 - rng.uniform()) ** -0.7)
        colour = (palette[rng.integers(len(palette))] + rng.normal(0, 18, 3)).clip(0, 255)
        _shape(canvas, rng, radius, colour)
    if rng.uniform() < 0.5:
        canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.4, 1.2)).astype(np.uint8)
    grain = rng.normal(0, rng.uniform(0, 9), (size, size, 1))
    return (canvas + grain).round().clip(0, 255).astype(np.uint8)


def _palette(rng: np.random.Generator) -> NDArray[np.float64]:
    """A few colours of one picture, most of them dull, as in photographs."""
    count, vividness = int(rng.integers(3, 8)), rng.uniform(0.05, 0.7)
    grey, colour = rng.uniform(10, 245, (count, 1)), rng.uniform(0, 255, (count, 3))
    return ((1 - vividness) * grey + vividness * colour).clip(0, 255)


def _ground(rng: np.random.Generator, palette: NDArray[np.float64], size: int) -> Levels:
    """Soft clouds between two colours, smooth or rough."""
    cells = int(rng.choice((2, 4, 8, 24)))
    clouds = cv2.resize(
        rng.uniform(0, 1, (cells, cells)), (size, size), interpolation=cv2.INTER_CUBIC
    )[..., None].clip(0, 1)
    return (clouds * palette[0] + (1 - clouds) * palette[1]).astype(np.uint8)


def _shape(
    canvas: Levels, rng: np.random.Generator, radius: float, colour: NDArray[np.float64]
) -> None:
    side = canvas.shape[0]
    centre = rng.uniform(0, side, 2)
    angle, squash = rng.uniform(0, 180), rng.uniform(0.3, 1)
    paint = tuple(float(value) for value in colour)
    kind = SHAPES[rng.integers(len(SHAPES))]
    if kind == "ellipse":
        axes = (max(1, round(radius)), max(1, round(radius * squash)))
        cv2.ellipse(
            canvas,
            (round(centre[0]), round(centre[1])),
            axes,
            angle,
            0,
            360,
            paint,
            -1,
            cv2.LINE_AA,
        )
        return
    if kind == "box":
        corners = cv2.boxPoints((tuple(centre), (2 * radius, 2 * radius * squash), angle))
    elif kind == "polygon":
        turns = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
        corners = centre + radius * np.stack([np.cos(turns), np.sin(turns)], axis=1) * rng.uniform(
            0.5, 1, (len(turns), 1)
        )
    else:
        step, along = (
            np.deg2rad(angle),
            radius * np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))]),
        )
        across = np.array([-np.sin(step), np.cos(step)]) * max(3.0, radius / 4)
        for place in range(-3, 4):
            ends = [
                np.round(centre + place * across + sign * along).astype(int) for sign in (-1, 1)
            ]
            cv2.line(
                canvas,
                tuple(map(int, ends[0])),
                tuple(map(int, ends[1])),
                paint,
                max(1, round(radius / 10)),
                cv2.LINE_AA,
            )
        return
    cv2.fillPoly(canvas, [np.round(corners).astype(np.int32)], paint, cv2.LINE_AA)


class CollageDataset(Dataset[dict[str, Tensor]]):
    """Collages as ``image``, (3, S, S) float32 in [0, 1], drawn when asked for.

    Args:
        first: Number of the first.
        count: How many.
        size: Side in pixels.
    """

    def __init__(self, first: int, count: int, size: int = 128) -> None:
        check_range(first, count)
        self.first, self.count, self.size = first, count, size

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        return {
            "image": torch.from_numpy(collage(self.first + index, self.size))
            .permute(2, 0, 1)
            .float()
            / 255
        }


def export_pictures(
    output: Path,
    training: int = 3_000,
    references: int = 5_000,
    originals: int = 200,
    strangers: int = 400,
    size: int = 128,
) -> dict[str, int]:
    """Draw the pictures of a copy-detection study, as PNG in sub-folders; one in eight is a portrait, the others are collages.

    Only ``training`` is of numbers that the small network may have learnt from.

    Args:
        output: Folder of the sub-folders, which are named as the arguments.
        training: To train an index on.
        references: Distractors: entries that nobody looks for.
        originals: What is released, and looked for.
        strangers: Looked for, but in no index.
        size: Side in pixels.

    Returns:
        Pictures in each sub-folder.
    """
    counts = {
        "training": training,
        "references": references,
        "originals": originals,
        "strangers": strangers,
    }
    first = {"training": 0, "originals": EVALUATION_START}
    first["references"] = first["originals"] + originals
    first["strangers"] = first["references"] + references
    for name, count in counts.items():
        people = count // 8
        for number in range(count - people):
            save_png(
                Photo(collage(first[name] + number, size)),
                output / name / f"collage_{first[name] + number:07d}.png",
            )
        portraits = PortraitDataset(first[name], people, 1, size=size) if people else None
        for start in range(0, people, 32):
            assert portraits is not None
            for item in portraits.__getitems__(list(range(start, min(start + 32, people)))):
                levels = to_uint8(item["image"]).permute(1, 2, 0).numpy()
                save_png(Photo(levels), output / name / f"portrait_{item['identity']:07d}.png")
    return counts
